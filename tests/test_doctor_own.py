"""Milepost's own database passes its own doctor: migrated, with a demo's model and activities, read and written, on its own server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

from effort import LONG
from processes import environment, program


def test_milepost_passes_its_doctor(tmp_path: Path) -> None:
    """Nothing is found: not of its tables and indexes, nor of its statements, nor of the settings that it gives its server."""
    count = "20000" if LONG else "2000"
    place = {"data_dir": str(tmp_path / "data")}
    with program("demo", "--system", "fitness", "--port", "0", "--activities", count, "--no-trickle", **place) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("Ctrl-C"):
                break
        found = dict(re.findall(r"^  (address|key) +(\S+)$", said, re.MULTILINE))
        old = {"actor": "user-1", "verb": "run", "occurred_at": "1900-01-01T00:00:00Z"}
        sent = Request(
            found["address"] + "/v1/activities",
            json.dumps({"activities": [old]}).encode(),
            {"Authorization": f"Bearer {found['key']}", "Content-Type": "application/json", "Prefer": "wait=20"},
        )
        with urlopen(sent, timeout=30) as answer:  # years without a partition lie between it and all others
            assert json.load(answer)["loaded"] == 1
        for _ in range(30):
            for path in ("/v1/activities", "/v1/activities?limit=50"):
                with urlopen(
                    Request(found["address"] + path, headers={"Authorization": f"Bearer {found['key']}"}), timeout=30
                ) as answer:
                    assert answer.status == 200
        done = subprocess.run(
            [sys.executable, "-m", "milepost", "doctor", "check", "--json", "--fail-on", "notice"],
            capture_output=True,
            text=True,
            env=environment(**place),
            timeout=120,
        )
        process.terminate()
        process.communicate(timeout=60)
    seen = json.loads(done.stdout)
    assert [(one["check"], one["object"], one["detail"]) for one in seen["findings"]] == []
    assert (done.returncode, seen["score"]) == (0, 100)
