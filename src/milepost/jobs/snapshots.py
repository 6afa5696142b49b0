"""Snapshots of boards, by themselves: taken at the ends of spans, forgotten when their time is over.

A step keeps or forgets something of each tenant, each in a transaction of its own, and no more than one transaction should write. What
cannot be kept yet, because its table is being filled from history, is kept by a later step. Late activities and corrections change
the window itself, not what was kept of it; a lane that is far behind when a span ends is not waited for.
"""

from __future__ import annotations

from datetime import datetime

from milepost.boards.snapshots import forget_expired, keep_ended
from milepost.errors import NotFound
from milepost.postgres import Connection, load_queries, translated
from milepost.rollups.filling import BeingFilled, require_filled
from milepost.schema.models import current_model

__all__ = ["snapshots_step"]

_queries = load_queries(__package__, "maintenance.sql")


async def snapshots_step(owner: Connection, now: datetime) -> int:
    """owner: sees all tenants. → how many snapshots were taken and forgotten; 0: nothing is left to do."""
    with translated(owner):
        try:
            model = (await current_model(owner)).model
        except NotFound:  # none was applied yet
            return 0
        boards = [board for board in model.boards.values() if board.snapshots.at_end_of]
        done = 0
        for (tenant_id,) in await (await owner.execute(_queries.tenants)).fetchall():
            async with owner.transaction():
                done += await forget_expired(owner, tenant_id, now=now)
            for board in boards:
                try:
                    await require_filled(owner, tenant_id, f"board_{board.name}")
                except BeingFilled:
                    continue
                async with owner.transaction():
                    done += await keep_ended(owner, tenant_id, model, board, now=now)
    return done
