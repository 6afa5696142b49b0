"""`milepost demo` as a process: prints curl commands that work, stops cleanly, and goes on from the same data."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from effort import some
from milepost.cli.demo import curl
from milepost.demo import SYSTEMS
from processes import program

STOP_S = 30
LAST_LINE = "Ctrl-C stops it"


@contextmanager
def running(system: str, *words: object, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A demo that serves, and what it printed."""
    with program("demo", "--system", system, "--port", "0", *words, **settings) as process:
        try:
            assert process.stdout is not None
            said = ""
            for line in process.stdout:
                said += line
                if line.startswith(LAST_LINE):
                    break
            else:
                assert process.stderr is not None
                pytest.fail(f"the demo ended: {process.stderr.read()}")
            yield process, said
        finally:
            process.kill()


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> int:
    process.send_signal(number)
    process.communicate(timeout=STOP_S)
    return process.returncode


def commands_in(said: str) -> list[str]:
    return [line.strip() for line in said.splitlines() if line.startswith("  curl")]


def key_in(said: str) -> str:
    found = re.search(r"mp_\d+_\w+", said)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("system", some(SYSTEMS, 1))
def test_what_it_prints_works(system: str, database_url: str, tmp_path: Path) -> None:
    """Each command, pasted into a shell, answers with what it says; Ctrl-C ends it with exit code 0."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    given = {"database_url": database_url, "data_dir": str(tmp_path)}
    with running(system, "--activities", 500, "--no-trickle", **given) as (process, said):
        first, second, *others = (
            json.loads(subprocess.run(["bash", "-c", one], check=True, capture_output=True, text=True).stdout)
            for one in commands_in(said)
        )
        assert (first["accepted"], first["loaded"], first["rejected"]) == (1, 1, [])
        assert second["items"]
        for other in others:  # a list, a goal, a board or a report, alone or of parts
            assert other.keys() & {"items", "value", "rank", "parts"}, other
        assert others[0].get("items") or others[0]["value"] > 0
        assert stop(process) == 0


def test_the_embedded_server(tmp_path: Path) -> None:
    """Without a URL it brings its own PostgreSQL, stops it with itself, and goes on from the same data with the same key."""
    with running("fitness", "--activities", 300, data_dir=str(tmp_path)) as (process, said):
        pid_file = tmp_path / "postgres" / "data" / "postmaster.pid"
        assert pid_file.exists()
        assert stop(process, signal.SIGTERM) == 0
        assert not pid_file.exists()
    with running("fitness", "--activities", 300, data_dir=str(tmp_path)) as (process, again):
        assert key_in(again) == key_in(said)
        assert stop(process) == 0


def test_stopped_while_it_loads(database_url: str, tmp_path: Path) -> None:
    """Ctrl-C in the middle of loading is no failure either, and what was loaded stays."""
    given = {"database_url": database_url, "data_dir": str(tmp_path)}
    with program("demo", "--once", "--activities", 60_000, **given) as process:
        assert process.stderr is not None
        assert any("activities" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=STOP_S)
        assert process.returncode == 0
    state = json.loads((tmp_path / "demo" / "fitness.json").read_text())
    assert state["commands"] > 0
    assert state["activities"] < 60_000


def test_an_address_that_is_taken(database_url: str, tmp_path: Path) -> None:
    """Is found out before anything is loaded."""
    given = {"database_url": database_url, "data_dir": str(tmp_path)}
    with running("audit", "--activities", 1, "--no-trickle", **given) as (_, said):
        port = re.findall(r"127\.0\.0\.1:(\d+)", said)[0]
        with program("demo", "--port", port, **given) as second:
            _, complaint = second.communicate(timeout=STOP_S)
    assert second.returncode == 2
    assert complaint.startswith(f"Error: Cannot listen on 127.0.0.1:{port}")


def test_curl_is_quoted_for_a_shell() -> None:
    """Whatever is in a body."""
    line = curl("http://h", "k", "/v1/activities?a=1&b=2", '{"note": "it\'s $HOME"}')
    done = subprocess.run(["bash", "-c", f"curl() {{ printf '%s\\n' \"$@\"; }}; {line}"], capture_output=True, text=True)
    assert '{"note": "it\'s $HOME"}' in done.stdout.splitlines()
    assert "http://h/v1/activities?a=1&b=2" in done.stdout.splitlines()
