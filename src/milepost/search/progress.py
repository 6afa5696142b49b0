"""How far a tenant's index is: which of history it covers, which loads it has taken in, and waiting until it has.

What is searched follows the journal, about a second behind. While it is filled, after a model that searches something else was
applied, it covers the newest part of history, from `covered_from` on; nobody is answered from documents of the model before.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from milepost.activity import SMALLEST_ID
from milepost.postgres import Connection, Database, load_queries
from milepost.rollups.filling import BeingFilled
from milepost.schema.compile import CompiledSearch

__all__ = ["Progress", "caught_up", "lag_s", "progress"]

_queries = load_queries(__package__, "progress.sql")

LOOK_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Progress:
    """position: of the tenant's journal. covered_from: SMALLEST_ID where all of history is."""

    position: int
    covered_from: UUID

    @property
    def whole(self) -> bool:
        return self.covered_from == SMALLEST_ID


async def progress(conn: Connection, tenant_id: int, search: CompiledSearch) -> Progress:
    """Raises `BeingFilled` where nothing is indexed yet as this model wants it."""
    row = await (await conn.execute(_queries.progress, {"tenant_id": tenant_id})).fetchone()
    assert row is not None
    if not row[3]:  # a new tenant's, before the indexer's first look
        return Progress(position=row[0] or 0, covered_from=SMALLEST_ID)
    if row[1] != search.fingerprint:
        raise BeingFilled("The search index of what the model declares is not begun yet: ask again.", name="search")
    return Progress(position=row[0], covered_from=row[2])


async def caught_up(db: Database, tenant_id: int, *, within_s: float, position: int | None = None) -> bool:
    """Wait until all that is loaded now is in the index, history too, or all up to `position`. False: it was not, in time."""
    until = monotonic() + within_s
    while True:
        async with db.transaction("point", tenant_id=tenant_id) as conn:
            row = await (await conn.execute(_queries.reached, {"tenant_id": tenant_id})).fetchone()
        assert row is not None
        if position is None:
            position = row[2]
        if row[0] is not None and row[0] >= position and row[1]:
            return True
        if monotonic() > until:
            return False
        await asyncio.sleep(LOOK_S)


async def lag_s(conn: Connection) -> float:
    """The age of the oldest load that is not in some tenant's index; 0 where there is none."""
    row = await (await conn.execute(_queries.lag)).fetchone()
    return float(row[0]) if row else 0.0
