"""History: fold into what a model has new all that was there before it, a chunk in each transaction, beside the loads of the lane.

What is to be filled, and how far it is, stands in `milepost.filling`: loads fold below that id alone, so at every instant each activity
is counted once, and a crash between two chunks loses nothing. When the last chunk is folded the row goes, and the table is complete.

How it fails: as a load does; a model that changed meanwhile is compiled, and the next chunk is of that one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from milepost import faults
from milepost.activity import LARGEST_ID
from milepost.intake.compiled import ModelChanged
from milepost.intake.derive import fill
from milepost.postgres import load_queries, translated
from milepost.schema.compile import CompiledPair

if TYPE_CHECKING:
    from milepost.intake.load import Lane

__all__ = ["History"]

_queries = load_queries(__package__, "history.sql")
_log = structlog.get_logger(__name__)

CHUNK_ROWS = 20_000


class History:
    """That of one lane's tenants."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    async def fill(self) -> bool:
        """Fold one chunk into each rollup, latest or pairs table that is not complete. True: there is more."""
        lane = self._lane
        with translated():
            rows = await (await lane.conn.execute(_queries.fillings, {"lane": lane.lane})).fetchall()
        filling = {(tenant_id, name) for tenant_id, name, _ in rows}
        needs = {part.table.removeprefix("milepost."): part.needs for part in lane.compiled.model.milestones}
        columns_first = {tenant_id for tenant_id, name, _ in rows if name.startswith("column ")}
        for tenant_id, name, filled_to in rows:
            if tenant_id in columns_first and not name.startswith("column "):
                continue  # it may count by that column
            if (tenant_id, needs.get(name)) in filling:
                continue  # milestones of a value that is not complete
            try:
                await self._fill_chunk(tenant_id, name, filled_to)
            except ModelChanged:
                await lane.compile()
                return True
        return bool(rows)

    async def _fill_chunk(self, tenant_id: int, name: str, low: UUID) -> None:
        conn, compiled, tenant = self._lane.conn, self._lane.compiled, {"tenant_id": tenant_id}
        model, recall = compiled.model, compiled.recall
        part = next((part for part in model.derived() if part.table == f"milepost.{name}"), None)
        column = model.activity.take_over.get(name.removeprefix("column "))
        chain = compiled.chain if name == "chain" else None
        async with self._lane.transaction(tenant_id):
            if part is None and column is None and chain is None:  # of a model that came and went
                await conn.execute(_queries.filled, {**tenant, "name": name})
                return
            found = await conn.execute(_queries.next_chunk, {**tenant, "low": low, "rows": CHUNK_ROWS})
            row = await found.fetchone()
            high = row[0] if row else LARGEST_ID
            if column is not None:
                await conn.execute(column, {**tenant, "low": low, "high": high})
            elif chain is not None:
                high, cold = await recall.cold.stretch(conn, tenant_id, low, high, CHUNK_ROWS)
                await chain.find(conn, tenant_id, low, high, cold)
            elif part is not None:
                high, cold = await recall.cold.stretch(conn, tenant_id, low, high, CHUNK_ROWS)
                await conn.execute(model.activity.refill, {**tenant, "low": low, "high": high})
                for rows in cold:
                    await conn.execute(model.activity.refill_cold, {**tenant, "cold_rows": rows})
                if isinstance(part, CompiledPair):  # it is computed from all that an object has, whenever that was
                    await recall.for_delta(conn, tenant_id, model, taken_back=False)
                await fill(conn, model, part, tenant_id)
            faults.reach("fill.folded")
            if high != LARGEST_ID:
                await conn.execute(_queries.filled_to, {**tenant, "name": name, "high": high})
            else:
                await conn.execute(_queries.filled, {**tenant, "name": name})
        self._lane.grown(CHUNK_ROWS)
        _log.info("history folded", table=name, tenant_id=tenant_id, complete=high == LARGEST_ID)
