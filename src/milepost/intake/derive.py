"""From a delta to everything derived from it: the statements of one load, in the order that makes them exact.

The delta holds activities with sign +1 (added) and -1 (taken back). It is complete, and the activity table already is as it
will be, when `derive` runs; only a change of history (see `commands`) folds twice, before and after the change, and then
repairs once.
"""

from __future__ import annotations

from typing import Any

from milepost.postgres import Connection
from milepost.schema.compile import CompiledLatest, CompiledModel, CompiledPair, CompiledRollup

__all__ = ["clear_dirty", "derive", "fill", "fold_groups", "repair_groups"]


async def derive(conn: Connection, compiled: CompiledModel, tenant_id: int, *, taken_back: bool) -> None:
    """Fold the delta into every rollup, latest and pairs table. taken_back: it holds rows of sign -1."""
    tenant: dict[str, Any] = {"tenant_id": tenant_id}
    await _look_up_reach(conn, compiled, tenant)
    for rollup in compiled.rollups:
        await _run(conn, rollup.fold, tenant)
        if taken_back and rollup.note_dirty is not None:
            await _run(conn, rollup.note_dirty, tenant)
            for statement in rollup.repair:
                await _run(conn, statement, tenant)
    for latest in compiled.latest:
        await _run(conn, latest.fold, tenant)
        if taken_back:
            await _run(conn, latest.note_dirty, tenant)
            for statement in latest.repair:
                await _run(conn, statement, tenant)
    for pair in compiled.pairs:
        await _run(conn, pair.note_dirty, tenant)
        for statement in pair.repair:
            await _run(conn, statement, tenant)


async def fill(
    conn: Connection, compiled: CompiledModel, part: CompiledRollup | CompiledLatest | CompiledPair, tenant_id: int
) -> None:
    """Fold the delta, a chunk of history, into one table that is new."""
    tenant = {"tenant_id": tenant_id}
    match part:
        case CompiledRollup():
            await _look_up_reach(conn, compiled, tenant)
            await _run(conn, part.fill, tenant)
        case CompiledLatest():
            await _run(conn, part.fold, tenant)
        case CompiledPair():
            await _run(conn, part.note_dirty, tenant)
            for statement in part.repair:
                await _run(conn, statement, tenant)


async def fold_groups(conn: Connection, compiled: CompiledModel, tenant_id: int, *, taken_back: bool) -> None:
    """Fold the delta into the rollups that depend on who belongs where: the only ones a change of history moves.

    taken_back: the delta's rows have sign -1, and what they leave is noted for `repair_groups`.
    """
    tenant = {"tenant_id": tenant_id}
    await _look_up_reach(conn, compiled, tenant)
    for rollup in compiled.rollups:
        if rollup.by_group:
            await _run(conn, rollup.fold, tenant)
            if taken_back and rollup.note_dirty is not None:
                await _run(conn, rollup.note_dirty, tenant)


async def repair_groups(conn: Connection, compiled: CompiledModel, tenant_id: int) -> None:
    for rollup in compiled.rollups:
        if rollup.by_group:
            for statement in rollup.repair:
                await _run(conn, statement, {"tenant_id": tenant_id})


async def clear_dirty(conn: Connection, compiled: CompiledModel) -> None:
    """Empty what was noted, between commands of one transaction."""
    for rollup in compiled.rollups:
        if rollup.note_dirty is not None:
            await _run(conn, f"DELETE FROM dirty_{rollup.name}", {})
    for latest in compiled.latest:
        await _run(conn, f"DELETE FROM {latest.dirty}", {})
    for pair in compiled.pairs:
        await _run(conn, f"DELETE FROM dirty_pairs_{pair.name}", {})


async def _look_up_reach(conn: Connection, compiled: CompiledModel, tenant: dict[str, Any]) -> None:
    for table in ("delta_reach", "delta_membership"):
        await _run(conn, f"DELETE FROM {table}", {})  # a second fold in one transaction sees another history
    for statement in compiled.reach:
        await _run(conn, statement, tenant)


async def _run(conn: Connection, statement: str, parameters: dict[str, Any]) -> None:
    # The statements are compiled from the model, whose names are checked identifiers: no user text is in them.
    await conn.execute(statement, parameters)
