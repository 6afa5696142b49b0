"""Reviews: what an operator should look at once a week, month and quarter. They say what they saw and change nothing but statistics.

- `review_vacuum`, weekly: tables that vacuum does not keep up with; statistics of partitioned tables, which autovacuum leaves out.
- `review_indexes`, monthly: indexes that nobody used since the counters were reset (a replica's use is not seen here).
- `report_capacity`, quarterly: what storage grew by since a quarter, and what it comes to in a year at that rate, in a straight line.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from milepost.jobs.job import Work
from milepost.postgres import load_queries, translated

__all__ = ["report_capacity", "review_indexes", "review_vacuum"]

CAPACITY_DAYS = 92

_queries = load_queries(__package__, "reviews.sql")
_VACUUM = ("table", "live_rows", "dead_rows", "dead_share", "vacuumed_at", "analyzed_at", "age_of_freeze_limit")
_INDEX = ("index", "scans", "bytes", "counted_since")


async def review_vacuum(work: Work) -> dict[str, Any]:
    with translated(work.owner):
        for (statement,) in await (await work.owner.execute(_queries.analyze_parents)).fetchall():
            await work.owner.execute(statement.encode())
        rows = await (await work.owner.execute(_queries.vacuum)).fetchall()
    return {"tables": [_named(_VACUUM, row) for row in rows]}


async def review_indexes(work: Work) -> dict[str, Any]:
    with translated(work.owner):
        rows = await (await work.owner.execute(_queries.unused_indexes)).fetchall()
    return {"unused": [_named(_INDEX, row) for row in rows], "bytes": sum(row[2] for row in rows)}


async def report_capacity(work: Work) -> dict[str, Any]:
    since = (work.now - timedelta(days=CAPACITY_DAYS)).date()
    with translated(work.owner):
        rows = await (await work.owner.execute(_queries.capacity, {"since": since})).fetchall()
    items = []
    for tier, kind, first, last, bytes_first, bytes_last, rows_first, rows_last in rows:
        days = (last - first).days
        yearly = round((bytes_last - bytes_first) / days * 365) if days else None  # of one record nothing follows
        item = {
            "tier": tier,
            "kind": kind,
            "from": first.isoformat(),
            "to": last.isoformat(),
            "bytes": bytes_last,
            "rows": rows_last,
        }
        items.append(
            item | {"grew_by": bytes_last - bytes_first, "grew_by_rows": rows_last - rows_first, "grows_in_a_year": yearly}
        )
    return {"items": items, "bytes": sum(item["bytes"] for item in items)}


def _named(names: tuple[str, ...], row: tuple[Any, ...]) -> dict[str, Any]:
    return {name: cell.isoformat() if hasattr(cell, "isoformat") else cell for name, cell in zip(names, row, strict=True)}
