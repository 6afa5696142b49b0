"""Rotation of the queue's tables: what is loaded is truncated, never deleted, so the queue takes no more room than it holds.

One table is written at a time. `rotate` is one step of upkeep: it truncates the tables that are done with, and moves writing on
to a free one when the current table is old or large. While no table is free (a transaction elsewhere holds them, or loading is
behind), it makes another one. Any number of processes may call it; one at a time does something.

A table is truncated when, under an ACCESS EXCLUSIVE lock on it and its marks,

- every batch in it is marked, and the position of its lane lies beyond it;
- every transaction that might still read from an older moment has ended: TRUNCATE takes rows even from those, and a dump whose
  snapshot is older than a load has the batch in the queue or nowhere.

The costly part of that is looked at before the lock; under it, only whether anything has come since. The lock is waited for
only briefly, because all readers queue up behind whoever waits for it.

A writer with stale knowledge may still insert into a table that is not current, or was just truncated; that is why every table
is always read, and why a new one is counted (`queue.tables`) before it is used.

`adopt` is for data that came from another cluster: transaction numbers and positions mean nothing in this one, so each batch
gets the number of the adoption and the positions are dropped. The marks, which came along, keep each load to once. Who migrates,
and who starts a loader, adopts first; `rotate` does so as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from milepost.errors import SchemaMismatch, Timeout
from milepost.intake._tables import TABLES_MAX, for_new_table, for_table
from milepost.postgres import Connection, Database, load_queries, translated
from milepost.settings import Settings
from milepost.telemetry import count, gauge

__all__ = ["Rotation", "adopt", "adopt_before_loading", "is_foreign", "rotate"]

log = structlog.get_logger(__name__)
q = load_queries(__package__, "rotation.sql")

ROTATE_BYTES = 256 * 1024 * 1024  # a table larger than this is moved on from before its time
KEEP_S = 10.0  # marks stay so long, for who waits for an outcome
LOCK_TIMEOUT_MS = 100


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """What a step did. `held`: a table is loaded, but an old transaction or a lock kept it from being truncated."""

    current: int
    tables: int
    truncated: tuple[int, ...] = ()
    moved_on: bool = False
    made: bool = False
    held: bool = False


async def rotate(owner: Connection, settings: Settings, *, force: bool = False, keep_s: float = KEEP_S) -> Rotation:
    """One step. `force` moves on however young the current table is (not if it is empty). As the owner, in autocommit."""
    await adopt(owner)
    with translated(owner):
        row = await (await owner.execute(q.queue_state)).fetchone()
        if row is None:
            raise SchemaMismatch("The queue has no tables yet: run `milepost db migrate`.")
        truncated: list[int] = []
        held = False
        for table in range(1, row[1] + 1):
            try:
                done = await _truncate(owner, table, keep_s)
            except Timeout:  # of the lock; the others are probably held by the same
                held = True
                break
            if done:
                truncated.append(table)
            held = held or done is None
        current, tables, moved_on, made = await _move_on(owner, settings, force)
    if moved_on:
        count("queue_rotations")
    gauge("queue_tables", tables)
    if truncated or moved_on:
        log.debug("queue rotated", current=current, tables=tables, truncated=truncated, made=made)
    return Rotation(current=current, tables=tables, truncated=tuple(truncated), moved_on=moved_on, made=made, held=held)


async def _truncate(owner: Connection, table: int, keep_s: float) -> bool | None:
    """True: done. False: not to be done. None: it could be, but for an old transaction. Raises `Timeout` for the lock."""
    with translated(owner):
        async with owner.transaction():
            await owner.execute(q.lock_timeout, {"lock_timeout": f"{LOCK_TIMEOUT_MS}ms"})
            state = await (await owner.execute(q.lock_queue)).fetchone()
            if state is None or state[0] == table:
                return False
            if not (await _is_used(owner, table))[0] or await _has_unseen(owner, table, since=None):
                return False
            await owner.execute(q.any_plan)
            row = await (await owner.execute(for_table(q.table_state, table), {"keep_s": keep_s})).fetchone()
            assert row is not None
            snapshot, loaded, last_mark_age, kept = row
            if not loaded or kept:
                return False
            horizon = await (await owner.execute(q.horizon)).fetchone()
            if last_mark_age is not None and horizon is not None and last_mark_age <= horizon[0]:
                return None
            await owner.execute(for_table(q.lock_table, table))
            if await _has_unseen(owner, table, since=snapshot):
                return False
            await owner.execute(for_table(q.truncate_table, table))
            return True


async def _has_unseen(owner: Connection, table: int, *, since: str | None) -> bool:
    await owner.execute(q.index_only)
    row = await (await owner.execute(for_table(q.unseen, table), {"since": since})).fetchone()
    assert row is not None
    return bool(row[0])


async def _is_used(owner: Connection, table: int) -> tuple[bool, int]:
    row = await (await owner.execute(for_table(q.is_used, table))).fetchone()
    assert row is not None
    return row[0], row[1]


async def _move_on(owner: Connection, settings: Settings, force: bool) -> tuple[int, int, bool, bool]:
    """(the current table, how many there are, whether writing moved on to it now, whether it was made for that)."""
    async with owner.transaction():
        state = await (await owner.execute(q.lock_queue)).fetchone()
        if state is None:  # somebody else is at it
            row = await (await owner.execute(q.queue_state)).fetchone()
            assert row is not None
            return row[0], row[1], False, False
        current, tables, age_s = state
        used, size = await _is_used(owner, current)
        if not used or not (force or age_s >= settings.queue_rotate_s or size >= ROTATE_BYTES):
            return current, tables, False, False
        for step in range(1, tables):
            table = (current - 1 + step) % tables + 1
            if not (await _is_used(owner, table))[0]:
                await owner.execute(q.use_table, {"table": table})
                return table, tables, True, False
        if tables == TABLES_MAX:
            log.warning("the queue has all the tables it may have, and none is free", tables=tables)
            return current, tables, False, False
        await _make(owner, tables + 1)
        await owner.execute(q.use_table, {"table": tables + 1})
        return tables + 1, tables + 1, True, True


async def _make(owner: Connection, table: int) -> None:
    for statement in (q.make_table, q.make_marks, q.grant_table):
        await owner.execute(for_new_table(statement, table))
    await owner.execute(q.count_table, {"tables": table})


async def is_foreign(conn: Connection) -> bool:
    """Whether the queue came from another cluster and was not adopted yet. As the owner or as the service."""
    with translated(conn):
        row = await (await conn.execute(q.is_foreign)).fetchone()
    return row is not None and bool(row[0])


async def adopt_before_loading(db: Database) -> bool:
    """`adopt`, where it is needed: else each poll would read all that came along, until the first rotation."""
    async with db.transaction("point") as conn:
        if not await is_foreign(conn):
            return False
    async with await db.owner() as owner:
        return await adopt(owner)


async def adopt(owner: Connection) -> bool:
    """Makes the queue of another cluster (a restored dump, an upgraded server) readable here. True if it was one."""
    if not await is_foreign(owner):
        return False
    with translated(owner):
        async with owner.transaction():
            row = await (await owner.execute(q.is_foreign_locked)).fetchone()
            if row is None or not row[0]:
                return False
            await owner.execute(q.adopt_lanes)
            state = await (await owner.execute(q.queue_state)).fetchone()
            for table in range(1, (state[1] if state else 0) + 1):
                await owner.execute(for_table(q.adopt_batches, table))
            await owner.execute(q.adopt_deployment)
    log.info("the queue came from another cluster and was adopted")
    return True
