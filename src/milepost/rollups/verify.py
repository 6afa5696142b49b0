"""Verify: recompute everything derived from the activities, on a live system, and name each difference.

Each comparison is one statement in one snapshot, so that loads going on beside it cannot look like differences: a batch is in the
activities and in the numbers, or in neither. Day rows are recomputed from the activities in spans of days, each about
`SPAN_ROWS` activities, so that memory and the age of a snapshot stay bounded; wider buckets are compared with the days, reference
counts with the days' values, latest and pairs tables with the activities. A goal is recomputed from the activities too,
whatever its rollup's rows say, and compared with what its reader is answered (see `verify_goals`). Search documents are compared up to
the position that their index has reached.

A table that is still being filled from history is left out, and named in `filling`; so are its goals.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from milepost import telemetry
from milepost.activity import LARGEST_ID, SMALLEST_ID, id_from, occurred_at_of
from milepost.model import Goal, Model
from milepost.postgres import Connection, Database, load_queries
from milepost.rollups.filling import BeingFilled
from milepost.rollups.verify_goals import compared_goals
from milepost.schema.compile import Check, CompiledMilestones, CompiledModel, CompiledSearch
from milepost.schema.models import current_model

__all__ = ["Verification", "verify"]

_queries = load_queries(__package__, "verify.sql")

SPAN_ROWS = 250_000
ITEMS_MAX = 1_000  # differences that are listed; all are counted


@dataclass(kw_only=True)
class Verification:
    """checked: comparisons made: one for each statement, and one for each goal of each group or actor. differences: rows and
    goals that differ. items: the first of them, each with what is stored (of a goal: served) and what should be: {"tenant",
    "kind", "name", "keys", "per", "bucket", "stored", "recomputed"}. A goal's bucket is that of now, and null here.
    """

    checked: int = 0
    differences: int = 0
    items: list[dict[str, Any]] = field(default_factory=list)
    filling: list[str] = field(default_factory=list)

    def note(self, **difference: Any) -> None:
        self.differences += 1
        if len(self.items) < ITEMS_MAX:
            self.items.append(difference)


async def verify(
    db: Database, *, tenant: str | None = None, on_progress: Callable[[str], None] | None = None, now: datetime | None = None
) -> Verification:
    """Compare all of one tenant (by name), or of every tenant. on_progress: told what is being compared. now: whose buckets
    goals are compared in; by default the moment at which each is reached.
    """
    outcome = Verification()
    async with db.transaction("analytics") as conn:
        compiled = (await current_model(conn)).compiled
        tenants = await (await conn.execute(_queries.tenants, {"name": tenant})).fetchall()
    for tenant_id, name in tenants:
        await _verify_tenant(db, compiled, tenant_id, name, outcome, on_progress or (lambda _: None), now)
    telemetry.count("verify_checked", outcome.checked)
    telemetry.count("verify_differences", outcome.differences)
    return outcome


async def _verify_tenant(
    db: Database,
    compiled: CompiledModel,
    tenant_id: int,
    tenant: str,
    outcome: Verification,
    on_progress: Callable[[str], None],
    now: datetime | None,
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
        if name in filling or (isinstance(part, CompiledMilestones) and part.needs in filling):
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
    if compiled.search is not None:
        on_progress(f"{tenant}: search")
        await _verify_search(db, compiled.search, tenant_id, tenant, outcome)
    for goal in compiled.model.goals.values():
        if f"rollup_{goal.rollup}" not in filling:
            on_progress(f"{tenant}: goal {goal.name}")
            await _verify_goal(db, compiled.model, goal, tenant_id, tenant, outcome, now or datetime.now(UTC))


async def _verify_goal(
    db: Database, model: Model, goal: Goal, tenant_id: int, tenant: str, outcome: Verification, now: datetime
) -> None:
    try:
        async with db.transaction("analytics", tenant_id=tenant_id, snapshot=True) as conn:
            async for found in compared_goals(conn, tenant_id, model, goal, now=now):
                outcome.checked += 1
                if found.served != found.recomputed:
                    outcome.note(
                        tenant=tenant,
                        kind="goal",
                        name=goal.name,
                        keys=found.key,
                        per=goal.per,
                        bucket=None,
                        stored=found.served,
                        recomputed=found.recomputed,
                    )
    except BeingFilled as error:  # since a moment ago: another model was applied
        outcome.filling.append(f"{tenant}: {error.facts['name']}")


async def _verify_search(db: Database, search: CompiledSearch, tenant_id: int, tenant: str, outcome: Verification) -> None:
    """The documents of all that the index covers, up to its position, in spans of ids that leave out none."""
    low: UUID | None = SMALLEST_ID
    while low is not None:
        values = {"tenant_id": tenant_id, "low": low}
        async with db.transaction("analytics", tenant_id=tenant_id, snapshot=True) as conn:
            row = await (await conn.execute(_queries.rows_between, {**values, "rows": SPAN_ROWS})).fetchone()
            await _compare(
                conn, search.verify, {**values, "high": row[0] if row else LARGEST_ID}, outcome, tenant, "search", ""
            )
        low = row[0] if row else None
    async with db.transaction("analytics", tenant_id=tenant_id) as conn:
        whole = await (await conn.execute(_queries.is_searched, {**values, "fingerprint": search.fingerprint})).fetchone()
    if whole is None:
        outcome.filling.append(f"{tenant}: search")


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
            for keys, per, bucket, stored, recomputed in rows:
                outcome.note(
                    tenant=tenant,
                    kind=kind,
                    name=name,
                    keys=keys,
                    per=per,
                    bucket=bucket.isoformat() if bucket else None,
                    stored=stored,
                    recomputed=recomputed,
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
