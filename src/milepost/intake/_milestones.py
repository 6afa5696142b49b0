"""Settling milestones: those of the groups and actors that were touched stand exactly if they are reached (see `schema.compile`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from milepost.postgres import Connection
from milepost.schema.compile import CompiledMilestones, CompiledModel

__all__ = ["settle_milestones", "settle_targets"]


async def settle_milestones(conn: Connection, milestones: CompiledMilestones, tenant: dict[str, Any]) -> None:
    """What was touched. What that makes and takes away joins the delta, for the journal."""
    for statement in milestones.settle:
        await conn.execute(statement, tenant)


async def settle_targets(
    conn: Connection, compiled: CompiledModel, tenant_id: int, groups: Sequence[str], *, at: datetime
) -> bool:
    """The milestones of groups whose attributes were changed at a moment. False: none has its target there."""
    found = False
    tenant = {"tenant_id": tenant_id}
    for milestones in compiled.milestones:
        if milestones.touch_targets is not None:
            await conn.execute(milestones.touch_targets, tenant | {"group_names": list(groups), "at": at})
            await settle_milestones(conn, milestones, tenant)
            found = True
    return found
