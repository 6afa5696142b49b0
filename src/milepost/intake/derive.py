"""From a delta to everything derived from it: the statements of one load, in the order that makes them exact.

The delta holds activities with sign +1 (added) and -1 (taken back). It is complete, and the activity table already is as it
will be, when `derive` runs; only a change of history (see `commands`) folds twice, before and after the change, and then
repairs once.
"""

from __future__ import annotations

from typing import Any

from milepost.intake._milestones import settle_milestones
from milepost.postgres import Connection
from milepost.schema.compile import (
    CompiledBoard,
    CompiledLatest,
    CompiledMilestones,
    CompiledModel,
    CompiledPair,
    CompiledRollup,
)

__all__ = [
    "clear_dirty",
    "derive",
    "derive_lists",
    "fill",
    "fold_groups",
    "hide",
    "rebuild_ranges",
    "remember",
    "repair_groups",
]


async def derive(conn: Connection, compiled: CompiledModel, tenant_id: int, *, taken_back: bool) -> None:
    """Fold the delta into every rollup, latest, pairs and board table, and settle milestones. taken_back: it holds rows of sign -1."""
    tenant: dict[str, Any] = {"tenant_id": tenant_id}
    await _look_up_reach(conn, compiled, tenant)
    for rollup in compiled.rollups:
        await _fold(conn, rollup, tenant, taken_back=taken_back)
        if taken_back:
            for statement in rollup.repair:
                await _run(conn, statement, tenant)
    await _derive_lists(conn, compiled, tenant, taken_back=taken_back)
    for board in compiled.boards:
        await _forget(conn, board)
        await _fold(conn, board.tally, tenant, taken_back=taken_back)
        await _settle(conn, board, tenant, repair=taken_back)
    # Last: what they make and take away joins the delta, for the journal.
    for milestones in compiled.milestones:
        await _run(conn, milestones.touch, tenant)
        await settle_milestones(conn, milestones, tenant)


async def derive_lists(conn: Connection, compiled: CompiledModel, tenant_id: int) -> None:
    """Of a delta that is taken back, what names activities: latest, pairs and pending tables. What counts them is left as it is."""
    await _derive_lists(conn, compiled, {"tenant_id": tenant_id}, taken_back=True)


async def remember(conn: Connection, compiled: CompiledModel, tenant_id: int) -> None:
    """What the delta, of sign +1, counts for in rollups and boards becomes residue."""
    tenant = {"tenant_id": tenant_id}
    await _look_up_reach(conn, compiled, tenant)
    for rollup in (*compiled.rollups, *(board.tally for board in compiled.boards)):
        for statement in rollup.remember:
            await _run(conn, statement, tenant)


async def fill(
    conn: Connection,
    compiled: CompiledModel,
    part: CompiledRollup | CompiledLatest | CompiledPair | CompiledBoard | CompiledMilestones,
    tenant_id: int,
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
        case CompiledBoard():
            await _look_up_reach(conn, compiled, tenant)
            await _forget(conn, part)
            await _run(conn, part.tally.fill, tenant)
            await _settle(conn, part, tenant, repair=False)
        case CompiledMilestones():
            await _look_up_reach(conn, compiled, tenant)
            await _run(conn, part.touch, tenant)
            await settle_milestones(conn, part, tenant)


async def fold_groups(conn: Connection, compiled: CompiledModel, tenant_id: int, *, taken_back: bool) -> None:
    """Fold the delta into the rollups and boards that depend on who belongs where: the only ones a change of history moves.

    taken_back: the delta's rows have sign -1, and what they leave is noted for `repair_groups`.
    """
    tenant = {"tenant_id": tenant_id}
    await _look_up_reach(conn, compiled, tenant)
    for rollup in compiled.rollups:
        if rollup.by_group:
            await _fold(conn, rollup, tenant, taken_back=taken_back)
    for board in compiled.boards:
        if board.by_group:
            if taken_back:  # the first of the two: what places were before both is what settling needs
                await _forget(conn, board)
            await _fold(conn, board.tally, tenant, taken_back=taken_back)
    for milestones in compiled.milestones:
        if milestones.by_group:
            await _run(conn, milestones.touch, tenant)


async def repair_groups(conn: Connection, compiled: CompiledModel, tenant_id: int) -> None:
    for rollup in compiled.rollups:
        if rollup.by_group:
            for statement in rollup.repair:
                await _run(conn, statement, {"tenant_id": tenant_id})
    for board in compiled.boards:
        if board.by_group:
            await _settle(conn, board, {"tenant_id": tenant_id}, repair=True)
    for milestones in compiled.milestones:
        if milestones.by_group:
            await settle_milestones(conn, milestones, {"tenant_id": tenant_id})


async def clear_dirty(conn: Connection, compiled: CompiledModel) -> None:
    """Empty what was noted, between commands of one transaction."""
    for rollup in compiled.rollups:
        if rollup.note_dirty is not None:
            await _run(conn, f"DELETE FROM dirty_{rollup.name}", {})
    for board in compiled.boards:
        if board.tally.note_dirty is not None:
            await _run(conn, f"DELETE FROM dirty_board_{board.name}", {})
    for latest in compiled.latest:
        await _run(conn, f"DELETE FROM {latest.dirty}", {})
    for pair in compiled.pairs:
        await _run(conn, f"DELETE FROM dirty_pairs_{pair.name}", {})


async def _derive_lists(conn: Connection, compiled: CompiledModel, tenant: dict[str, Any], *, taken_back: bool) -> None:
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


async def _fold(conn: Connection, rollup: CompiledRollup, tenant: dict[str, Any], *, taken_back: bool) -> None:
    await _run(conn, rollup.fold, tenant)
    if taken_back and rollup.note_dirty is not None:
        await _run(conn, rollup.note_dirty, tenant)


async def _forget(conn: Connection, board: CompiledBoard) -> None:
    """What an earlier fold of this transaction noted of places; most often there was none."""
    for statement in board.ranges.forget:
        await _run(conn, statement, {})


async def _settle(conn: Connection, board: CompiledBoard, tenant: dict[str, Any], *, repair: bool) -> None:
    """Count the changed places, once nothing changes them further."""
    statements = (*board.tally.repair, *board.ranges.settle_repaired) if repair else board.ranges.settle
    for statement in statements:
        await _run(conn, statement, tenant)


async def hide(conn: Connection, board: CompiledBoard, tenant_id: int, member: int, *, hidden: bool) -> None:
    """Take a member's rank away on all rankings of a board, or give it back. What it counts for goes on being counted."""
    await _forget(conn, board)
    await _run(conn, board.hide, {"tenant_id": tenant_id, "member_id": member, "hidden": hidden})
    for statement in board.ranges.settle_repaired:
        await _run(conn, statement, {"tenant_id": tenant_id})


async def rebuild_ranges(conn: Connection, board: CompiledBoard, tenant_id: int) -> None:
    """The counted ranges of all of a tenant's rankings, from the rows of their members alone."""
    await _forget(conn, board)
    for statement in (*board.ranges.rebuild, *board.ranges.settle):
        await _run(conn, statement, {"tenant_id": tenant_id})


async def _look_up_reach(conn: Connection, compiled: CompiledModel, tenant: dict[str, Any]) -> None:
    for table in ("delta_reach", "delta_membership"):
        await _run(conn, f"DELETE FROM {table}", {})  # a second fold in one transaction sees another history
    for statement in compiled.reach:
        await _run(conn, statement, tenant)


async def _run(conn: Connection, statement: str, parameters: dict[str, Any]) -> None:
    # The statements are compiled from the model, whose names are checked identifiers: no user text is in them.
    await conn.execute(statement, parameters)
