"""Removal: activities go, and what they counted for stays or goes with them.

In the transaction of a lane's command. With their totals kept, what they contributed to rollups and boards becomes residue, and no row of
these changes (`milepost.schema.compile._residue`); without, they are folded away like what is retracted. Either way the lists that name
activities (latest, pairs, pending) lose them, and their ids are buried: a late retry stays removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from milepost import faults
from milepost.activity import SMALLEST_ID
from milepost.errors import NotFound
from milepost.intake.derive import derive, derive_lists, remember
from milepost.postgres import Connection, load_queries
from milepost.schema.compile import CompiledModel
from milepost.storage.chain import Gone, chain_of, forget_salts
from milepost.storage.content import release
from milepost.storage.recall import Recall
from milepost.storage.retention import look, look_cold, rules, write_log

__all__ = ["remove", "retain"]

_queries = load_queries(__package__, "removal.sql")
_load = load_queries(__package__, "load.sql")


async def remove(
    conn: Connection,
    compiled: CompiledModel,
    tenant_id: int,
    ids: Sequence[UUID],
    recall: Recall,
    *,
    keep_totals: bool,
    how: Gone,
    why: str,
) -> int:
    """The temp tables are empty. What the journal is to tell is in the delta afterwards. how, why: as the chain says it. → how many files
    they named."""
    tenant = {"tenant_id": tenant_id}
    await conn.execute(compiled.activity.take_back, {**tenant, "old_ids": list(ids)})
    if keep_totals:
        await conn.execute(_queries.add)
        await remember(conn, compiled, tenant_id)
        await conn.execute(_queries.take)
    faults.reach("removal.remembered")
    files = await release(conn, tenant_id, ids, erased=how == "erased")
    await conn.execute(_load.remove_rows, {**tenant, "old_ids": list(ids)})
    await forget_salts(conn, tenant_id, ids)
    if (chain := chain_of(compiled)) is not None:
        await chain.change(conn, tenant_id, gone=[(one, how) for one in ids], why=why)
    await conn.execute(_queries.bury, {**tenant, "ids": list(ids)})
    await recall.for_delta(conn, tenant_id, compiled, taken_back=True, totals=not keep_totals)
    if keep_totals:
        await derive_lists(conn, compiled, tenant_id)
    else:
        await derive(conn, compiled, tenant_id, taken_back=True)
    faults.reach("removal.removed")
    return files


async def retain(
    conn: Connection, compiled: CompiledModel, tenant_id: int, command: dict[str, Any], now: datetime, recall: Recall
) -> dict[str, Any]:
    """One window of one rule (`rule`, from the id `low` on; `cold`: of the archive): what is over goes, and is logged. → `removed`, and
    `next`, the id with which the next window begins. What is over is asked here, in the lane, so that a hold placed a moment ago
    holds. What is archived comes back to go like the rest; its files are written anew later (`milepost.storage.rewrite`)."""
    found = {rule.name: rule for rule in await rules(conn, tenant_id, compiled.model, now)}
    rule = found.get(command["rule"])
    if rule is None:
        raise NotFound(f"The model has no keep.{command['rule']}.")
    low = UUID(command["low"]) if command.get("low") else SMALLEST_ID
    if command.get("cold"):
        window = await look_cold(conn, recall.cold, tenant_id, rule, low)
        await recall.of_ids(conn, tenant_id, window.ids)
    else:
        window = await look(conn, recall.cold, tenant_id, rule, low)
    if window.ids:
        why = f"retention {rule.name}"
        await remove(conn, compiled, tenant_id, window.ids, recall, keep_totals=True, how="removed", why=why)
        await write_log(conn, tenant_id, rule, window)
    return {"removed": len(window.ids), "verbs": window.verbs, "next": str(window.next) if window.next else None}
