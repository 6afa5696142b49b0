"""Redis before the queue, on a real server: what it acknowledges is in PostgreSQL's queue once and in order, whatever Redis becomes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis

from fix_queue import until
from milepost.errors import MilepostError, QueueUnavailable, SettingsError
from milepost.intake import relay as moving
from milepost.intake.relay import Relayed, batch_ids, is_elsewhere, receipt_id
from milepost.intake.streams.entry import fields_of
from milepost.intake.streams.lane_relay import PACE_S_MAX, LaneRelay
from milepost.intake.streams.relays import Relays
from milepost.postgres import Database
from milepost.settings import Settings
from streams import OTHERS, a_batch, keys_of, primary_on, queued, relay_on

if TYPE_CHECKING:
    from fix_redis import RedisServer

pytest_plugins = ["fix_redis"]

HOUR_MS = 3_600_000


@pytest.fixture
def with_redis(settings: Settings, redis: RedisServer) -> Settings:
    return replace(settings, redis_url=redis.url)


def spilled(number: int, lane: int = 0) -> Relayed:
    """As it comes from a spill: positions sort as text."""
    batch = a_batch(b"spilled %d" % number, lane=lane)
    return Relayed(position=f"{number:020}", receipt_id=receipt_id(), received_at=datetime.now(UTC), batch=batch)


@pytest.mark.parametrize("redis", [None, *OTHERS], indirect=True)
async def test_what_redis_acknowledges_is_moved_once_and_in_order(db: Database, with_redis: Settings) -> None:
    """Each batch is in the queue byte for byte, with the time it was received, and its receipt tells which batch it became."""
    payloads = [bytes(range(256)) * 10 + b"%d" % number for number in range(700)]
    before = datetime.now(UTC)
    async with primary_on(db, with_redis) as primary:
        receipts = [await primary.put(a_batch(payload, tenant_id=7, rows=3)) for payload in payloads]
    after = datetime.now(UTC)
    async with relay_on(db, with_redis) as relay:
        assert await relay.run_once() == 700
        assert await relay.run_once() == 0
    assert await queued(db) == payloads
    async with db.transaction("point") as connection:
        sent = await connection.execute(
            "SELECT batch_id, tenant_id, kind, model, rows, received_at FROM milepost.queue_1 ORDER BY 1"
        )
        rows = await sent.fetchall()
    assert {row[1:5] for row in rows} == {(7, 0, 1, 3)}
    assert all(before <= row[5] <= after for row in rows)
    assert all(is_elsewhere(receipt) for receipt in receipts)
    connection = await db.direct("test")
    assert await batch_ids(connection, receipts) == dict(zip(receipts, [row[0] for row in rows], strict=True))
    await connection.close()


async def test_callers_share_round_trips(db: Database, with_redis: Settings, redis: RedisServer) -> None:
    """Three hundred callers at once, on three lanes, are written in a few pipelines, each of which asks once whether Redis keeps them."""
    async with primary_on(db, with_redis) as primary:
        async with client_of(redis) as client:
            await client.config_resetstat()
            await asyncio.gather(*(primary.put(a_batch(lane=number % 3)) for number in range(300)))
            calls = await client.info("commandstats")
        assert sum(lane["waiting_batches"] for lane in primary.state()["lanes"].values()) == 300
    assert calls["cmdstat_xadd"]["calls"] == 300
    assert calls["cmdstat_info"]["calls"] <= 5


async def test_a_redis_that_keeps_nothing_is_refused(db: Database, with_redis: Settings, redis: RedisServer) -> None:
    """Without its append-only file the start fails with what to set; told that losing is fine, it goes, and says what that means."""
    redis.ask("CONFIG", "SET", "appendonly", "no")
    with pytest.raises(SettingsError, match=r"appendonly yes.*MILEPOST_REDIS_WITHOUT_AOF"):
        async with primary_on(db, with_redis):
            pass
    async with primary_on(db, replace(with_redis, redis_without_aof=True)) as primary:
        await primary.put(a_batch())
        assert "loses with its process" in primary.state()["lanes"]["0"]["promise"]


async def test_a_redis_that_keeps_nothing_any_more_is_noticed(db: Database, with_redis: Settings, redis: RedisServer) -> None:
    """Switched off under way: the very next batch is not acknowledged; on again, batches are as soon as there is a whole file."""
    async with primary_on(db, with_redis) as primary:
        await primary.put(a_batch())
        assert "survives a crash of Redis and of its machine" in primary.state()["lanes"]["0"]["promise"]
        redis.ask("CONFIG", "SET", "appendonly", "no")
        with pytest.raises(QueueUnavailable, match="append-only file"):
            await primary.put(a_batch())
        redis.ask("CONFIG", "SET", "appendonly", "yes")

        async def taken() -> bool:
            try:
                return bool(await primary.put(a_batch(b"on again")))
            except QueueUnavailable as refused:
                assert "rewriting" in str(refused)
                return False

        await until(taken)
    redis.kill()
    redis.start()
    async with relay_on(db, with_redis) as relay:
        await relay.run_once()
    assert b"on again" in await queued(db)


@pytest.mark.parametrize(
    ("fsync", "promise"), [("everysec", "a crash of its machine may lose about the last second"), ("no", "half minute")]
)
async def test_it_says_what_an_acknowledgement_is_worth(
    db: Database, with_redis: Settings, redis: RedisServer, fsync: str, promise: str
) -> None:
    """By how often Redis syncs its file."""
    redis.ask("CONFIG", "SET", "appendfsync", fsync)
    async with primary_on(db, with_redis) as primary:
        assert promise in primary.state()["lanes"]["0"]["promise"]


async def test_a_redis_that_may_evict_streams_is_refused(db: Database, with_redis: Settings, redis: RedisServer) -> None:
    """An acknowledged batch must not go to make room; policies that evict only keys with a lifetime are fine."""
    redis.ask("CONFIG", "SET", "maxmemory", "64mb")
    redis.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    with pytest.raises(SettingsError, match="allkeys-lru"):
        async with primary_on(db, with_redis):
            pass
    redis.ask("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    async with primary_on(db, with_redis) as primary:
        await primary.put(a_batch())


async def test_a_redis_without_memory_left_acknowledges_nothing(db: Database, with_redis: Settings, redis: RedisServer) -> None:
    """What it refuses is not acknowledged, and nothing of it is there later."""
    async with primary_on(db, with_redis) as primary:
        redis.ask("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(QueueUnavailable, match="maxmemory"):
            await primary.put(a_batch(b"refused"))
        with pytest.raises(QueueUnavailable, match="maxmemory"):
            await primary.put_again("spill a", [spilled(1)])
        redis.ask("CONFIG", "SET", "maxmemory", "0")
        await primary.put(a_batch(b"taken"))
    async with relay_on(db, with_redis) as relay:
        await relay.run_once()
    assert await queued(db) == [b"taken"]


async def test_a_lane_takes_no_more_than_it_may_hold(db: Database, with_redis: Settings) -> None:
    """Beyond `redis_lane_mb` the lane counts as away, for spilled batches too, until its batches are moved."""
    async with primary_on(db, replace(with_redis, redis_lane_mb=1)) as primary:
        taken = 0
        with pytest.raises(QueueUnavailable, match="More than 1 MB"):
            while taken < 100:
                await primary.put(a_batch(bytes(100_000)))
                taken += 1
        assert 5 < taken < 20
        for batches in ([spilled(1)], []):
            with pytest.raises(QueueUnavailable, match="More than 1 MB"):
                await primary.put_again("spill a", batches)
        async with relay_on(db, with_redis) as relay:
            await relay.run_once()
        await primary.put_again("spill a", [])
        await primary.put(a_batch())


async def test_a_redis_that_is_away_is_so_at_once(db: Database, with_redis: Settings, redis: RedisServer) -> None:
    """Killed, it fails each call within moments, also a start; revived, it takes again, and still has what it acknowledged."""
    async with primary_on(db, with_redis) as primary:
        await primary.put(a_batch(b"before"))
        redis.kill()
        async with asyncio.timeout(5):
            for _ in range(3):
                with pytest.raises(QueueUnavailable):
                    await primary.put(a_batch(b"away"))
        async with primary_on(db, with_redis) as started_meanwhile:
            redis.start()
            await started_meanwhile.put(a_batch(b"after"))
        await primary.put(a_batch(b"last"))
    async with relay_on(db, with_redis) as relay:
        await relay.run_once()
    assert await queued(db) == [b"before", b"after", b"last"]


@pytest.mark.parametrize("redis", [None, *OTHERS], indirect=True)
async def test_spilled_batches_are_taken_once(db: Database, with_redis: Settings, redis: RedisServer) -> None:
    """However often a group is put again, also after a crash of Redis, and whatever part of it was there."""
    several = [spilled(number) for number in range(5)]
    async with primary_on(db, with_redis) as primary:
        await primary.put_again("spill a", several[:2])
        redis.kill()
        await asyncio.to_thread(redis.start)  # a loop that stood still would not know that its connection is gone
        await primary.put_again("spill a", several[:3])
        await primary.put_again("spill a", several)
        await primary.put_again("spill a", several)
        await primary.put_again("spill b", [spilled(0)])
        async with relay_on(db, with_redis) as relay:
            assert await relay.run_once() == 6
        await primary.forget("spill a")
        await primary.forget("spill a")
    assert await queued(db) == [b"spilled %d" % number for number in (0, 1, 2, 3, 4, 0)]
    async with client_of(redis) as client:
        assert await client.keys("*taken-from:spill a") == []


async def test_under_load_moves_grow(db: Database, with_redis: Settings) -> None:
    """After a move of many rows the next one rests, so that what comes meanwhile comes together; after one row hardly at all."""
    async with primary_on(db, with_redis) as primary, relay_on(db, with_redis) as relay:
        took = []
        for rows in (1, 5_000):
            await primary.put(a_batch(rows=rows))
            began = monotonic()
            assert await relay.run_once(1.0) == 1
            took.append(monotonic() - began)
    assert took[1] >= PACE_S_MAX * 0.8
    assert took[0] < took[1]


async def test_two_relays_at_once_move_each_batch_once(db: Database, with_redis: Settings) -> None:
    """As for a moment when a lane changes hands: whoever is slower finds the position moved on."""
    async with primary_on(db, with_redis) as primary, relay_on(db, with_redis) as one, relay_on(db, with_redis) as other:
        for number in range(20):
            await asyncio.gather(*(primary.put(a_batch(b"%d" % (100 * number + more))) for more in range(30)))
            moved = await asyncio.gather(one.run_once(), other.run_once())
            assert sum(moved) == 30
    found = await queued(db)
    assert sorted(map(int, found)) == [100 * number + more for number in range(20) for more in range(30)]


async def test_only_what_is_moved_is_trimmed(
    db: Database, with_redis: Settings, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that comes while others are moved stays, though the trim comes after it."""
    async with primary_on(db, with_redis) as primary, relay_on(db, with_redis) as relay:
        original = moving.move

        async def move_and_one_more(*arguments: object) -> bool:
            done = await original(*arguments)  # type: ignore[arg-type]
            monkeypatch.undo()
            await primary.put(a_batch(b"meanwhile"))
            return done

        await primary.put(a_batch(b"first"))
        monkeypatch.setattr(moving, "move", move_and_one_more)
        await relay.run_once()
    assert await queued(db) == [b"first", b"meanwhile"]
    async with client_of(redis) as client:
        assert await client.xlen((await keys_of(db)).batches) == 0


@pytest.mark.parametrize("relay_sees_it", [True, False])
async def test_a_flushed_redis_begins_anew(db: Database, with_redis: Settings, redis: RedisServer, relay_sees_it: bool) -> None:
    """Its stream is another one: the last one's position hides nothing, whether or not the relay was there meanwhile."""
    async with primary_on(db, with_redis) as primary:
        async with relay_on(db, with_redis) as relay:
            await far_ahead(db, redis, b"of tomorrow")
            await relay.run_once()
            redis.ask("FLUSHALL")
            await primary.put(a_batch(b"after the flush"))
            if relay_sees_it:
                await relay.settle()
                await relay.run_once()
        async with relay_on(db, with_redis) as relay:
            await relay.run_once()
    assert await queued(db) == [b"of tomorrow", b"after the flush"]


@pytest.mark.parametrize("redis", [None, *OTHERS], indirect=True)
async def test_nothing_hides_below_the_position(db: Database, with_redis: Settings, redis: RedisServer) -> None:
    """Redis lost its tail while its clock went back: what it took since is moved once, what it takes later comes behind."""
    keys = await keys_of(db)
    async with primary_on(db, with_redis) as primary, relay_on(db, with_redis) as relay:
        await primary.put(a_batch(b"first"))
        await far_ahead(db, redis, b"of tomorrow")
        assert await relay.run_once() == 2
        async with client_of(redis) as client:
            await client.delete(keys.batches)  # the tail, and with it the knowledge of ids
        await primary.put(a_batch(b"hidden"))
        await relay.settle()
        await relay.settle()
        await primary.put(a_batch(b"later"))
        assert await relay.run_once() == 1
    async with primary_on(db, with_redis) as primary, relay_on(db, with_redis) as relay:
        await primary.put(a_batch(b"last"))
        await relay.run_once()
    assert await queued(db) == [b"first", b"of tomorrow", b"hidden", b"later", b"last"]


async def test_what_a_crash_left_untrimmed_is_not_moved_again(db: Database, with_redis: Settings, redis: RedisServer) -> None:
    """Redis came back with what was moved and trimmed already, under its own or another identity: receipts tell."""
    keys = await keys_of(db)
    async with primary_on(db, with_redis) as primary, client_of(redis) as client:
        await primary.put(a_batch(b"first"))
        kept = await client.xrange(keys.batches)
        async with relay_on(db, with_redis) as relay:
            await relay.run_once()
        for identity_lost in (False, True):
            await client.delete(keys.batches, *([keys.identity] if identity_lost else []))
            for entry, fields in kept:
                await client.xadd(keys.batches, fields, entry)
            await primary.put(a_batch(b"next"))
            async with relay_on(db, with_redis) as relay:
                await relay.run_once()
    assert await queued(db) == [b"first", b"next", b"next"]


async def test_an_entry_that_is_no_batch_holds_nothing_up(db: Database, with_redis: Settings, redis: RedisServer) -> None:
    """It is set aside in Redis, as it came."""
    keys = await keys_of(db)
    async with primary_on(db, with_redis) as primary, client_of(redis) as client:
        await primary.put(a_batch(b"one"))
        strange = await client.xadd(keys.batches, {"tenant": "none of ours"})
        await primary.put(a_batch(b"two"))
        async with relay_on(db, with_redis) as relay:
            assert await relay.run_once() == 2
        ((_, aside),) = await client.xrange(keys.unreadable)
    assert aside == {b"entry": strange, b"tenant": b"none of ours"}
    assert await queued(db) == [b"one", b"two"]


async def test_deployments_on_one_redis_do_not_meet(db: Database, with_redis: Settings, redis: RedisServer) -> None:
    """Keys carry a name of the deployment's own, and not its secret."""
    keys = await keys_of(db)
    owner = await db.owner()
    await owner.execute("UPDATE milepost.deployment SET secret = decode(md5('another'), 'hex')")
    await owner.close()
    assert (await keys_of(db)).batches != keys.batches


@pytest.mark.parametrize("redis", [None, *OTHERS], indirect=True)
async def test_redis_is_killed_again_and_again_under_load(db: Database, with_redis: Settings, redis: RedisServer) -> None:
    """Four callers and a relay go on through five kills: what was acknowledged is there once, in each caller's order."""
    acknowledged: list[list[int]] = [[], [], [], []]
    stop = asyncio.Event()
    enough = [asyncio.Event() for _ in range(5)]

    async def call(caller: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                await primary.put(a_batch(b"%d %d" % (caller, number)))
            except MilepostError:
                await asyncio.sleep(0.01)  # a client's pause, not a wait for something
                continue
            acknowledged[caller].append(number)
            total = sum(map(len, acknowledged))
            if total % 200 == 0 and total // 200 <= len(enough):
                enough[total // 200 - 1].set()

    async with primary_on(db, with_redis) as primary:
        async with Relays(db, with_redis, lambda lane: None).beside(0):
            callers = [asyncio.create_task(call(number)) for number in range(4)]
            for due in enough:
                await asyncio.wait_for(due.wait(), 60)
                redis.kill()
                await asyncio.to_thread(redis.start)
            stop.set()
            await asyncio.gather(*callers)
    async with relay_on(db, with_redis) as relay:
        await relay.run_once()
    found = [tuple(map(int, payload.split())) for payload in await queued(db)]
    assert len(set(found)) == len(found)
    for caller, numbers in enumerate(acknowledged):
        own = [number for one, number in found if one == caller]
        assert set(numbers) <= set(own)
        assert own == sorted(own)
    assert sum(map(len, acknowledged)) >= 1000


@asynccontextmanager
async def client_of(redis: RedisServer) -> AsyncIterator[Any]:
    """Whose answers have no types."""
    async with Redis.from_url(redis.url) as client:
        yield client


async def far_ahead(db: Database, redis: RedisServer, payload: bytes) -> None:
    """A batch that was added while Redis' clock was a day ahead."""
    milliseconds = int(datetime.now(UTC).timestamp() * 1000) + 24 * HOUR_MS
    async with client_of(redis) as client:
        words = fields_of(a_batch(payload), receipt_id(), datetime.now(UTC), None)
        await client.execute_command("XADD", (await keys_of(db)).batches, f"{milliseconds}-0", *words)


def test_a_relay_is_safe_to_close_unopened(settings: Settings) -> None:
    """As after a failure to connect."""
    asyncio.run(LaneRelay(None, settings, 0, lambda lane: None).close())  # type: ignore[arg-type]
