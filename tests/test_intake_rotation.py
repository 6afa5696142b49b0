"""Rotation of the queue's tables: what is loaded goes, nothing else, whoever else is at work and wherever it is cut off."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from fix_queue import column, connected, insert, load, owner_of, put, queue_on, reader_of, value
from milepost.errors import DatabaseUnavailable, SchemaMismatch
from milepost.intake import _group_commit, rotation
from milepost.intake._tables import TABLES_MAX
from milepost.intake.lane import LaneReader, LaneSettings, LeaseLost
from milepost.intake.queue import Queue
from milepost.intake.rotation import Rotation, rotate
from milepost.postgres import Connection, Database
from milepost.settings import Settings


async def turn(owner: Connection, *, force: bool = True) -> Rotation:
    """One step that keeps no marks for anyone."""
    return await rotate(owner, Settings(), force=force, keep_s=0)


async def load_all(reader: LaneReader) -> list[int]:
    """Loads what there is and moves the position on."""
    loaded = []
    while batches := await reader.poll():
        loaded += [mark.batch_id for mark in await load(reader, reader._connection, batches)]
    await reader.advance(force=True)
    return loaded


async def used_tables(connection: Connection) -> set[int]:
    """The tables that hold batches or marks."""
    tables = await value(connection, "SELECT tables FROM milepost.queue")
    return {
        table
        for table in range(1, tables + 1)
        if await value(connection, f"SELECT EXISTS (SELECT FROM milepost.queue_{table})")
        or await value(connection, f"SELECT EXISTS (SELECT FROM milepost.queue_{table}_loaded)")
    }


class Meddled:
    """The owner's connection, on which something happens before the statement that holds `before`, or before the nth one."""

    def __init__(self, owner: Connection, meddle: Any, *, before: str = "", nth: int = 0) -> None:
        self._owner, self._meddle, self._before, self._nth = owner, meddle, before, nth
        self.statements = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._owner, name)

    async def execute(self, query: str | bytes, *arguments: Any) -> Any:
        self.statements += 1
        text = query.decode() if isinstance(query, bytes) else query
        if self.statements == self._nth or (self._before and self._before in text):
            await self._meddle()
        return await self._owner.execute(query.encode() if isinstance(query, str) else query, *arguments)


async def test_writing_moves_on_when_the_table_is_old(db: Database) -> None:
    """Not while it is empty or young; when it is old, or the step is forced, to the next free table."""
    async with owner_of(db) as owner, connected(db) as app:
        assert await turn(owner) == Rotation(current=1, tables=3)
        await insert(app)
        await owner.execute("UPDATE milepost.queue SET rotated_at = now()")  # the template may be older than that
        assert await turn(owner, force=False) == Rotation(current=1, tables=3)
        await owner.execute("UPDATE milepost.queue SET rotated_at = rotated_at - interval '61 seconds'")
        assert await turn(owner, force=False) == Rotation(current=2, tables=3, moved_on=True)
        await insert(app, table=2)
        assert await turn(owner, force=False) == Rotation(current=2, tables=3)
        assert await turn(owner) == Rotation(current=3, tables=3, moved_on=True)


async def test_writing_moves_on_when_the_table_is_large(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size counts, payloads included, however young it is."""
    async with owner_of(db) as owner, connected(db) as app:
        await insert(app)
        monkeypatch.setattr(rotation, "ROTATE_BYTES", 1024)
        assert (await turn(owner, force=False)).moved_on


async def test_what_is_loaded_is_truncated(db: Database) -> None:
    """Batches and marks go together, when writing has moved on, all is marked, and the position lies beyond."""
    async with owner_of(db) as owner, connected(db) as app, reader_of(db) as reader:
        await insert(app, count=3)
        await turn(owner)
        assert (await turn(owner)).truncated == ()  # not loaded
        batches = await reader.poll()
        await load(reader, reader._connection, batches[:2])
        await reader.advance(force=True)
        assert (await turn(owner)).truncated == ()  # not all of it
        await load(reader, reader._connection, batches[2:])
        assert (await turn(owner)).truncated == ()  # the position is behind
        assert await reader.advance(force=True)
        assert await turn(owner) == Rotation(current=2, tables=3, truncated=(1,))
        assert await used_tables(app) == set()
        assert await value(owner, "SELECT pg_relation_size('milepost.queue_1')") == 0
        assert await reader.poll() == []


async def test_marks_stay_a_while_for_who_waits(db: Database) -> None:
    """A table whose last mark is young is kept, so that an outcome can still be read."""
    async with owner_of(db) as owner, connected(db) as app, reader_of(db) as reader:
        await insert(app)
        await load_all(reader)
        await rotate(owner, Settings(), force=True)
        assert (await rotate(owner, Settings(), force=True)).truncated == ()
        await owner.execute("UPDATE milepost.queue_1_loaded SET loaded_at = loaded_at - interval '11 seconds'")
        assert (await rotate(owner, Settings(), force=True)).truncated == (1,)


async def test_an_old_snapshot_still_finds_its_batches(db: Database) -> None:
    """While a dump that began before the load runs, the batch stays in the queue, though it holds no lock there yet."""
    async with owner_of(db) as owner, owner_of(db) as dump, connected(db) as app, reader_of(db) as reader:
        await insert(app)
        await dump.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        await dump.execute("SELECT 1")
        await load_all(reader)
        assert await turn(owner) == Rotation(current=2, tables=3, moved_on=True)
        assert await turn(owner) == Rotation(current=2, tables=3, held=True)
        assert await column(dump, "SELECT count(*) FROM milepost.queue_1") == [1]
        assert await column(dump, "SELECT count(*) FROM milepost.queue_1_loaded") == [0]
        await dump.execute("COMMIT")
        assert (await turn(owner)).truncated == (1,)


async def test_an_open_writer_elsewhere_makes_more_tables(db: Database) -> None:
    """While an old transaction holds the tables, new ones are made, used and read; they empty when it ends, and serve on."""
    async with (
        owner_of(db) as owner,
        connected(db) as idle,
        queue_on(db, Settings()) as queue,
        reader_of(db) as reader,
    ):
        await idle.execute("BEGIN")
        await idle.execute("SELECT pg_current_xact_id()")
        made = 0
        for _ in range(5):
            await queue.stop()  # so that each is written to the current table
            await queue.start()
            await put(queue)
            assert len(await load_all(reader)) == 1
            made += (await turn(owner)).made
        assert made == 3
        assert await used_tables(owner) == {1, 2, 3, 4, 5}
        await idle.execute("COMMIT")
        assert (await turn(owner)).truncated == (1, 2, 3, 4, 5)
        await queue.stop()
        await queue.start()
        await put(queue)
        assert (await turn(owner)).current == 1


async def test_there_are_only_so_many_tables(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last one that may be made is in use, writing stays in it."""
    monkeypatch.setattr(rotation, "TABLES_MAX", 4)
    assert TABLES_MAX > 4
    async with owner_of(db) as owner, connected(db) as app:
        for table in range(1, 5):
            await insert(app, table=table) if table < 4 else None
            last = await turn(owner)
        await insert(app, table=4)
        assert (last.current, last.tables) == (4, 4)
        assert await turn(owner) == Rotation(current=4, tables=4)


async def test_a_lock_is_waited_for_only_briefly(db: Database) -> None:
    """A table that somebody has open is left for later; whoever queued up behind the attempt goes on."""
    async with owner_of(db) as owner, connected(db) as app, connected(db) as other, reader_of(db) as reader:
        await insert(app)
        await load_all(reader)
        await turn(owner)
        async with other.transaction():
            await other.execute("LOCK TABLE milepost.queue_1 IN ACCESS SHARE MODE")
            assert await turn(owner) == Rotation(current=2, tables=3, held=True)
            assert await reader.poll() == []
        assert (await turn(owner)).truncated == (1,)


async def test_a_writer_with_stale_knowledge_loses_nothing(db: Database) -> None:
    """A batch that comes into the table just before the lock keeps it; one that comes after the truncation is read as well."""
    async with owner_of(db) as owner, connected(db) as app, reader_of(db) as reader:
        late: list[int] = []

        async def write() -> None:
            late.extend(await insert(app))

        await insert(app)
        await load_all(reader)
        await turn(owner)
        meddled: Any = Meddled(owner, write, before="LOCK TABLE")
        assert (await turn(meddled)).truncated == ()
        assert await load_all(reader) == late
        assert (await turn(owner)).truncated == (1,)
        await write()
        assert await load_all(reader) == late[1:]
        assert (await turn(owner)).truncated == (1,)


async def test_one_rotates_at_a_time(db: Database) -> None:
    """Of several at once one does it; the others leave it alone, and no batch is lost between them."""
    async with (
        owner_of(db) as one,
        owner_of(db) as two,
        owner_of(db) as three,
        connected(db) as app,
        reader_of(db) as reader,
    ):
        for _ in range(20):
            await insert(app, table=await value(app, "SELECT current FROM milepost.queue"))
            steps = await asyncio.gather(turn(one), turn(two), turn(three))
            assert sum(step.moved_on for step in steps) <= 1
            assert len(await load_all(reader)) == 1


async def test_a_schema_without_tables_is_refused(db: Database) -> None:
    """Rotation does not make up a queue; the sentence says what to run."""
    async with owner_of(db) as owner:
        await owner.execute("DELETE FROM milepost.queue")
        with pytest.raises(SchemaMismatch, match="milepost db migrate"):
            await turn(owner)


async def test_cut_off_anywhere_it_can_be_done_again(db: Database) -> None:
    """A rotation whose session is killed before its first, second, … statement leaves every batch to be loaded once."""
    loaded: list[int] = []
    written: list[int] = []
    async with owner_of(db) as killer, connected(db) as app, reader_of(db) as reader:
        for nth in range(1, 200):
            current = await value(app, "SELECT current FROM milepost.queue")
            written += await insert(app, table=current)
            if nth % 3:
                loaded += await load_all(reader)
            owner = await db.owner()
            pid = owner.info.backend_pid

            async def kill(pid: int = pid) -> None:
                await killer.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

            meddled: Any = Meddled(owner, kill, nth=nth)
            finished = False
            try:
                await turn(meddled)
                finished = meddled.statements < nth
            except DatabaseUnavailable:
                pass
            await owner.close()
            if finished:
                break
        assert finished
        loaded += await load_all(reader)
        assert sorted(loaded) == sorted(written)
        await turn(killer)
        assert (await turn(killer)).held is False
        assert await used_tables(app) <= {await value(app, "SELECT current FROM milepost.queue")}


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_lost_or_loaded_twice_under_rotation(db: Database, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enqueuers, an app with transactions of its own and stale knowledge, changing readers, and rotation without a pause."""
    monkeypatch.setattr(_group_commit, "CURRENT_READ_S", 0.01)  # stale now and then
    chance = random.Random(seed)
    acknowledged: list[int] = []
    loaded: Counter[int] = Counter()
    truncations = 0
    done = asyncio.Event()
    waiting = asyncio.Semaphore(30)  # a reader that falls behind leaves nothing to truncate

    async def enqueue(queue: Queue) -> None:
        while truncations < 8 and len(acknowledged) < 20_000:
            await waiting.acquire()
            receipt = await put(queue, bytes(chance.randrange(3000)))
            acknowledged.append(receipt.batch_id)

    async def write_by_itself(app: Connection) -> None:
        while truncations < 8 and len(acknowledged) < 20_000:
            before = truncations
            await app.execute("BEGIN")
            batch_ids = await insert(app, table=chance.randint(1, 3), count=chance.randint(1, 3))
            for _ in range(chance.randrange(10)):
                await app.execute("SELECT 1")
            keep = chance.random() < 0.8
            await app.execute(b"COMMIT" if keep else b"ROLLBACK")
            acknowledged.extend(batch_ids if keep else [])
            while truncations == before and len(acknowledged) < 20_000:  # or no table would ever be done with
                await app.execute("SELECT 1")

    async def read(reader: LaneReader) -> None:
        while not done.is_set() or await reader.poll() or reader.more or reader.pending:
            if chance.random() < 0.1 or (done.is_set() and reader.pending):
                assert await reader.acquire()
            batches = await reader.poll()
            chance.shuffle(batches)
            for at in range(0, len(batches), 5):
                some = batches[at : at + 5]
                assert await reader.payloads(some)
                for mark in await load(reader, reader._connection, some):
                    loaded[mark.batch_id] += 1
                    waiting.release()
            await reader.advance(force=chance.random() < 0.7)

    async def turn_and_turn(owner: Connection) -> None:
        nonlocal truncations
        while not done.is_set():
            step = await turn(owner)
            truncations += len(step.truncated)

    async with (
        queue_on(db, Settings()) as queue,
        owner_of(db) as one,
        owner_of(db) as two,
        connected(db) as app,
        reader_of(db, settings=LaneSettings(batches_max=7)) as reader,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(read(reader))
        for owner in (one, two):
            tasks.create_task(turn_and_turn(owner))
        await asyncio.gather(*(enqueue(queue) for _ in range(6)), write_by_itself(app))
        done.set()
    assert loaded == Counter(acknowledged)
    assert truncations >= 8


async def test_a_reader_that_lost_its_lease_hinders_no_rotation(db: Database) -> None:
    """An old holder with batches in memory meets an empty table: it has lost its lease, and says so."""
    async with owner_of(db) as owner, connected(db) as app, reader_of(db, holder="old") as old:
        await insert(app)
        batches = await old.poll()
        await owner.execute("UPDATE milepost.lane SET expires_at = '-infinity'")
        async with reader_of(db, holder="new") as new:
            assert len(await load_all(new)) == 1
            await turn(owner)
            assert (await turn(owner)).truncated == (1,)
        with pytest.raises(LeaseLost):
            await old.payloads(batches)
