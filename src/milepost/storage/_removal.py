"""Removal: what is in the archive leaves PostgreSQL, as a whole partition or in batches.

Until then its rows shadow the cold ones, which are the same, so when it happens makes no difference to any answer. What was loaded,
corrected or retracted since the export is named by the journal, and stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any, LiteralString
from uuid import UUID

from milepost import faults
from milepost.activity import activity_id
from milepost.errors import MilepostError
from milepost.postgres import Connection, load_queries, translated
from milepost.schema.patience import patiently
from milepost.storage._export import Exported, Exporter
from milepost.storage._parquet import read
from milepost.storage.manifest import hold_lane
from milepost.storage.partitions import Partition
from milepost.storage.partitions import queries as partitions

__all__ = ["drop_partition", "seen_by_all", "thin"]

queries = load_queries(__package__, "archive.sql")

BATCH_ROWS = 2_000
LOOK_S = 0.05
# Whoever comes while we wait for the lock waits behind us: so we wait briefly, and often.
LOCK_S, ATTEMPTS = 0.03, 100


class _Joined(MilepostError):
    """A tenant has come to the partition since it was exported."""


async def seen_by_all(owner: Connection, number: str, wait_s: float) -> bool:
    """Whether no transaction is left that began before the one of this number ended. Waits for it, as long as may be; where the owner may
    not see what others do (it has not the role `pg_read_all_stats`), it waits that long, and takes it to be so.
    """
    until = monotonic() + wait_s
    while True:
        row = await (await owner.execute(queries.seen_by_all, {"number": number})).fetchone()
        known = row is not None and row[0]
        if known or monotonic() > until:
            return known is not False
        await asyncio.sleep(LOOK_S)


async def drop_partition(owner: Connection, partition: Partition, exported: Mapping[int, Exported]) -> bool:
    """The partition goes; what stays of it goes into a new one of that name. Readers and writers wait for a moment at most, and are let
    through before the next attempt (`patiently`). False: another tenant has come to it, and nothing was done. Raises `Timeout`.
    """
    given = {"name": partition.name, "low": partition.low, "high": partition.high}

    async def work() -> None:
        kept = {tenant_id: list(one.kept or ()) for tenant_id, one in exported.items()}
        for tenant_id, one in exported.items():
            touched = await _touched(owner, tenant_id, one, given)
            await owner.execute(queries.remove_streams, {**given, "tenant_id": tenant_id, "kept": kept[tenant_id] + touched})
        await owner.execute(queries.lock)
        if (await _row(owner, queries.others, {**given, "tenants": list(exported)}))[0]:
            raise _Joined
        for tenant_id, one in exported.items():
            kept[tenant_id] += await _touched(owner, tenant_id, one, given)
        for statement in await _row(owner, queries.leaving, given):
            await owner.execute(statement.encode())
        if any(kept.values()):
            for statement in await _row(owner, partitions.statements, given):
                await owner.execute(statement.encode())
            (names,) = await _row(owner, queries.names, {})
            query = queries.take_back.replace("{names}", names).replace("{table}", f"{partition.name}_leaving")
            for tenant_id, ids in kept.items():
                await owner.execute(query, {"tenant_id": tenant_id, "kept": ids})
        (drop,) = await _row(owner, queries.drop, given)
        await owner.execute(drop.encode())
        faults.reach("archive.before_drop")

    try:
        await patiently(owner, work, lock_timeout_s=LOCK_S, attempts=ATTEMPTS)
    except _Joined:
        return False
    faults.reach("archive.dropped")
    return True


async def thin(exporter: Exporter, tenant_id: int, exported: Exported) -> int:
    """Removes what was exported, batch by batch, each with the lane held, and with the exporter's pace in between. → rows."""
    owner, removed = exporter.owner, 0
    for file in exported.new:
        source = await exporter.files.fetch(file)
        rows = await read([source], exporter.columns[:2], picked=["c.us", "c.hash"], order="c.us, c.hash")
        ids = [UUID(int=activity_id(us, hashed)) for us, hashed in rows]
        for first in range(0, len(ids), BATCH_ROWS):
            batch = ids[first : first + BATCH_ROWS]
            span = {"low": batch[0], "high": UUID(int=batch[-1].int + 1)}
            with translated(owner):
                async with owner.transaction():
                    await hold_lane(owner, tenant_id)
                    touched = set(await _touched(owner, tenant_id, exported, span))
                    given = {"tenant_id": tenant_id, "ids": [id for id in batch if id not in touched]}
                    removed += (await owner.execute(queries.remove, given)).rowcount
                    faults.reach("archive.before_thin")
            faults.reach("archive.thinned")
            await exporter.pace.pause()
    return removed


async def _touched(owner: Connection, tenant_id: int, exported: Exported, span: Mapping[str, Any]) -> list[UUID]:
    given = {**span, "tenant_id": tenant_id, "position": exported.position}
    return [row[0] for row in await (await owner.execute(queries.touched, given)).fetchall()]


async def _row(owner: Connection, query: LiteralString, given: Mapping[str, Any]) -> tuple[Any, ...]:
    row = await (await owner.execute(query, given)).fetchone()
    assert row is not None
    return row
