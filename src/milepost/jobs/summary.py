"""The daily summary: what came in yesterday, what waits for somebody, and how the database is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from milepost.intake.queue import backlog
from milepost.jobs.job import Work
from milepost.postgres import load_queries, translated

__all__ = ["summarize"]

_queries = load_queries(__package__, "summary.sql")
_DATABASE = (
    "bytes",
    "connections",
    "commits",
    "rollbacks",
    "deadlocks",
    "temp_bytes",
    "cache_hit_ratio",
    "oldest_transaction_s",
)


async def summarize(work: Work) -> dict[str, Any]:
    yesterday = (work.now - timedelta(days=1)).date()
    with translated(work.owner):
        tenants = await (await work.owner.execute(_queries.tenants, {"day": yesterday})).fetchall()
        trouble = await (await work.owner.execute(_queries.trouble)).fetchone()
        database = await (await work.owner.execute(_queries.database)).fetchone()
    lanes = await backlog(work.owner)
    assert trouble is not None and database is not None
    return {
        "day": yesterday.isoformat(),
        "activities": dict(tenants),
        "dead_letter_rows": trouble[0],
        "open_alerts": trouble[1],
        "failed_jobs": trouble[2],
        "lane_lag_s": max((lane.oldest_age_s for lane in lanes), default=0.0),
        "database": dict(zip(_DATABASE, database, strict=True)),
    }
