"""`/v1/groups`: teams, organisations, studies, classes, whatever kinds the model has; their parents, zones and attributes."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, put
from litestar.params import QueryParameter

from milepost.access.groups import get_group, list_groups
from milepost.web import schemas
from milepost.web.answers import page_by_name, tagged
from milepost.web.bodies import decode_object
from milepost.web.lane import change_access, named
from milepost.web.openapi import documented
from milepost.web.parameters import At, Cursor, IdInPath, Limit, OneStatus, Search, moment
from milepost.web.request import ApiRequest, unescape, views, writes
from milepost.web.viewing import viewing

__all__ = ["routes"]

Parent = Annotated[str | None, QueryParameter(name="parent", description="Only those directly below this group.")]
OneKind = Annotated[str | None, QueryParameter(name="kind", description="Only of this kind.")]


@put(
    "/v1/groups/{group:str}",
    guards=[writes],
    summary="Declare or change a group",
    description="Parent and zone hold from `since` on. A change that holds from the past re-attributes what was counted.",
    opt=documented("Entities", schemas.Group, body=schemas.GroupIn, changes=True),
)
async def put_group(request: ApiRequest, group: IdInPath) -> Response[bytes]:
    body = decode_object(await request.whole_body())
    return await change_access(request, named("put_group", body, id=unescape(group)))


@get("/v1/groups/{group:str}", guards=[views], summary="One group", opt=documented("Entities", schemas.Group))
async def read_group(request: ApiRequest, group: IdInPath, at: At = None) -> Response[bytes]:
    when = moment("at", at)
    async with viewing(request) as view:
        return tagged(request, await get_group(view.conn, view.tenant_id, unescape(group), at=when, reader=view.reader))


@get(
    "/v1/groups",
    guards=[views],
    summary="List groups",
    description="In the order of their ids. A viewer sees those that it may read.",
    opt=documented("Entities", schemas.GroupPage),
)
async def search_groups(
    request: ApiRequest,
    parent: Parent = None,
    kind: OneKind = None,
    status: OneStatus = None,
    part: Search = None,
    at: At = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[bytes]:
    after, when = request.name_after(cursor), moment("at", at)
    async with viewing(request) as view:
        found = await list_groups(
            view.conn,
            view.tenant_id,
            parent=parent,
            kind=kind,
            status=status,
            query=part,
            at=when,
            after=after,
            limit=limit + 1,
            reader=view.reader,
        )
    return page_by_name(request, found, limit, lambda group: group.id)


routes = [put_group, read_group, search_groups]
