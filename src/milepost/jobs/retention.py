"""The daily run of retention: each tenant's rules, window after window, each a command of the tenant's lane.

Killed anywhere, what was removed is removed and logged, in one transaction each; the next run goes on. A lane that does not answer
ends the run: its commands wait in the queue, and doing one again removes nothing more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from milepost.access.tenants import Tenant, find_tenant, list_tenants
from milepost.activity import SMALLEST_ID
from milepost.errors import NotFound
from milepost.intake.asking import Asking, asking
from milepost.jobs.job import Work
from milepost.postgres import Connection, Database
from milepost.schema.models import CurrentModel, current_model
from milepost.settings import Settings
from milepost.storage.cold import Cold
from milepost.storage.cold_files import cold_files
from milepost.storage.retention import Rule, Window, look, look_cold, rules
from milepost.storage.rewrite import rewrite_buried
from milepost.telemetry import count

__all__ = ["plan_retention", "retain", "run_retention"]


async def retain(work: Work) -> dict[str, Any]:
    try:
        return await run_retention(work.db, work.settings)
    except NotFound:  # no model was applied, so nothing is over
        return {"removed": {}}


async def run_retention(db: Database, settings: Settings, *, tenant: str | None = None) -> dict[str, Any]:
    """Remove what is over, of one tenant (by name) or of all. → `removed`, by tenant and rule. Raises `Timeout`."""
    current, tenants = await _begun(db, tenant)
    removed: dict[str, dict[str, int]] = {}
    async with asking(db, settings, current.version) as lane:
        for one in tenants:
            async with db.transaction("point", tenant_id=one.tenant_id) as conn:
                due = await rules(conn, one.tenant_id, current.model, datetime.now(UTC))
            # The archive first: what comes back beside that which goes is looked at with the rest.
            for cold in (True, False):
                for rule in due:
                    if rule.before is not None and (gone := await _of_rule(lane, one, rule.name, cold=cold)):
                        mine = removed.setdefault(one.name, {})
                        mine[rule.name] = mine.get(rule.name, 0) + gone
            # Also what a run that was killed, or a retraction, has left in the files.
            await rewrite_buried(db, one.tenant_id)
    return {"removed": removed}


async def _of_rule(lane: Asking, tenant: Tenant, name: str, *, cold: bool) -> int:
    """cold: of the archive."""
    removed: int = 0
    low: str | None = None
    while True:
        done = await lane.do(tenant.tenant_id, tenant.lane, {"do": "retain", "rule": name, "low": low, "cold": cold})
        removed += done["removed"]
        count("retention_removed", done["removed"], rule=name)
        low = done["next"]
        if low is None:
            return removed


async def plan_retention(db: Database, *, tenant: str | None = None, now: datetime | None = None) -> list[dict[str, Any]]:
    """A dry run: for each tenant and rule what would go now, by verb, with when the oldest and the newest of it occurred."""
    current, tenants = await _begun(db, tenant)
    cold = Cold(cold_files(db.settings), current.compiled.columns)
    items = []
    for one in tenants:
        async with db.transaction("analytics", tenant_id=one.tenant_id, snapshot=True) as conn:
            for rule in await rules(conn, one.tenant_id, current.model, now or datetime.now(UTC)):
                verbs: dict[str, int] = {}
                first = last = None
                async for window in _windows(conn, cold, one.tenant_id, rule):
                    for verb, n in window.verbs.items():
                        verbs[verb] = verbs.get(verb, 0) + n
                    first = min(filter(None, (first, window.first_at)), default=None)
                    last = max(filter(None, (last, window.last_at)), default=None)
                items.append(
                    {
                        "tenant": one.name,
                        "rule": rule.name,
                        "delete_after": rule.delete_after,
                        "before": rule.before,
                        "activities": sum(verbs.values()),
                        "verbs": verbs,
                        "first_at": first,
                        "last_at": last,
                    }
                )
    return items


async def _windows(conn: Connection, cold: Cold, tenant_id: int, rule: Rule) -> AsyncIterator[Window]:
    """Of PostgreSQL, and then of the archive."""
    low: UUID | None = SMALLEST_ID
    while low is not None:
        window = await look(conn, cold, tenant_id, rule, low)
        yield window
        low = window.next
    low = SMALLEST_ID
    while low is not None:
        window = await look_cold(conn, cold, tenant_id, rule, low)
        yield window
        low = window.next


async def _begun(db: Database, tenant: str | None) -> tuple[CurrentModel, list[Tenant]]:
    async with db.transaction("point") as conn:
        current = await current_model(conn)
        if tenant is not None:
            return current, [await find_tenant(conn, tenant)]
        tenants: list[Tenant] = []
        while page := await list_tenants(conn, after=tenants[-1].tenant_id if tenants else 0):
            tenants += page
    return current, tenants
