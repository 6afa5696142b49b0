"""`/v1/actors/{id}/pending`: what an actor has been given and not done, as the model's pending lists say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from litestar import Response, get
from litestar.params import QueryParameter

from milepost.access.actors import actor_ids
from milepost.errors import NotFound
from milepost.rollups.pending import Wanted, read_pending, seen_through
from milepost.web import report_schemas
from milepost.web.answers import page
from milepost.web.openapi import documented
from milepost.web.parameters import Cursor, IdInPath, Limit, OneGroup
from milepost.web.request import ApiRequest, unescape, views
from milepost.web.viewing import viewing

__all__ = ["routes"]

OneList = Annotated[str | None, QueryParameter(name="list", description="Only of this pending list of the model.")]


@get(
    "/v1/actors/{actor:str}/pending",
    guards=[views],
    summary="What an actor has been given and not done",
    description="Of the groups that it is a member of now, in the roles that the list names; the first due first, and last what "
    "has no due date. A viewer sees its own, and of another actor what was given to groups that it may read.",
    opt=documented("Numbers", report_schemas.PendingPage),
)
async def pending(
    request: ApiRequest,
    actor: IdInPath,
    group: OneGroup = None,
    name: OneList = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[bytes]:
    after, who, now = request.position(cursor), unescape(actor), datetime.now(UTC)
    async with viewing(request) as view:
        conn, tenant_id = view.conn, view.tenant_id
        seen = await seen_through(conn, tenant_id, view.reader, who, at=now)
        asked = Wanted(group=group, list=name, readable=seen)
        found = await read_pending(conn, tenant_id, view.model, who, asked, now=now, limit=limit, after=after)
        if not found.items and (seen == set() or not await actor_ids(conn, tenant_id, [who])):
            raise NotFound(f"There is no actor {who!r}.")
    return page(request, found.items, found.next)


routes = [pending]
