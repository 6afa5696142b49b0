"""Write: the activities of a load into their table, and what folds read of them into the delta, within the load's transaction.

New rows go by COPY: straight into their partitions, in the order of their ids, and their first columns once more into the delta. COPY
refuses a table with policies, so the service may insert into partitions, and nothing else; which tenant a row is of is written here, not
taken from the batch. A row that is there already fails the whole COPY (`Conflict`). Where some may be there, or the columns are those
of another model than the lane's, rows take the longer way through the stage, which finds out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Literal
from uuid import UUID

from milepost import faults
from milepost.errors import Conflict, DatabaseError, MilepostError
from milepost.intake import _rows
from milepost.intake._load_rows import InOrder, LoadRows
from milepost.intake.names import Names
from milepost.postgres import Connection, Database, load_queries, translated
from milepost.schema.compile import CompiledActivity
from milepost.storage.partitions import Partition, ensure_partitions, list_partitions
from milepost.storage.recall import Recall

__all__ = ["PartitionGone", "Writer", "read_rows", "stage"]

_queries = load_queries(__package__, "write.sql")

UNDEFINED_TABLE = "42P01"


class PartitionGone(MilepostError):
    """A partition that was there is no more: what is remembered of the tables must be forgotten."""


def read_rows(opened: Sequence[_rows.Payload]) -> list[LoadRows]:
    """One for each stretch of payloads with the same columns: one, but for the moment after a model changed. Raises ValueError."""
    return [LoadRows(list(alike)) for _, alike in groupby(opened, key=lambda one: (one.header.columns, one.header.delta))]


class Writer:
    """Of one lane's session. names: to be kept after a commit, and dropped without one."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.names = Names()
        self.named: dict[Literal["actors", "groups"], dict[str, int]] = {}  # the numbers of all that the last write names
        self._partitions: list[Partition] = []  # those known to be there, in the order of time

    def forget(self) -> None:
        """What is remembered of the tables."""
        self.names.forget()
        self._partitions.clear()

    async def write(
        self,
        conn: Connection,
        compiled: CompiledActivity,
        tenant_id: int,
        loads: Sequence[LoadRows],
        *,
        all_new: bool,
        recall: Recall,
    ) -> int:
        """→ how many were new. all_new: raises `Conflict` where an id is there already, or twice, or buried, or may be archived. The
        partitions must be there.
        """
        archived = [rows for rows in loads if await recall.reaches(conn, tenant_id, *rows.span())]
        if archived:
            if all_new:
                raise Conflict("Some of it belongs to a time that is archived.")
            for rows in archived:  # whose partitions may have gone since
                await self.require_anew(*rows.span())
        self.named = {"actors": {}, "groups": {}}
        for rows in loads:
            actors, groups = await self.names.find(conn, tenant_id, rows.actors, rows.groups)
            self.named["actors"] |= actors
            self.named["groups"] |= groups
            if await _decide_ids(conn, tenant_id, rows) and all_new:
                raise Conflict("A key came again.")
            await asyncio.to_thread(rows.resolve, tenant_id, actors, groups)
        if all_new and len(loads) == 1 and loads[0].delta_columns == compiled.row.delta:
            written = await self._straight(conn, compiled, tenant_id, loads[0])
        else:
            written = await _staged(conn, compiled, tenant_id, loads, recall if archived else None)
        faults.reach("load.inserted")
        return written

    async def _straight(self, conn: Connection, compiled: CompiledActivity, tenant_id: int, rows: LoadRows) -> int:
        ordered = await asyncio.to_thread(InOrder, rows)
        if ordered.repeated:
            raise Conflict("An activity comes twice in one load.")
        for partition, first, last in self._by_partition(ordered):
            try:
                with translated(conn):
                    await _copy(
                        conn, compiled.copy.format(partition=partition, columns=rows.columns), ordered.rows(first, last)
                    )
            except DatabaseError as error:
                if error.facts.get("sqlstate") == UNDEFINED_TABLE:
                    raise PartitionGone(partition=partition) from error
                raise
        faults.reach("load.copied")
        await _copy(conn, compiled.copy_delta, ordered.delta())
        span = {"tenant_id": tenant_id, "low": ordered.id_at(0), "high": ordered.id_at(-1)}
        row = await (await conn.execute(_queries.buried, span)).fetchone()
        if row is None or row[0]:
            raise Conflict("An activity was retracted or moved before.")
        return len(ordered)

    # ── partitions ──

    async def require_partitions(self, low: UUID, high: UUID) -> None:
        """Make sure that every id from low to high has a partition, on a connection of its own. Those known to be there are remembered."""
        if self._covers(low, high):
            return
        owner = await self._db.owner()
        try:
            await ensure_partitions(owner, low, high, datetime.now(UTC))
            self._partitions = await list_partitions(owner)
        finally:
            await owner.close()

    async def require_anew(self, low: UUID, high: UUID) -> None:
        """The same, whatever is remembered."""
        self._partitions.clear()
        await self.require_partitions(low, high)

    def _covers(self, low: UUID, high: UUID) -> bool:
        for one in self._partitions:
            if one.low <= low < one.high:
                if high < one.high:
                    return True
                low = one.high
        return False

    def _by_partition(self, ordered: InOrder) -> Iterator[tuple[str, int, int]]:
        """The names of the partitions that rows belong to, with the places of the first row and after the last."""
        done = 0
        for one in self._partitions:
            last = ordered.place(one.high)
            if last > done and one.low <= ordered.id_at(done):
                yield one.name, done, last
                done = last
        if done < len(ordered):
            raise Conflict("An activity lies where no partition is.")


async def _staged(
    conn: Connection, compiled: CompiledActivity, tenant_id: int, loads: Sequence[LoadRows], recall: Recall | None
) -> int:
    """recall: where some may be in the archive."""
    for rows in loads:
        await stage(conn, compiled, rows)
    if recall is not None:
        staged = [row[0] for row in await (await conn.execute(_queries.staged_ids)).fetchall()]
        await conn.execute(_queries.drop_staged, {"ids": await recall.known(conn, tenant_id, staged)})
    faults.reach("load.copied")
    return (await conn.execute(compiled.insert, {"tenant_id": tenant_id})).rowcount


async def stage(conn: Connection, compiled: CompiledActivity, rows: LoadRows) -> None:
    """Resolved rows, in the order in which they came."""
    whole = b"".join((_rows.COPY_HEADER, rows.as_they_came(), _rows.COPY_TRAILER))
    await _copy(conn, compiled.copy_stage.format(columns=rows.columns), whole)


async def _decide_ids(conn: Connection, tenant_id: int, rows: LoadRows) -> bool:
    """Where the client sent a key and no time, the ledger says whether the key has an id already; here, too, the first one counts.
    → whether some key had."""
    keys = rows.hashes()
    if not keys:
        return False
    asked = {"tenant_id": tenant_id, "hashes": [digest for _, digest in keys]}
    known = {bytes(digest): id for digest, id in await (await conn.execute(_queries.ledger_known, asked)).fetchall()}
    new: dict[bytes, UUID] = {}
    for row, digest in keys:
        if (first := known.get(digest) or new.get(digest)) is not None:
            rows.set_id(row, first)
        else:
            new[digest] = rows.id_of(row)
    if new:
        values = {"tenant_id": tenant_id, "hashes": list(new), "ids": list(new.values())}
        await conn.execute(_queries.ledger_new, values)
    return len(new) < len(keys)


async def _copy(conn: Connection, statement: str, rows: bytes) -> None:
    # Names of columns are checked identifiers (`open_payload`), and so are those of partitions.
    async with conn.cursor() as cursor, cursor.copy(statement) as copy:
        await copy.write(rows)
