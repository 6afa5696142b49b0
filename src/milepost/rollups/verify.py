"""Verify: recompute everything derived from the activities, on a live system, and name each difference.

Each comparison is one statement in one snapshot, so that loads going on beside it cannot look like differences: a batch is in the
activities and in the numbers, or in neither. Day rows are recomputed from the activities in spans of days, each about
`SPAN_ROWS` activities, so that memory and the age of a snapshot stay bounded; wider buckets are compared with the days, reference
counts with the days' values, latest and pairs tables with the activities. A goal is read from its rollup's row, and right when
that is.

A table that is still being filled from history is left out, and named in `filling`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from milepost.activity import id_from, occurred_at_of
from milepost.postgres import Connection, Database, load_queries
from milepost.schema.compile import Check, CompiledModel
from milepost.schema.models import current_model

__all__ = ["Verification", "verify"]

_queries = load_queries(__package__, "verify.sql")

SPAN_ROWS = 250_000
ITEMS_MAX = 1_000  # differences that are listed; all are counted


@dataclass(kw_only=True)
class Verification:
    """checked: comparisons made. differences: rows that differ. items: the first of them, each with what is stored and what
    should be: {"tenant", "kind", "name", "keys", "per", "bucket", "stored", "recomputed"}.
    """

    checked: int = 0
    differences: int = 0
    items: list[dict[str, Any]] = field(default_factory=list)
    filling: list[str] = field(default_factory=list)


async def verify(db: Database, *, tenant: str | None = None, on_progress: Callable[[str], None] | None = None) -> Verification:
    """Compare all of one tenant (by name), or of every tenant. on_progress: told what is being compared."""
    outcome = Verification()
    async with db.transaction("analytics") as conn:
        compiled = (await current_model(conn)).compiled
        tenants = await (await conn.execute(_queries.tenants, {"name": tenant})).fetchall()
    for tenant_id, name in tenants:
        await _verify_tenant(db, compiled, tenant_id, name, outcome, on_progress or (lambda _: None))
    return outcome


async def _verify_tenant(
    db: Database,
    compiled: CompiledModel,
    tenant_id: int,
    tenant: str,
    outcome: Verification,
    on_progress: Callable[[str], None],
) -> None:
    values = {"tenant_id": tenant_id}
    async with db.transaction("analytics", tenant_id=tenant_id, snapshot=True) as conn:
        filling = {row[0] for row in await (await conn.execute(_queries.filling, values)).fetchall()}
        outcome.filling += [f"{tenant}: {name}" for name in sorted(filling)]
        for kind, query in (("reach", _queries.reach), ("stream", _queries.streams)):
            on_progress(f"{tenant}: {kind}")
            await _compare(conn, query, values, outcome, tenant, kind, "")
    for part in compiled.derived():
        name = part.table.removeprefix("milepost.")
        if name in filling:
            continue
        spans: list[tuple[datetime, datetime]] | None = None
        for check in part.verify:
            on_progress(f"{tenant}: {name} {check.what}")
            if not check.chunked:
                await _verify_check(db, check, values, outcome, tenant, name)
                continue
            if spans is None:
                spans = [span async for span in _spans(db, part.table, values)]
            for first, last in spans:
                await _verify_check(db, check, {**values, "first": first, "last": last}, outcome, tenant, name)


async def _verify_check(
    db: Database, check: Check, values: dict[str, Any], outcome: Verification, tenant: str, name: str
) -> None:
    async with db.transaction("analytics", tenant_id=values["tenant_id"], snapshot=True) as conn:
        await _compare(conn, check.sql, values, outcome, tenant, check.what, name)


async def _compare(
    conn: Connection, query: str, values: dict[str, Any], outcome: Verification, tenant: str, kind: str, name: str
) -> None:
    outcome.checked += 1
    async with conn.cursor() as cursor:
        await cursor.execute(query, values)
        while rows := await cursor.fetchmany(1_000):
            outcome.differences += len(rows)
            for keys, per, bucket, stored, recomputed in rows[: ITEMS_MAX - len(outcome.items)]:
                outcome.items.append(
                    {
                        "tenant": tenant,
                        "kind": kind,
                        "name": name,
                        "keys": keys,
                        "per": per,
                        "bucket": bucket.isoformat() if bucket else None,
                        "stored": stored,
                        "recomputed": recomputed,
                    }
                )


async def _spans(db: Database, table: str, values: dict[str, Any]) -> AsyncIterator[tuple[datetime, datetime]]:
    """Spans of whole local days that together hold all activities and all day rows, in order."""
    async with db.transaction("analytics", tenant_id=values["tenant_id"]) as conn:
        oldest, newest = await (await conn.execute(_queries.span, values)).fetchone() or (None, None)
        extent = _queries.extent.replace("{table}", table)
        first_row, last_row = await (await conn.execute(extent, values)).fetchone() or (None, None)
    edges = [moment.astimezone(UTC).replace(tzinfo=None) for moment in (oldest, newest) if moment is not None]
    edges += [bucket for bucket in (first_row, last_row) if bucket is not None]
    if not edges:
        return
    # Local days may begin 14 hours before, and end 12 hours after, the same day in UTC.
    at = _day(max(min(edges), datetime.min + timedelta(days=2)) - timedelta(days=1))
    end = _day(min(max(edges), datetime.max - timedelta(days=4)) + timedelta(days=3))
    while at < end:
        async with db.transaction("analytics", tenant_id=values["tenant_id"]) as conn:
            parameters = {**values, "low": id_from(at.replace(tzinfo=UTC)), "rows": SPAN_ROWS}
            row = await (await conn.execute(_queries.rows_between, parameters)).fetchone()
        until = end if row is None else max(at + timedelta(days=1), _day(occurred_at_of(row[0]).replace(tzinfo=None)))
        yield at, min(until, end)
        at = until


def _day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
