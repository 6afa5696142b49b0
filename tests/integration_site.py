"""What tests of integrations look at: a client that keeps what is logged, and a real server as an app sees it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from milepost.client import Milepost

__all__ = ["Recorder", "Site", "model_of_the_page", "said"]

PAGE = Path(__file__).parent.parent / "docs" / "integrations.md"


class Recorder:
    """Has the `log` of a client; each activity is a mapping of what it was given."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.seen: list[dict[str, Any]] = []
        self.flushes = 0

    def log(self, verb: str, actor: str, **more: Any) -> None:
        with self._lock:
            self.seen.append(
                {"verb": verb, "actor": actor, **{name: value for name, value in more.items() if value is not None}}
            )

    def flush(self, timeout: float | None = None) -> bool:
        self.flushes += 1
        return True

    @property
    def last(self) -> dict[str, Any]:
        return self.seen[-1]


class Site:
    """A server, and a tenant on it."""

    def __init__(self, url: str, key: str, spool_dir: Path, *, tenant: str, database_url: str) -> None:
        self.url, self.key, self.spool_dir = url, key, spool_dir
        self.tenant, self.database_url = tenant, database_url

    def client(self) -> Milepost:
        return Milepost(self.url, self.key, spool_dir=self.spool_dir)

    def read(self, **filters: str) -> list[dict[str, Any]]:
        """Oldest first, all that was delivered before: an activity that is waited for comes after it in the tenant's lane."""
        self._ask("/v1/activities", {"activities": [{"actor": "test", "verb": "mark"}]}, Prefer="wait=30")
        items = self._ask(f"/v1/activities?{urlencode({'limit': 500, **filters})}")["items"]
        return [item for item in reversed(items) if item["verb"] != "mark"]

    def _ask(self, path: str, body: Any = None, **headers: str) -> Any:
        headers |= {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(self.url + path, data, headers), timeout=60) as answer:
            return json.load(answer)


def model_of_the_page() -> str:
    """What docs/integrations.md tells to declare, with a verb for `Site.read`."""
    return "\n".join([*re.findall(r"^```toml\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S), "[verbs.mark]"])


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, complaint
    answer: dict[str, Any] = json.loads(out)
    return answer
