"""One lane: its lease, its new batches (each exactly once, at a steady cost), marks and position."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from effort import examples
from fix_queue import (
    ManualClock,
    connected,
    insert,
    load,
    owner_of,
    put,
    queue_on,
    reader_of,
    value,
)
from milepost.errors import Conflict, DatabaseError, NotFound
from milepost.intake import lane as lane_module
from milepost.intake._tables import for_every_table
from milepost.intake.lane import LaneReader, LaneSettings, LeaseLost
from milepost.intake.queue import Batch, Loaded
from milepost.intake.rotation import adopt
from milepost.postgres import Connection, Database
from milepost.settings import Settings

ONCE = "SELECT count(*) = count(DISTINCT batch_id) FROM milepost.queue_1_loaded"


def ids(batches: list[Batch]) -> list[int]:
    return [batch.batch_id for batch in batches]


# ── The lease ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_lane_has_one_holder(db: Database) -> None:
    """While a lease runs nobody else gets the lane; its holder may take it again, which ends what it was before."""
    async with reader_of(db, holder="a") as first, connected(db) as connection:
        other = LaneReader(connection, 0, "b")
        assert not await other.acquire()
        epoch = first.epoch
        assert epoch is not None
        assert await first.acquire()
        assert first.epoch == epoch + 1


async def test_a_dead_holders_lane_is_free_when_its_lease_ran_out(db: Database) -> None:
    """Five seconds by the database's clock at the most; then another takes over and goes on where the marks are."""
    async with queue_on(db, Settings()) as queue, connected(db) as connection, owner_of(db) as owner:
        batch_ids = [(await put(queue)).batch_id for _ in range(3)]
        async with reader_of(db, holder="dies") as dead:
            batches = await dead.poll()
            await load(dead, dead._connection, batches[:1])
            await dead.renew(force=True)
        left = await value(
            connection, "SELECT extract(epoch FROM expires_at - clock_timestamp())::float8 FROM milepost.lane WHERE lane = 0"
        )
        assert 0 < left <= 5
        heir = LaneReader(connection, 0, "heir")
        assert not await heir.acquire()
        await owner.execute("UPDATE milepost.lane SET expires_at = clock_timestamp()")
        assert await heir.acquire()
        assert ids(await heir.poll()) == batch_ids[1:]


async def test_a_closing_holder_gives_the_lane_up_at_once(db: Database) -> None:
    """`release` frees the lane without waiting for the lease; it is safe twice and does not touch an heir's lease."""
    async with reader_of(db, holder="a") as first, connected(db) as connection:
        await first.release()
        heir = LaneReader(connection, 0, "b")
        assert await heir.acquire()
        await first.release()
        assert first.epoch is None
        await heir.renew(force=True)
        assert await value(connection, "SELECT holder FROM milepost.lane WHERE lane = 0") == "b"


async def test_a_holder_that_lost_its_lease_cannot_load(db: Database) -> None:
    """Each thing that an old holder would write raises LeaseLost, the load's fence before all."""
    async with queue_on(db, Settings()) as queue, owner_of(db) as owner, connected(db) as connection:
        await put(queue)
        for write in ("fence", "renew", "advance"):
            async with reader_of(db, holder="old") as old:
                batches = await old.poll()
                if write == "advance":
                    await load(old, old._connection, batches)
                await owner.execute("UPDATE milepost.lane SET expires_at = '-infinity'")
                heir = LaneReader(connection, 0, "heir")
                assert await heir.acquire()
                with pytest.raises(LeaseLost):
                    if write == "fence":
                        await load(old, old._connection, batches)
                    elif write == "renew":
                        await old.renew(force=True)
                    else:
                        await old.advance(force=True)
                assert old.epoch is None
                assert old.pending == 0
                await heir.release()


async def test_a_load_under_way_cannot_be_overtaken(db: Database) -> None:
    """Between fence and commit nobody takes the lane, even if the lease runs out meanwhile; and nobody waits for it."""
    async with queue_on(db, Settings()) as queue, connected(db) as connection, owner_of(db) as owner:
        await put(queue)
        await owner.execute("UPDATE milepost.lane SET expires_at = '-infinity'")
        async with reader_of(db, settings=LaneSettings(lease_s=0.0)) as slow:
            batches = await slow.poll()
            heir = LaneReader(connection, 0, "heir")
            async with slow._connection.transaction():
                await slow.fence()
                assert not await heir.acquire()
                await slow.mark([Loaded(batch_id=batches[0].batch_id, position=1, loaded=1, duplicates=0)])
            slow.settle([Loaded(batch_id=batches[0].batch_id, position=1, loaded=1, duplicates=0)])
            assert await heir.acquire()
            assert await heir.poll() == []


async def test_renewing_writes_only_when_it_is_due(db: Database) -> None:
    """`renew` may be called in every round: it writes when the lease is older than a second and a half."""
    async with connected(db) as connection:
        clock = ManualClock()
        reader = LaneReader(connection, 0, "a", clock=clock)
        assert await reader.acquire()
        version = "SELECT xmin::text FROM milepost.lane WHERE lane = 0"
        before = await value(connection, version)
        clock.now += 1.4
        await reader.renew()
        assert await value(connection, version) == before
        clock.now += 0.2
        await reader.renew()
        assert await value(connection, version) != before


async def test_a_lane_that_is_not_there(db: Database) -> None:
    """A lane that was never made is an error, not a wait."""
    async with connected(db) as connection:
        with pytest.raises(NotFound):
            await LaneReader(connection, 99, "a").acquire()


# ── New batches ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_poll_gives_what_is_new_in_its_lane(db: Database) -> None:
    """Each batch once, oldest first, from every table, of this lane alone, with all that was said of it."""
    async with queue_on(db, Settings()) as queue, reader_of(db) as reader, connected(db) as connection:
        first = await put(queue, b"one", tenant_id=3, rows=9)
        await put(queue, lane=1)
        third = await insert(connection, table=3)
        second = await insert(connection, table=2)
        batches = await reader.poll()
        assert ids(batches) == sorted([first.batch_id, *second, *third])
        assert (batches[0].tenant_id, batches[0].rows, batches[0].kind, batches[0].model) == (3, 9, 0, 1)
        assert [batch.table for batch in batches] == [1, 3, 2]
        assert await reader.poll() == []
        last = await put(queue)
        assert ids(await reader.poll()) == [last.batch_id]
        assert reader.pending == 4


async def test_payloads_come_in_the_order_asked(db: Database) -> None:
    """Payloads of several tables, in any order, byte for byte; NULs, empty and large ones included."""
    written = {}
    async with queue_on(db, Settings()) as queue, connected(db) as connection, reader_of(db) as reader:
        for payload in (b"", b"\0\xff" * 10, bytes(3_000_000)):
            written[(await put(queue, payload)).batch_id] = payload
        for table in (2, 3):
            written |= dict.fromkeys(await insert(connection, table=table), b"payload")
        batches = (await reader.poll())[::-1]
        assert await reader.payloads(batches) == [written[batch.batch_id] for batch in batches]
        assert await reader.payloads([]) == []


async def test_a_transaction_that_commits_late_is_found(db: Database) -> None:
    """A batch in a transaction that was open during polls is found after its commit, however much came in between."""
    async with reader_of(db) as reader, connected(db) as app, connected(db) as other:
        async with app.transaction():
            early = await insert(app)
            later = await insert(other)
            assert ids(await reader.poll()) == later
            later = await insert(other)
            assert ids(await reader.poll()) == later
            assert await reader.poll() == []
        assert ids(await reader.poll()) == early
        assert await reader.poll() == []


async def test_what_was_rolled_back_is_never_found(db: Database) -> None:
    """Neither while its transaction runs nor afterwards; a savepoint's batch is found with its transaction's."""
    async with reader_of(db) as reader, connected(db) as app:
        await app.execute("BEGIN")
        await insert(app)
        assert await reader.poll() == []
        await app.execute("ROLLBACK")
        async with app.transaction():
            async with app.transaction():
                kept = await insert(app)
            assert await reader.poll() == []
        assert ids(await reader.poll()) == kept


async def test_a_table_made_between_polls_is_read(db: Database) -> None:
    """The snapshot never passes over a table that the poll before did not know."""
    async with reader_of(db) as reader, owner_of(db) as owner:
        assert await reader.poll() == []
        async with owner.transaction():
            for name in ("queue_4", "queue_4_loaded"):
                template = name.replace("4", "template")
                await owner.execute(f"CREATE TABLE milepost.{name} (LIKE milepost.{template} INCLUDING ALL)".encode())
                await owner.execute(f"GRANT SELECT, INSERT ON milepost.{name} TO milepost_service".encode())
            await owner.execute("UPDATE milepost.queue SET tables = 4")
        new = await insert(owner, table=4)
        assert ids(await reader.poll()) == new


async def test_a_backlog_comes_in_pages(db: Database) -> None:
    """Pages of a bounded size, each batch in one of them, while others commit between two pages, late ones too."""
    async with connected(db) as app, connected(db) as late, reader_of(db, settings=LaneSettings(batches_max=4)) as reader:
        expected = []
        await late.execute("BEGIN")
        hidden = await insert(late)
        for table in (1, 2, 1, 3):
            expected += await insert(app, table=table, count=3)
        pages = [await reader.poll()]
        assert reader.more
        await late.execute("COMMIT")
        expected += hidden + await insert(app, count=2)
        while page := await reader.poll():
            pages.append(page)
        assert not reader.more
        assert max(map(len, pages)) <= 4 + 1  # the late one comes beside a page
        assert sorted(ids([batch for page in pages for batch in page])) == sorted(expected)


async def test_a_flood_does_not_hide_a_late_batch(db: Database) -> None:
    """Though more comes between two pages than a page holds, what committed late is found when the backlog is read."""
    async with connected(db) as app, connected(db) as late, reader_of(db, settings=LaneSettings(batches_max=4)) as reader:
        await late.execute("BEGIN")
        hidden = await insert(late)
        await insert(app, count=10)
        await reader.poll()
        await late.execute("COMMIT")
        found = []
        for _ in range(3):
            await insert(app, count=5)
            found += ids(await reader.poll())
        assert set(hidden) < set(found)


async def test_the_position_waits_for_the_last_page(db: Database) -> None:
    """When all that was read of a backlog is loaded and the rest is not read yet, a new holder finds the rest."""
    async with connected(db) as app, reader_of(db, settings=LaneSettings(batches_max=4)) as reader:
        batch_ids = await insert(app, count=6)
        await load(reader, reader._connection, await reader.poll())
        assert not await reader.advance(force=True)
        assert await reader.acquire()
        assert ids(await reader.poll()) == batch_ids[4:]


async def test_a_failed_poll_leaves_the_connection_usable(db: Database) -> None:
    """A poll that PostgreSQL refuses raises an error of ours, and the transaction is over."""
    async with queue_on(db, Settings()) as queue, owner_of(db) as owner, reader_of(db) as reader:
        await put(queue)
        await reader.poll()
        await owner.execute("REVOKE SELECT ON milepost.queue_2 FROM milepost_service")
        with pytest.raises(DatabaseError):
            await reader.poll()
        await owner.execute("GRANT SELECT ON milepost.queue_2 TO milepost_service")
        last = await put(queue)
        assert ids(await reader.poll()) == [last.batch_id]


# Steps: (session, what it does); the sessions' transactions overlap in every way.
HISTORIES = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 3), st.sampled_from(["begin", "insert", "insert", "commit", "rollback"])),
        st.sampled_from([("reader", "poll"), ("reader", "poll"), ("reader", "load"), ("reader", "advance")]),
        st.sampled_from([("reader", "takeover"), ("reader", "crash")]),
    ),
    max_size=40,
)


@given(history=HISTORIES)
@hypothesis_settings(max_examples=examples(20, 60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_the_order_each_batch_is_loaded_once(db: Database, history: list[tuple[Any, str]]) -> None:
    """Random transactions, polls, loads, takeovers and rolled-back loads: what committed is loaded once, nothing else."""
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(owner_of(db))
        for table in (1, 2, 3):
            await owner.execute(f"TRUNCATE milepost.queue_{table}, milepost.queue_{table}_loaded".encode())
        await owner.execute("UPDATE milepost.lane SET expires_at = '-infinity'")
        sessions = [await stack.enter_async_context(connected(db)) for _ in range(4)]
        reader = await stack.enter_async_context(reader_of(db, settings=LaneSettings(batches_max=3)))
        uncommitted: dict[int, list[int]] = {}
        committed: set[int] = set()
        loaded: list[int] = []
        polled: list[Batch] = []

        async def load_some(batches: list[Batch]) -> None:
            assert set(ids(batches)) <= committed
            await load(reader, reader._connection, batches)
            loaded.extend(ids(batches))

        for who, what in history:
            match what:
                case "begin" if who not in uncommitted:
                    await sessions[who].execute("BEGIN")
                    uncommitted[who] = []
                case "insert":
                    made = await insert(sessions[who], table=1 + len(loaded) % 3)
                    if who in uncommitted:
                        uncommitted[who] += made
                    else:
                        committed.update(made)
                case "commit" | "rollback" if who in uncommitted:
                    await sessions[who].execute(what.upper().encode())
                    made = uncommitted.pop(who)
                    committed.update(made if what == "commit" else [])
                case "poll":
                    polled += await reader.poll()
                case "load":
                    half, polled = polled[::2], polled[1::2]
                    await load_some(half)
                case "advance":
                    await reader.advance(force=True)
                case "takeover":
                    await reader.release()
                    assert await reader.acquire()
                    polled = []
                case "crash" if polled:
                    marks = [Loaded(batch_id=polled[0].batch_id, position=1, loaded=1, duplicates=0)]
                    await reader._connection.execute("BEGIN")
                    await reader.fence()
                    await reader.mark(marks)
                    await reader._connection.execute("ROLLBACK")
                    assert await reader.acquire()
                    polled = []
        for who, made in uncommitted.items():
            await sessions[who].execute("COMMIT")
            committed.update(made)
        while (page := await reader.poll()) or reader.more:
            polled += page
        await load_some(polled)
        assert sorted(loaded) == sorted(committed)
        await reader.advance(force=True)
        assert await reader.acquire()
        assert await reader.poll() == []


# ── Cost ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_long_transaction_elsewhere_does_not_slow_polls(db: Database) -> None:
    """Behind an idle writer, with thousands of batches since, a poll is index probes on the primary keys, a few pages each."""
    async with reader_of(db) as reader, connected(db) as idle, connected(db) as app:
        await idle.execute("BEGIN")
        await idle.execute("SELECT pg_current_xact_id()")
        await reader.poll()
        few = await poll_cost(reader)
        for _ in range(4):
            await insert(app, count=1000)
            batches = await reader.poll()
            assert len(batches) == 1000
            await load(reader, reader._connection, batches)
        behind = await poll_cost(reader)
        assert behind[1] == few[1] == {"Index Scan on queue", "Index Only Scan on queue_loaded"}
        assert behind[0] <= few[0] + 12  # the tree has grown by a level, no more
        tail = await insert(app)
        assert ids(await reader.poll()) == tail


async def poll_cost(reader: LaneReader) -> tuple[int, set[str]]:
    """(pages touched by the poll that would come now, how it reads tables)."""
    assert reader._since is not None
    q, connection = lane_module.q, reader._connection
    values = {
        "lane": 0,
        "since": reader._since,
        "from_txid": reader._since.split(":")[1],
        "from_batch_id": 0,
        "until": None,
        "batches_max": 10_000,
    }
    pages, scans = 0, set()
    for query in (for_every_table(q.new_in_table, 3, around=q.poll_new), for_every_table(q.poll_late, 3)):
        async with connection.transaction():
            await connection.execute(q.poll_isolation)
            await connection.execute(q.poll_plan)
            explained = await value(connection, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + query.decode(), values)
        plan = (json.loads(explained) if isinstance(explained, str) else explained)[0]["Plan"]
        pages += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        scans |= scans_of(plan)
    return pages, scans


def scans_of(plan: dict[str, Any]) -> set[str]:
    name = plan.get("Relation Name", "")
    own = {f"{plan['Node Type']} on queue{'_loaded' * name.endswith('_loaded')}"} if name else set()
    return own.union(*(scans_of(part) for part in plan.get("Plans", [])))


# ── Marks and position ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_load_that_is_rolled_back_leaves_its_batches_pending(db: Database) -> None:
    """Marks go with their transaction; the same batches can be loaded again, and not twice."""
    async with queue_on(db, Settings()) as queue, reader_of(db) as reader:
        await put(queue)
        batches = await reader.poll()
        connection = reader._connection
        await connection.execute("BEGIN")
        await reader.mark([Loaded(batch_id=batches[0].batch_id, position=1, loaded=1, duplicates=0)])
        await connection.execute("ROLLBACK")
        assert reader.pending == 1
        result = Loaded(batch_id=batches[0].batch_id, position=4, loaded=1, duplicates=0, result={"status": 200, "ü": [1]})
        async with connection.transaction():
            await reader.mark([result])
        assert await queue.outcome(result.batch_id, 30) == result
        with pytest.raises(Conflict):
            await reader.mark([result])


async def test_the_position_moves_when_all_below_it_is_loaded(db: Database) -> None:
    """It stays below a batch that waits, moves on partly while newer ones wait, and is not written for nothing."""
    async with connected(db) as app, reader_of(db) as reader:
        connection, seen = (
            reader._connection,
            "SELECT pg_visible_in_snapshot(%s::xid8, position) FROM milepost.lane WHERE lane = 0",
        )
        await insert(app)
        (first,) = await reader.poll()
        await insert(app)
        (second,) = await reader.poll()
        assert not await reader.advance(force=True)
        await load(reader, connection, [first])
        assert await reader.advance(force=True)
        assert await value(connection, seen, [str(first.txid)])
        assert not await value(connection, seen, [str(second.txid)])
        await insert(app)
        (third,) = await reader.poll()
        await load(reader, connection, [third])
        assert not await reader.advance(force=True)
        await load(reader, connection, [second])
        assert await reader.advance(force=True)
        assert await value(connection, seen, [str(third.txid)])
        await app.execute("SELECT pg_current_xact_id()")
        assert await reader.poll() == []
        assert not await reader.advance(force=True)


async def test_the_position_is_written_once_a_second(db: Database) -> None:
    """However often loads end, the lane's row is written at most once a second for it; what is owed comes later."""
    async with connected(db) as app, reader_of(db) as reader:
        clock = reader._clock
        assert isinstance(clock, ManualClock)
        written = []
        for _ in range(3):
            await insert(app)
            await load(reader, reader._connection, await reader.poll())
            written.append(await reader.advance())
        clock.now += 1.0
        written += [await reader.advance(), await reader.advance()]
        assert written == [True, False, False, True, False]


async def test_idle_polls_leave_nothing_behind(db: Database) -> None:
    """A reader that polls for days behind one batch that cannot be loaded keeps no trace of each poll."""
    async with connected(db) as app, reader_of(db) as reader:
        await insert(app)
        await reader.poll()
        for _ in range(5):
            await app.execute("SELECT pg_current_xact_id()")
            await reader.poll()
        assert len(reader._windows) == 2


async def foreign(owner: Connection, *, txid: str) -> None:
    """The database looks as if it had been restored from another cluster's dump."""
    await owner.execute("UPDATE milepost.deployment SET system_identifier = 1")
    for table in (1, 2, 3):
        await owner.execute(f"UPDATE milepost.queue_{table} SET txid = {txid}".encode())


@pytest.mark.parametrize("txid", ["txid", "'3'", "'900000000'"], ids=["same", "small", "large"])
@pytest.mark.parametrize("adopted", [False, True], ids=["as it is", "adopted"])
async def test_after_a_restore_all_that_is_not_marked_is_found(db: Database, txid: str, adopted: bool) -> None:
    """In another cluster, whatever its transaction numbers: each unmarked batch once, no marked one, and new ones after."""
    async with queue_on(db, Settings()) as queue, owner_of(db) as owner, reader_of(db, holder="before") as before:
        batch_ids = [(await put(queue)).batch_id for _ in range(10)]
        batches = await before.poll()
        await load(before, before._connection, batches[3:8])
        await load(before, before._connection, batches[:1])
        await owner.execute("UPDATE milepost.lane SET position = pg_current_snapshot(), expires_at = '-infinity'")
        await foreign(owner, txid=txid)
        assert await adopt(owner) if adopted else True
        unmarked = batch_ids[1:3] + batch_ids[8:]
        async with reader_of(db, holder="after") as reader:
            found = await reader.poll()
            assert ids(found) == unmarked
            assert await reader.poll() == []
            await load(reader, reader._connection, found[:2])
            new = await put(queue)
            later = await reader.poll()
            assert ids(later) == [new.batch_id]
            assert await reader.payloads([*found[2:], *later]) == [b"payload"] * 3
            await load(reader, reader._connection, [*found[2:], *later])
            assert await reader.poll() == []
            await reader.advance(force=True)
            assert await reader.acquire()
            assert await reader.poll() == []
            assert await value(owner, ONCE)


async def test_adopting_takes_the_lanes_from_their_readers(db: Database) -> None:
    """A reader that began before the adoption cannot load by the old numbers: it loses its lease, and finds all again."""
    async with queue_on(db, Settings()) as queue, owner_of(db) as owner, reader_of(db) as reader:
        batch_ids = [(await put(queue)).batch_id for _ in range(3)]
        batches = await reader.poll()
        await foreign(owner, txid="'900000000'")
        assert await adopt(owner)
        assert not await adopt(owner)
        with pytest.raises(LeaseLost):
            await reader.payloads(batches)
        assert await reader.acquire()
        assert ids(await reader.poll()) == batch_ids
