"""A PostgreSQL that a test takes away and brings back, servers beside it, and senders that note what was acknowledged, and when."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from threading import Event, Thread
from time import perf_counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

from client_site import free_port, until
from clocks import clock_of
from fix_postgres import chosen_bin, in_own_loop
from milepost.access.keys import create_key
from milepost.access.tenants import create_tenant
from milepost.intake.as_sent import activities_of
from milepost.postgres import Connection, Database, EmbeddedServer
from milepost.rollups.verify import verify
from milepost.schema import migrate
from milepost.schema.models import apply_model
from milepost.settings import Settings
from processes import environment
from proxy import TcpProxy

__all__ = ["OutageSite", "Sender", "Server", "run_of"]

MODEL = """
name = "outage"
[verbs.run]
object = "workout"
measures.n = { type = "integer", min = 0 }
[rollups.per_actor]
of = "run"
by = ["actor"]
per = ["day", "all"]
values = ["count", "sum(n)"]
"""
TENANTS = 3
BATCH = 5
STOP_S = 60
ANSWER_S = 60.0

# Status, body, headers.
Answer = tuple[int, Any, dict[str, str]]


class OutageSite:
    """PostgreSQL with its fsync on, and some tenants."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.postgres = EmbeddedServer.start(folder / "postgres", bin_dir=chosen_bin())
        self.url = self.postgres.ensure_database("outage")
        self.tenants: list[tuple[int, str]] = []
        self._stopped: list[int] = []
        self.servers: list[Server] = []
        in_own_loop(self._prepare)

    async def _prepare(self) -> None:
        async with await Database.connect_owner(self.url) as owner:
            await migrate(owner, 2)
            await apply_model(owner, MODEL)
            for number in range(TENANTS):
                tenant = await create_tenant(owner, f"tenant-{number}", 2)
                self.tenants.append((tenant.tenant_id, await create_key(owner, tenant.tenant_id, ["read", "write"])))

    def server(self, **settings: str) -> Server:
        made = Server(self, settings)
        self.servers.append(made)
        return made

    def end(self) -> None:
        self.go_on()
        for server in self.servers:
            server.kill()
        self.postgres.revive()
        self.postgres.stop()

    def url_by(self, proxy: TcpProxy) -> str:
        """The database through a proxy that leads to `socket_path`."""
        return f"postgresql://postgres@127.0.0.1:{proxy.port}/outage"

    @property
    def socket_path(self) -> Path:
        return Path(parse_qs(urlsplit(self.url).query)["host"][0]) / ".s.PGSQL.5432"

    # ── PostgreSQL goes, and comes back ────────────────────────────────────────────────────────────────────────────

    def stop_postgres(self) -> None:
        """As an operator stops it: whoever is connected is sent away."""
        self._signal_postgres(signal.SIGINT)

    def kill_postgres(self) -> None:
        self._signal_postgres(signal.SIGKILL)

    def _signal_postgres(self, number: signal.Signals) -> None:
        pid = self.postgres.pid
        os.kill(pid, number)
        until(lambda: not _runs(pid), "PostgreSQL has ended")

    def start_postgres(self) -> None:
        assert self.postgres.revive()

    def hang_postgres(self) -> None:
        """It keeps its connections, and says nothing on them."""
        pid = self.postgres.pid
        self._stopped = [pid, *_children(pid)]
        for one in self._stopped:
            os.kill(one, signal.SIGSTOP)

    def go_on(self) -> None:
        stopped, self._stopped = self._stopped, []
        for one in stopped:
            if _runs(one):
                os.kill(one, signal.SIGCONT)

    # ── What became of it ──────────────────────────────────────────────────────────────────────────────────────────

    def asked(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        async def ask() -> list[tuple[Any, ...]]:
            async with await Database.connect_owner(self.url) as owner:
                return await (await owner.execute(query.encode(), parameters)).fetchall()

        return in_own_loop(ask)

    def loaded(self) -> Counter[tuple[str, str]]:
        """How often each (tenant, object's id) is there."""
        rows = self.asked("SELECT tenant_id::text, object_id, count(*) FROM milepost.activity GROUP BY 1, 2")
        return Counter({(tenant, identity): count for tenant, identity, count in rows})

    def wait_for(self, expected: set[tuple[str, str]]) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()

        def all_there() -> bool:
            nonlocal found
            found = self.loaded()
            return expected <= found.keys()

        until(all_there, "all that was acknowledged is loaded", 120)
        return found

    def queued(self, tenant_id: int) -> list[int]:
        """The numbers of a tenant's activities in the order in which the queue has them, each where it came first."""

        async def ask() -> list[int]:
            async with await Database.connect_owner(self.url) as owner:
                seen: dict[int, None] = {}
                for payload in await _payloads(owner, tenant_id):
                    for sent in activities_of(payload, {"n": 0}):
                        seen.setdefault(int(sent.activity["object"]["id"]))
                return list(seen)

        return in_own_loop(ask)

    def verified(self) -> None:
        """What is derived from the activities is what it should be."""

        async def ask() -> None:
            settings = Settings(data_dir=self.folder, write_pool_min=0, point_pool_min=0, analytics_pool_min=0)
            async with await Database.open(self.url, settings) as db:
                outcome = await verify(db)
                assert outcome.differences == 0, outcome.items[:3]

        in_own_loop(ask)

    def spill_files(self) -> list[Path]:
        return sorted((self.data / "spill").glob("*.db"))

    def spilled(self) -> int:
        """Batches in spill files, whoever has them."""
        found = 0
        for path in self.spill_files():
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
                found += connection.execute("SELECT count(*) FROM batch").fetchone()[0]
            connection.close()
        return found


class Server:
    """`milepost serve` as a process; its address stays."""

    def __init__(self, site: OutageSite, settings: dict[str, str]) -> None:
        self._site = site
        self._settings = settings
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None

    def start(self, fault: str = "", *, clock: Path | None = None) -> None:
        """clock: the server's runs by so many seconds aside as this file says (`clocks`)."""
        place = {"database_url": self._site.url, "data_dir": str(self._site.data), "queue_rotate_s": "3600"} | self._settings
        if fault:
            place["test_fault"] = fault
        words = ("serve", "--port", self.port, "--lease-s", "1", "--log-level", "warning")
        self.log = (self._site.folder / f"server-{self.port}.log").open("a")
        # Its messages go to a file: nobody reads a pipe while it runs.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "milepost", *map(str, words)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env=environment(**place) | ({} if clock is None else clock_of(clock)),
        )  # fmt: skip
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said.startswith("serving http"), said

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, sent: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(sent)
            process.communicate(timeout=STOP_S)
            self.log.close()

    def wait_killed(self) -> None:
        """Until a fault has killed it."""
        assert self.process is not None
        assert self.process.wait(STOP_S) == -signal.SIGKILL
        self.stop()

    def ready(self) -> dict[str, Any]:
        """What /readyz says, whatever its status."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=30) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as refused:
            return dict(json.load(refused))

    def state(self) -> str:
        return str(self.ready()["queue"]["state"])

    def post(self, key: str, rows: list[dict[str, Any]], **headers: str) -> Answer:
        return self.request("POST", "/v1/activities", key, {"activities": rows}, **headers)

    def get(self, path: str, key: str) -> Answer:
        return self.request("GET", path, key)

    def request(self, method: str, path: str, key: str, body: Any = None, **headers: str) -> Answer:
        """Raises `OSError`, `HTTPException` where the connection fails."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            return answered(connection, method, path, key, body, headers)
        finally:
            connection.close()


def answered(
    connection: http.client.HTTPConnection, method: str, path: str, key: str, body: Any, headers: dict[str, str]
) -> Answer:
    given = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, None if body is None else json.dumps(body).encode(), given)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read() or b"null"), {name.lower(): value for name, value in answer.getheaders()}


def run_of(number: int, note: str = "") -> dict[str, Any]:
    return {
        "key": f"k{number}",
        "occurred_at": f"2026-03-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z",
        "actor": f"a{number % 7}",
        "verb": "run",
        "object": {"kind": "workout", "id": str(number)},
        "measures": {"n": number},
        "data": {"note": note},
    }


class Sender(Thread):
    """Sends one tenant's batches one after the other, the next when the last has its receipt. What is refused is sent again."""

    def __init__(
        self, server: Server, tenant: tuple[int, str], *, pause_s: float = 0.005, note: str = "", first: int = 0
    ) -> None:
        super().__init__(daemon=True)
        self.server, self.tenant, self.pause_s, self.note, self.first = server, tenant, pause_s, note, first
        self.acknowledged: set[tuple[str, str]] = set()
        self.statuses: Counter[int] = Counter()
        self.retry_after: set[str] = set()
        self.longest_s = 0.0
        self.error: BaseException | None = None
        self.refused = Event()
        self._ending = Event()

    def run(self) -> None:
        number = self.first
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=ANSWER_S)
        try:
            while not self._ending.is_set():
                rows = [run_of(number + offset, self.note) for offset in range(BATCH)]
                began = perf_counter()
                try:
                    status, _, headers = answered(
                        connection, "POST", "/v1/activities", self.tenant[1], {"activities": rows}, {}
                    )
                except (OSError, http.client.HTTPException):
                    connection.close()  # the server was killed: the same again
                    self._ending.wait(0.02)
                    continue
                self.longest_s = max(self.longest_s, perf_counter() - began)
                self.statuses[status] += 1
                if status == 202:
                    self.acknowledged |= {(str(self.tenant[0]), row["object"]["id"]) for row in rows}
                    number += BATCH
                    self._ending.wait(self.pause_s)
                else:
                    self.retry_after.add(headers.get("retry-after", ""))
                    self.refused.set()
                    self._ending.wait(0.05)
        except BaseException as error:
            self.error = error
        finally:
            connection.close()

    def finish(self) -> set[tuple[str, str]]:
        """→ what was acknowledged."""
        self._ending.set()
        self.join(ANSWER_S)
        assert self.error is None, self.error
        return self.acknowledged


async def _payloads(owner: Connection, tenant_id: int) -> list[bytes]:
    row = await (await owner.execute(b"SELECT tables FROM milepost.queue")).fetchone()
    assert row is not None
    tables = " UNION ALL ".join(f"SELECT txid, batch_id, tenant_id, payload FROM milepost.queue_{n + 1}" for n in range(row[0]))
    query = f"SELECT payload FROM ({tables}) AS q WHERE tenant_id = %s ORDER BY txid, batch_id"
    return [bytes(payload) for (payload,) in await (await owner.execute(query.encode(), [tenant_id])).fetchall()]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
