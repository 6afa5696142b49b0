"""Growth of storage: once a day, the rows and bytes of each tenant, tier and kind of table, as the planner's statistics know them.

Estimates: exact within a few percent where a table was analysed lately, and free of any scan. Sizes are those of tables with their
indexes. Kept for as long as the deployment lives: a few rows a day and tenant.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from milepost.jobs.job import Work
from milepost.postgres import Connection, load_queries, translated

__all__ = ["growth", "record_growth"]

_queries = load_queries(__package__, "growth.sql")


async def record_growth(work: Work) -> dict[str, Any]:
    day = {"day": work.now.date()}
    with translated(work.owner):
        await work.owner.execute(_queries.record, day)
        await work.owner.execute(_queries.record_cold, day)
        await work.owner.execute(_queries.record_content, day)
        await work.owner.execute(_queries.record_files, day)
        rows = await (await work.owner.execute(_queries.totals, day)).fetchall()
    items = [{"tier": tier, "kind": kind, "rows": n, "bytes": size} for tier, kind, n, size in rows]
    return {"items": items, "bytes": sum(item["bytes"] for item in items)}


async def growth(conn: Connection, tenant_id: int, *, since: date, limit: int) -> list[dict[str, Any]]:
    """A tenant's: `day`, `tier`, `kind`, `rows`, `bytes`, the newest day first."""
    values = {"tenant_id": tenant_id, "since": since, "limit": limit}
    rows = await (await conn.execute(_queries.page, values)).fetchall()
    return [dict(zip(("day", "tier", "kind", "rows", "bytes"), row, strict=True)) for row in rows]
