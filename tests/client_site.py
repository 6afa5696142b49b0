"""A real server for a client to lose and find again, and what of the client's activities is in its database."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
from collections import Counter
from pathlib import Path
from threading import Thread
from time import monotonic, perf_counter, sleep
from typing import Any

from fault_table import Check
from fix_postgres import in_own_loop
from milepost.access.keys import create_key
from milepost.access.tenants import create_tenant
from milepost.client import Milepost
from milepost.postgres import Database
from milepost.schema.models import apply_model
from processes import program

__all__ = ["Check", "ClientSite", "Traffic", "free_port", "until"]

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
    """`start`, `kill` and `stop` the server as often as you like; its address stays.

    key: of a tenant that another site on this database has made; None: it makes one.
    """

    def __init__(self, database_url: str, folder: Path, key: str | None = None) -> None:
        self.database_url = database_url
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = key or ""
        self._process: subprocess.Popen[str] | None = None
        if key is None:
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

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

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
