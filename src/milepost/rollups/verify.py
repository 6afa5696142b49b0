"""Verify: recompute everything derived from the activities, on a live system, and name each difference.

Each comparison is one statement in one snapshot, so that loads going on beside it cannot look like differences: a batch is in the
activities and in the numbers, or in neither. Day rows are recomputed from the activities in spans of days, each about
`SPAN_ROWS` activities, so that memory and the age of a snapshot stay bounded; wider buckets are compared with the days, reference
counts with the days' values, latest and pairs tables with the activities. A goal is recomputed from the activities too,
whatever its rollup's rows say, and compared with what its reader is answered (see `verify_goals`). Search documents are compared up to
the position that their index has reached.

Activities that were archived count as those in PostgreSQL do: each snapshot has both (`storage.whole`).

A table that is still being filled from history is left out, and named in `filling`; so are its goals.
"""

from __future__ import annotations

import random
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
from milepost.schema.compile import CompiledMilestones, CompiledModel, CompiledSearch
from milepost.schema.models import current_model
from milepost.storage.manifest import files_between
from milepost.storage.whole import Whole

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
    db: Database,
    *,
    tenant: str | None = None,
    spans_max: int | None = None,
    on_progress: Callable[[str], None] | None = None,
    now: datetime | None = None,
) -> Verification:
    """Compare all of one tenant (by name), or of every tenant. spans_max: a sample instead: the days of so many spans of each table, drawn
    by chance. on_progress: told what is being compared. now: whose buckets goals are compared in; by default the moment at which
    each is reached.
    """
    outcome = Verification()
    async with db.transaction("analytics") as conn:
        compiled = (await current_model(conn)).compiled
        tenants = await (await conn.execute(_queries.tenants, {"name": tenant})).fetchall()
    async with await Whole.open(db, compiled.columns) as whole:
        for tenant_id, name in tenants:
            told = on_progress or (lambda _: None)
            if spans_max is None:
                await _verify_tenant(db, whole, compiled, tenant_id, name, outcome, told, now)
            else:
                await _sample_tenant(db, whole, compiled, tenant_id, name, outcome, told, spans_max)
    telemetry.count("verify_checked", outcome.checked)
    telemetry.count("verify_differences", outcome.differences)
    return outcome


async def _verify_tenant(
    db: Database,
    whole: Whole,
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
                async with whole.snapshot(tenant_id) as conn:
                    await _compare(conn, whole.over(check.sql), values, outcome, tenant, check.what, name)
                continue
            if spans is None:
                spans = [span async for span in _spans(db, part.table, values)]
            for first, last in spans:
                async with whole.snapshot(tenant_id, *_ids_of(first, last)) as conn:
                    span = {**values, "first": first, "last": last}
                    await _compare(conn, whole.over(check.sql), span, outcome, tenant, check.what, name)
    if compiled.search is not None:
        on_progress(f"{tenant}: search")
        await _verify_search(db, whole, compiled.search, tenant_id, tenant, outcome)
    for goal in compiled.model.goals.values():
        if f"rollup_{goal.rollup}" not in filling:
            on_progress(f"{tenant}: goal {goal.name}")
            await _verify_goal(whole, compiled.model, goal, tenant_id, tenant, outcome, now or datetime.now(UTC))


async def _sample_tenant(
    db: Database,
    whole: Whole,
    compiled: CompiledModel,
    tenant_id: int,
    tenant: str,
    outcome: Verification,
    on_progress: Callable[[str], None],
    spans_max: int,
) -> None:
    """What is compared span by span, in a few spans: its cost does not grow with the history."""
    values = {"tenant_id": tenant_id}
    async with db.transaction("analytics", tenant_id=tenant_id) as conn:
        filling = {row[0] for row in await (await conn.execute(_queries.filling, values)).fetchall()}
    for part in compiled.derived():
        name = part.table.removeprefix("milepost.")
        checks = [check for check in part.verify if check.chunked]
        if not checks or name in filling:
            continue
        on_progress(f"{tenant}: {name}")
        spans = [span async for span in _spans(db, part.table, values)]
        for first, last in random.sample(spans, min(spans_max, len(spans))):
            async with whole.snapshot(tenant_id, *_ids_of(first, last)) as conn:
                for check in checks:
                    given = {**values, "first": first, "last": last}
                    await _compare(conn, whole.over(check.sql), given, outcome, tenant, check.what, name)


async def _verify_goal(
    whole: Whole, model: Model, goal: Goal, tenant_id: int, tenant: str, outcome: Verification, now: datetime
) -> None:
    try:
        async with whole.snapshot(tenant_id) as conn:
            async for found in compared_goals(conn, tenant_id, model, goal, now=now, over=whole.over):
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


async def _verify_search(
    db: Database, whole: Whole, search: CompiledSearch, tenant_id: int, tenant: str, outcome: Verification
) -> None:
    """The documents of all that the index covers, up to its position, in spans of ids that leave out none."""
    low: UUID | None = SMALLEST_ID
    while low is not None:
        values = {"tenant_id": tenant_id, "low": low}
        async with db.transaction("analytics", tenant_id=tenant_id) as conn:
            row = await (await conn.execute(_queries.rows_between, {**values, "rows": SPAN_ROWS})).fetchone()
            ends = [row[0]] if row else []
            ends += [end for end in await _ends_of_files(conn, tenant_id, low) if end > low][:1]
        high = min(ends, default=LARGEST_ID)
        async with whole.snapshot(tenant_id, low, high) as conn:
            await _compare(conn, whole.over(search.verify), {**values, "high": high}, outcome, tenant, "search", "")
        low = high if ends else None
    async with db.transaction("analytics", tenant_id=tenant_id) as conn:
        searched = await (await conn.execute(_queries.is_searched, {**values, "fingerprint": search.fingerprint})).fetchone()
    if searched is None:
        outcome.filling.append(f"{tenant}: search")


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
        files = await files_between(conn, values["tenant_id"], SMALLEST_ID, LARGEST_ID)
    edges = [moment.astimezone(UTC).replace(tzinfo=None) for moment in (oldest, newest) if moment is not None]
    edges += [occurred_at_of(id).replace(tzinfo=None) for file in files for id in (file.low, file.high)]
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
            ends = [row[0]] if row else []
            ends += list(await _ends_of_files(conn, values["tenant_id"], parameters["low"]))[:1]
        until = max(at + timedelta(days=1), _day(occurred_at_of(min(ends)).replace(tzinfo=None))) if ends else end
        yield at, min(until, end)
        at = until


async def _ends_of_files(conn: Connection, tenant_id: int, low: UUID) -> list[UUID]:
    """Above which ids the files of the archive end, from `low` on, in order: as good as any for the ends of spans."""
    return sorted(UUID(int=file.high.int + 1) for file in await files_between(conn, tenant_id, low, LARGEST_ID))


def _ids_of(first: datetime, last: datetime) -> tuple[UUID, UUID]:
    """All that can lie in these local days, and not much more."""
    around = timedelta(hours=27)
    low = max(first, datetime.min + around) - around
    return id_from(low.replace(tzinfo=UTC)), id_from(last.replace(tzinfo=UTC) + around)


def _day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
