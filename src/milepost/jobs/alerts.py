"""Alerts: what somebody should look at, kept until it is resolved.

A rule is a statement that opens alerts and one that resolves them; there is one so far: dead letters that grow. Each tenant's own
growth is looked at, so that a flood of one does not hide another's. An alert is logged as an error when it opens and whenever it
has doubled. An alert of tenant 0 is of the whole deployment.

Rules run as the owner, from whom no policy hides a tenant, in the maintenance of one process at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog

from milepost.postgres import Connection, load_queries, translated
from milepost.telemetry import gauge

__all__ = ["Alert", "alerts", "forget_resolved", "measure_dead_letters", "watch_dead_letters"]

KEPT_DAYS = 90  # of those that are resolved
FORGOTTEN_MAX = 1_000  # in one step

_queries = load_queries(__package__, "alerts.sql")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Alert:
    """deployment: of the whole deployment, not of one tenant. resolved_at: None while it is open."""

    id: int
    deployment: bool
    kind: str
    subject: str
    detail: str
    opened_at: datetime
    resolved_at: datetime | None


async def measure_dead_letters(owner: Connection) -> None:
    """How many lie there, of how many rows, and for how long."""
    with translated(owner):
        row = await (await owner.execute(_queries.measure)).fetchone()
    letters, rows, oldest_s = row or (0, 0, 0.0)
    gauge("dead_letters_waiting", letters)
    gauge("dead_letter_rows_waiting", rows)
    gauge("dead_letter_oldest_seconds", oldest_s)


async def watch_dead_letters(owner: Connection, rows: int) -> None:
    """Open, renew and resolve the alerts of tenants of whose rows at least `rows` were set aside within an hour."""
    with translated(owner):
        noticed = await (await owner.execute(_queries.notice_growth, {"rows": rows})).fetchall()
        resolved = await (await owner.execute(_queries.resolve_growth, {"rows": rows})).fetchall()
    for tenant_id, detail, level in noticed:
        _log.error("dead letters grow", tenant_id=tenant_id, rows=level, detail=detail)
    for (tenant_id,) in resolved:
        _log.info("alert resolved", kind="dead_letters", tenant_id=tenant_id)


async def forget_resolved(owner: Connection) -> int:
    """One step of dropping alerts that were resolved long ago; 0 when none is left."""
    with translated(owner):
        return (await owner.execute(_queries.forget_resolved, {"days": KEPT_DAYS, "rows_max": FORGOTTEN_MAX})).rowcount


async def alerts(conn: Connection, tenant_id: int, *, resolved: bool, before: int | None = None, limit: int) -> list[Alert]:
    """A tenant's and the deployment's, newest first. conn: in a transaction of the tenant. resolved: those too."""
    values = {"tenant_id": tenant_id, "resolved": resolved, "before": before, "limit": limit}
    rows = await (await conn.execute(_queries.page, values)).fetchall()
    names = ("id", "deployment", "kind", "subject", "detail", "opened_at", "resolved_at")
    return [Alert(**dict(zip(names, row, strict=True))) for row in rows]
