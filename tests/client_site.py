"""A real server for a client to lose and find again, and what of the client's activities is in its database."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from time import monotonic, perf_counter, sleep
from typing import Any

from fix_postgres import in_own_loop
from milepost.access.keys import create_key
from milepost.access.tenants import create_tenant
from milepost.client import Milepost
from milepost.postgres import Database
from milepost.schema.models import apply_model
from processes import program

__all__ = ["Check", "ClientSite", "Row", "Traffic", "free_port", "row_of", "say_rows", "until"]

MODEL = """
name = "client"
[verbs.run]
object = "workout"
measures.n = { type = "integer", min = 0 }
[verbs.login]
"""
STOP_S = 60
DEADLINE_S = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(seen: Any, what: str, timeout_s: float = DEADLINE_S) -> None:
    """Asks again and again for what another process or thread is about to show."""
    deadline = monotonic() + timeout_s
    while not seen():
        assert monotonic() < deadline, f"not in {timeout_s} s: {what}"
        sleep(0.01)


class ClientSite:
    """`start`, `kill` and `stop` the server as often as you like; its address stays."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.database_url = database_url
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = ""
        self._process: subprocess.Popen[str] | None = None
        in_own_loop(self._prepare)

    async def _prepare(self) -> None:
        async with await Database.connect_owner(self.database_url) as owner:
            await apply_model(owner, MODEL)
            tenant = await create_tenant(owner, "app", 1)
            self.key = await create_key(owner, tenant.tenant_id, ["read", "write"], "app")

    def client(self, **settings: Any) -> Milepost:
        given: dict[str, Any] = {"spool_dir": self.folder / "spool", "retry_s_max": 1.0, "spill_after_s": 0.5} | settings
        return Milepost(given.pop("url", self.url), given.pop("key", self.key), **given)

    def files(self) -> list[Path]:
        return sorted((self.folder / "spool").rglob("*.db"))

    def start(self) -> None:
        assert self._process is None
        words = ("serve", "--port", self.port, "--lease-s", "1", "--log-level", "error")
        self._process = program(*words, database_url=self.database_url, data_dir=str(self.folder / "data"))
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said.startswith("serving http"):
            process, self._process = self._process, None
            raise AssertionError(f"the server ended: {said}{process.communicate(timeout=STOP_S)[1]}")

    def kill(self) -> None:
        """SIGKILL: no goodbye to anyone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Safe twice."""
        self._end(signal.SIGTERM)

    def _end(self, sent: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(sent)
            process.communicate(timeout=STOP_S)

    def loaded(self) -> Counter[tuple[str, str]]:
        """How often each (actor, object's id) is there."""

        async def ask() -> list[tuple[Any, ...]]:
            async with await Database.connect_owner(self.database_url) as owner:
                query = b"""SELECT a.external_id, coalesce(v.object_id, ''), count(*) FROM milepost.activity v
                            JOIN milepost.actor a USING (tenant_id, actor_id) GROUP BY 1, 2"""
                return await (await owner.execute(query)).fetchall()

        return Counter({(actor, identity): count for actor, identity, count in in_own_loop(ask)})

    def order(self, actor: str) -> list[str]:
        """The objects' ids of an actor's activities, as they came into the lane."""

        async def ask() -> list[tuple[Any, ...]]:
            async with await Database.connect_owner(self.database_url) as owner:
                query = b"""SELECT v.object_id FROM milepost.activity v JOIN milepost.actor a USING (tenant_id, actor_id)
                            WHERE a.external_id = %s ORDER BY v.received_at, v.id"""
                return await (await owner.execute(query, [actor])).fetchall()

        return [row[0] for row in in_own_loop(ask)]

    def wait_for(self, expected: set[tuple[str, str]]) -> Counter[tuple[str, str]]:
        """Until all of them are loaded. → all that is."""
        deadline = monotonic() + DEADLINE_S
        while not expected <= (loaded := self.loaded()).keys():
            missing = sorted(expected - loaded.keys())
            assert monotonic() < deadline, f"{len(missing)} of {len(expected)} are not there, such as {missing[:5]}"
            sleep(0.02)
        return loaded


class Traffic(Thread):
    """Logs numbered activities of one actor, and measures how long each call kept it. `finish` ends it."""

    def __init__(self, client: Milepost, actor: str, *, pause_s: float = 0.001, count: int | None = None) -> None:
        super().__init__(daemon=True)
        self.client, self.actor, self.pause_s, self.count = client, actor, pause_s, count
        self.logged: list[str] = []
        self.longest_s = 0.0
        self.error: BaseException | None = None
        self._ending = False

    def run(self) -> None:
        chance = random.Random(self.actor)
        try:
            while not self._ending and (self.count is None or len(self.logged) < self.count):
                number = str(len(self.logged))
                began = perf_counter()
                self.client.log(
                    "run", self.actor, object=("workout", number), measures={"n": len(self.logged)}, data={"note": "x" * chance.randrange(60)}
                )  # fmt: skip
                self.longest_s = max(self.longest_s, perf_counter() - began)
                self.logged.append(number)
                if self.pause_s:
                    sleep(self.pause_s)
        except BaseException as error:
            self.error = error

    def finish(self) -> set[tuple[str, str]]:
        """→ what must be there, now or later."""
        self._ending = True
        self.join()
        assert self.error is None, self.error
        return {(self.actor, number) for number in self.logged}


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a fault did."""

    fault: str
    accepted: int
    loaded: int
    lost: int
    duplicated: int
    longest_ms: float | None  # None: the calls were another process's


Check = Callable[[str, set[tuple[str, str]], Counter[tuple[str, str]], float | None], Row]


def row_of(fault: str, expected: set[tuple[str, str]], loaded: Counter[tuple[str, str]], longest_s: float | None) -> Row:
    return Row(
        fault=fault,
        accepted=len(expected),
        loaded=len(expected & loaded.keys()),
        lost=len(expected - loaded.keys()),
        duplicated=sum(loaded[one] - 1 for one in expected if loaded[one] > 1),
        longest_ms=None if longest_s is None else longest_s * 1000,
    )


def say_rows(rows: list[Row]) -> str:
    lines = [f"{'fault':44} {'accepted':>9} {'loaded':>9} {'lost':>5} {'duplicated':>10} {'longest call':>13}"]
    lines += [
        f"{row.fault:44} {row.accepted:9,} {row.loaded:9,} {row.lost:5} {row.duplicated:10} "
        + ("            –" if row.longest_ms is None else f"{row.longest_ms:10.1f} ms")
        for row in rows
    ]
    return "\n".join(lines)
