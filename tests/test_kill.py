"""Invariants 1 and 2 under SIGKILL: of the loader, of the server and of PostgreSQL, at the named points of the path.

112 kills: 72 loaders (12 at each point of the load), 20 servers, 20 times PostgreSQL; each is counted, and happened at its point. After
each, the rest is loaded by a fresh process; at the end every acknowledged activity is there once, its large content too, and verify finds no
difference. That many with `MILEPOST_TEST_LONG=1`; `MILEPOST_TEST_KILLS` scales it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

import pytest

from effort import kills
from fault_table import Check
from fix_postgres import chosen_bin, in_own_loop
from milepost.access.keys import create_key
from milepost.access.tenants import create_tenant
from milepost.errors import MilepostError
from milepost.intake.accept import Acceptor
from milepost.intake.queue import Queue
from milepost.postgres import Database, EmbeddedServer
from milepost.rollups.verify import verify
from milepost.schema import migrate
from milepost.schema.models import apply_model, current_model
from milepost.settings import Settings
from milepost.storage.content import Contents, kept_of
from milepost.storage.objects import object_store

LOADER_POINTS = ["load.contents_kept", "load.copied", "load.inserted", "load.folded", "load.before_commit", "load.after_commit"]
SERVER_POINTS = ["enqueue.before_commit", "enqueue.after_commit", *LOADER_POINTS]
MODEL = """
name = "kill"
[verbs.run]
measures.distance_m = { type = "decimal(1)" }
[rollups.per_actor]
of = "run"
by = ["actor"]
per = ["day", "all"]
values = ["count", "sum(distance_m)", "max(distance_m)", "distinct(object)"]
[latest.newest]
of = "run"
by = ["actor"]
values = ["distance_m"]
"""

pytest_plugins = ["fix_faults"]
pytestmark = pytest.mark.timeout(900)


def content_of(number: int) -> dict[str, Any] | None:
    """Every tenth has one that goes to the object store."""
    return {"n": number, "text": "x" * 5000} if number % 10 == 0 else None


class Site:
    """A durable server (its fsync is on: what is promised is promised to survive), one tenant, and what was acknowledged."""

    def __init__(self, server: EmbeddedServer, url: str, settings: Settings) -> None:
        self.server, self.url, self.settings = server, url, settings
        self.tenant_id = 0
        self.key = ""
        self.acknowledged: set[str] = set()
        self.unsure: set[str] = set()  # sent, but the answer was lost: may be there, once
        self.rng = random.Random(11)
        self.number = 0
        self.longest_s: float | None = None  # until an answer

    async def prepare(self) -> None:
        owner = await Database.connect_owner(self.url)
        async with owner:
            await migrate(owner, 1)
            await apply_model(owner, MODEL)
            self.tenant_id = (await create_tenant(owner, "site", 1)).tenant_id
            self.key = await create_key(owner, self.tenant_id, ["read", "write"], "test")

    def batch(self, rows: int = 20) -> list[dict[str, Any]]:
        made = []
        for _ in range(rows):
            if self.number and self.rng.random() < 0.2:  # a retry of something earlier
                number = self.rng.randrange(self.number)
            else:
                number, self.number = self.number, self.number + 1
            when = datetime(2026, 2, 1, tzinfo=UTC) + timedelta(minutes=11 * number)
            made.append(
                {
                    "key": str(number),
                    "occurred_at": when.isoformat(),
                    "actor": f"a{number % 13}",
                    "verb": "run",
                    "object": {"kind": "workout", "id": str(number % 40)},
                    "measures": {"distance_m": number % 100},
                    "content": content_of(number),
                }
            )
        return made

    async def enqueue(self, db: Database, queue: Queue, batches: int) -> None:
        async with db.transaction("point") as conn:
            current = await current_model(conn)
        acceptor = Acceptor(current.model, current.version)
        for _ in range(batches):
            rows = self.batch()
            accepted = acceptor.accept(self.tenant_id, json.dumps({"activities": rows}).encode(), datetime.now(UTC))
            await queue.enqueue(
                tenant_id=self.tenant_id, lane=0, kind=0, model=current.version, rows=accepted.rows, payload=accepted.payload
            )
            self.acknowledged |= {row["key"] for row in rows}

    async def loader(self, fault: str = "", victim: int | None = None) -> int:
        """Run a loader process until it is done or dead. → its exit code."""
        environ = {**os.environ, "MILEPOST_TEST_FAULT": fault, "PYTHONPATH": "src"}
        if victim is not None:
            environ["MILEPOST_TEST_FAULT_PID"] = str(victim)
        script = Path(__file__).with_name("load_until_done.py")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(script),
            self.url,
            str(self.settings.data_dir),
            env=environ,
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        _, errors = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode in (0, 3, -signal.SIGKILL), errors.decode()
        return process.returncode

    async def load_the_rest(self) -> None:
        for _ in range(50):
            if await self.loader() == 0:
                return
        raise AssertionError("the rest was never loaded")

    async def check(self) -> Counter[tuple[str, str]]:
        """→ how often each key is there, as `checked` wants it."""
        async with await Database.open(self.url, self.settings) as db:
            async with db.transaction("analytics", tenant_id=self.tenant_id) as conn:
                rows = await (await conn.execute("SELECT key, count(*) FROM milepost.activity GROUP BY key")).fetchall()
                counted = await (
                    await conn.execute("SELECT coalesce(sum(n), 0) FROM milepost.rollup_per_actor WHERE per = 'all'")
                ).fetchone()
                large = "SELECT id, key FROM milepost.activity WHERE content IS NULL AND key::int % 10 = 0"
                numbers: dict[UUID, str] = dict(await (await conn.execute(large)).fetchall())
                kept = await kept_of(conn, self.tenant_id, list(numbers))
            assert kept.keys() == numbers.keys()
            contents = Contents(object_store(self.settings))
            for id, one in list(kept.items())[-50:]:
                assert json.loads(await contents.whole(one)) == content_of(int(numbers[id]))
            found: dict[str, int] = dict(rows)
            assert self.acknowledged <= found.keys(), f"lost: {sorted(self.acknowledged - found.keys())[:5]}"
            assert found.keys() <= self.acknowledged | self.unsure
            assert set(found.values()) <= {1}
            assert counted == (len(found),)
            outcome = await verify(db)
            assert outcome.differences == 0, outcome.items[:3]
            assert outcome.checked > 5
        return Counter({("site", key): times for key, times in found.items()})

    def expected(self) -> set[tuple[str, str]]:
        return {("site", key) for key in self.acknowledged}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with EmbeddedServer.start(tmp_path / "server", bin_dir=chosen_bin()) as server:
        url = server.ensure_database("kill")
        made = Site(server, url, Settings(data_dir=tmp_path, write_pool_min=0, point_pool_min=0, analytics_pool_min=0))
        in_own_loop(made.prepare)
        yield made


async def test_the_loader_is_killed_at_each_point(site: Site, checked: Check) -> None:
    """Whatever the load had done, the next loader begins with what was committed."""
    rounds = kills(12)
    planned = [f"{point}:{1 + number % 2}" for number in range(rounds) for point in LOADER_POINTS]
    ended = []
    async with await Database.open(site.url, site.settings) as db:
        queue = Queue(db, site.settings)
        await queue.start()
        for fault in planned:
            # 12 batches are more than one load takes, so that there is a second pass; nobody but the fault sends SIGKILL.
            await site.enqueue(db, queue, 12)
            ended.append((fault, await site.loader(fault)))
        await queue.stop()
    await site.load_the_rest()
    checked(f"loader killed at {len(planned)} points", site.expected(), await site.check(), site.longest_s)
    assert ended == [(fault, -signal.SIGKILL) for fault in planned]


async def test_postgresql_is_killed_at_each_point(site: Site, checked: Check) -> None:
    """Loads commit asynchronously and may be taken back by a crash; the queue does not, and they are loaded again."""
    killed = 0
    for number in range(kills(20)):
        async with await Database.open(site.url, site.settings) as db:
            queue = Queue(db, site.settings)
            await queue.start()
            await site.enqueue(db, queue, 12)
            await queue.stop()
        point = LOADER_POINTS[number % len(LOADER_POINTS)]
        code = await site.loader(point, victim=site.server.pid)
        assert code == 3, "the loader did not notice"
        assert await asyncio.to_thread(site.server.revive)
        killed += 1
    await site.load_the_rest()
    checked(f"PostgreSQL killed at {killed} points", site.expected(), await site.check(), site.longest_s)
    assert killed == kills(20)


async def test_the_server_is_killed_under_load(site: Site, checked: Check) -> None:
    """Clients see a broken connection; what had its receipt is there, what had none may be, once."""
    killed = 0
    for number in range(kills(20)):
        point = SERVER_POINTS[number % len(SERVER_POINTS)]
        async for port, process in serving(site, f"{point}:{1 + number % 4}"):
            while process.returncode is None:
                rows = site.batch()
                keys = {row["key"] for row in rows}
                began = perf_counter()
                try:
                    status = await post(port, site.key, json.dumps({"activities": rows}).encode())
                except (OSError, EOFError):
                    site.unsure |= keys
                    await asyncio.wait_for(process.wait(), 20)
                    break
                assert status == 202
                site.longest_s = max(site.longest_s or 0.0, perf_counter() - began)
                site.acknowledged |= keys
            killed += process.returncode == -signal.SIGKILL
    await site.load_the_rest()
    checked(f"server killed at {killed} points", site.expected(), await site.check(), site.longest_s)
    assert killed == kills(20)
    assert site.acknowledged


async def serving(site: Site, fault: str) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """A server process that will be killed at a point. The lease of the one before has run out, or will within a second."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {**os.environ, "MILEPOST_TEST_FAULT": fault, "PYTHONPATH": "src"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "milepost", "serve", "--port", str(port), "--database-url", site.url),
        *("--data-dir", str(site.settings.data_dir), "--lease-s", "1", "--lanes", "1", "--log-level", "error"),
        env=environ, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(1200):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                if process.returncode is not None:
                    raise MilepostError(f"the server ended with {process.returncode} before it served") from None
                await asyncio.sleep(0.05)
            else:
                writer.close()
                break
        else:
            raise MilepostError("the server does not serve")
        yield port, process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def post(port: int, key: str, body: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            f"POST /v1/activities HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
            f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 20)
        return int(answer.split()[1])
    finally:
        writer.close()
