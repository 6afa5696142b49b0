"""Invariants 1 and 2 with Redis before the queue, under SIGKILL: of the server at each point of the way through Redis, of Redis while
it is written, and with PostgreSQL away while Redis acknowledges.

After each kill the next server goes on; at the end every acknowledged activity is there once, and verify finds no difference.
`MILEPOST_TEST_KILLS` scales it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from effort import kills
from milepost.intake.queue import backlog
from milepost.intake.streams.servers import Servers, ask
from milepost.postgres import Database
from streams import a_batch, keys_of, primary_on, queued, relay_on
from test_kill import Site, post, serving

if TYPE_CHECKING:
    from fix_redis import RedisServer

from test_kill import site as site  # the fixture

pytest_plugins = ["fix_redis"]
pytestmark = pytest.mark.timeout(600)

POINTS = ["redis.before_add", "redis.after_add", "relay.before_move", "relay.after_move", "relay.trimmed"]


async def until_loaded(site: Site, redis: RedisServer) -> None:
    """All that Redis acknowledged is in PostgreSQL, and loaded. A server does it."""
    servers = Servers(redis.url, name="test")
    async with await Database.open(site.url, site.settings) as db:
        stream = await servers.of((await keys_of(db)).batches)
        async with asyncio.timeout(60):
            while True:
                waiting = await ask(stream, "XLEN", (await keys_of(db)).batches)
                async with db.transaction("point") as conn:
                    if not waiting and not any(lane.batches for lane in await backlog(conn)):
                        break
    await servers.close()


async def test_the_server_is_killed_on_the_way_through_redis(
    site: Site, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the stream and its answer, between the move's commit and the trim: nothing acknowledged is lost or twice."""
    monkeypatch.setenv("MILEPOST_REDIS_URL", redis.url)
    rounds, killed = kills(3), 0
    for number in range(rounds):
        for point in POINTS:
            async for port, process in serving(site, f"{point}:{3 + number}"):
                while process.returncode is None:
                    rows = site.batch()
                    keys = {row["key"] for row in rows}
                    try:
                        status = await post(port, site.key, json.dumps({"activities": rows}).encode())
                    except (OSError, EOFError):
                        site.unsure |= keys
                        await asyncio.wait_for(process.wait(), 20)
                        break
                    assert status == 202
                    site.acknowledged |= keys
                killed += process.returncode == -signal.SIGKILL
    async for _ in serving(site, ""):
        await until_loaded(site, redis)
    await site.check()
    assert killed == rounds * len(POINTS)
    assert site.acknowledged


async def test_redis_is_killed_under_a_server(site: Site, redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server goes on: each request has its receipt, from Redis or from the spill, and all is there once at the end."""
    monkeypatch.setenv("MILEPOST_REDIS_URL", redis.url)
    async for port, _ in serving(site, ""):
        for _ in range(kills(3)):
            for number in range(60):
                rows = site.batch()
                assert await post(port, site.key, json.dumps({"activities": rows}).encode()) == 202
                site.acknowledged |= {row["key"] for row in rows}
                if number == 20:
                    redis.kill()
                if number == 40:
                    await asyncio.to_thread(redis.start)
        await until_drained(site, port)
        await until_loaded(site, redis)
    await site.check()


async def until_drained(site: Site, port: int) -> None:
    """The server's spill is empty: it says so."""
    async with asyncio.timeout(60):
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            answer = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])
            writer.close()
            if answer["queue"]["state"] == "direct":
                return


async def test_redis_acknowledges_while_postgresql_is_away(site: Site, redis: RedisServer) -> None:
    """PostgreSQL is killed; Redis takes what comes, and it is moved in order when PostgreSQL is back."""
    settings = replace(site.settings, redis_url=redis.url)
    async with await Database.open(site.url, settings) as db, primary_on(db, settings) as primary:
        await primary.put(a_batch(b"0"))
        os.kill(site.server.pid, signal.SIGKILL)
        for number in range(1, 50):
            await primary.put(a_batch(b"%d" % number))
        assert await asyncio.to_thread(site.server.revive)
    async with await Database.open(site.url, settings) as db, relay_on(db, settings) as relay:
        await relay.run_once()
        assert await queued(db) == [b"%d" % number for number in range(50)]
