"""`/v1/admin/alerts`: what somebody should look at: the tenant's own alerts, and those of the whole deployment."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from litestar import Response, get
from litestar.params import QueryParameter

from milepost.jobs.alerts import alerts
from milepost.web import operation_schemas
from milepost.web.answers import page
from milepost.web.openapi import documented
from milepost.web.parameters import Cursor, Limit
from milepost.web.request import ApiRequest, admins

__all__ = ["routes"]

Resolved = Annotated[bool, QueryParameter(name="resolved", description="Those that are resolved, too: for 90 days.")]


@get(
    "/v1/admin/alerts",
    guards=[admins],
    summary="What somebody should look at",
    description="Newest first. An alert stays until what it tells of is resolved.",
    opt=documented("Running it", operation_schemas.AlertPage),
)
async def list_alerts(
    request: ApiRequest, limit: Limit = 50, cursor: Cursor = None, resolved: Resolved = False
) -> Response[bytes]:
    tenant_id, position = request.user.tenant_id, request.position(cursor)
    before = int.from_bytes(position, "big") if position else None
    async with request.services.db.transaction("point", tenant_id=tenant_id) as conn:
        found = await alerts(conn, tenant_id, resolved=resolved, before=before, limit=limit + 1)
    items = [asdict(alert) for alert in found[:limit]]
    return page(request, items, found[limit - 1].id.to_bytes(8, "big") if len(found) > limit else None)


routes = [list_alerts]
