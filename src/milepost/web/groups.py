"""`/v1/groups`: teams, organisations, studies, classes, whatever kinds the model has; their parents, zones and attributes."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from litestar import Response, get, put
from litestar.params import QueryParameter

from milepost.access.groups import get_group, list_groups, search_groups
from milepost.rollups.health import read_health
from milepost.web import entity_schemas
from milepost.web.answers import page, page_by_name, tagged
from milepost.web.bodies import decode_object
from milepost.web.lane import change_access, named
from milepost.web.openapi import documented
from milepost.web.parameters import At, Cursor, IdInPath, Limit, OneStatus, moment
from milepost.web.request import ApiRequest, unescape, views, writes
from milepost.web.viewing import viewing

__all__ = ["routes"]

Parent = Annotated[str | None, QueryParameter(name="parent", description="Only those directly below this group.")]
Words = Annotated[
    str | None,
    QueryParameter(
        name="q",
        description="Only those in which each of these words begins a word: of the name, the id, or an attribute that the model searches.",
    ),
]
OneKind = Annotated[str | None, QueryParameter(name="kind", description="Only of this kind.")]


@put(
    "/v1/groups/{group:str}",
    guards=[writes],
    summary="Declare or change a group",
    description="Parent and zone hold from `since` on. A change that holds from the past re-attributes what was counted.",
    opt=documented("Entities", entity_schemas.Group, body=entity_schemas.GroupIn, changes=True),
)
async def put_group(request: ApiRequest, group: IdInPath) -> Response[bytes]:
    body = decode_object(await request.whole_body())
    return await change_access(request, named("put_group", body, id=unescape(group)))


@get("/v1/groups/{group:str}", guards=[views], summary="One group", opt=documented("Entities", entity_schemas.Group))
async def read_group(request: ApiRequest, group: IdInPath, at: At = None) -> Response[bytes]:
    when = moment("at", at)
    async with viewing(request) as view:
        return tagged(request, await get_group(view.conn, view.tenant_id, unescape(group), at=when, reader=view.reader))


@get(
    "/v1/groups",
    guards=[views],
    summary="List groups",
    description="In the order of their ids; with `q` the best first, no more than 1,000. A viewer sees those that it may read.",
    opt=documented("Entities", entity_schemas.GroupPage),
)
async def groups(
    request: ApiRequest,
    parent: Parent = None,
    kind: OneKind = None,
    status: OneStatus = None,
    words: Words = None,
    at: At = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[bytes]:
    when = moment("at", at)
    asked: dict[str, Any] = {"parent": parent, "kind": kind, "status": status, "at": when}
    if words is None:
        after = request.name_after(cursor)
        async with viewing(request) as view:
            asked |= {"after": after, "limit": limit + 1, "reader": view.reader}
            found = await list_groups(view.conn, view.tenant_id, **asked)
        return page_by_name(request, found, limit, lambda group: group.id)
    position = request.position(cursor)
    ranked_after = None if position is None else msgspec.json.decode(position, type=tuple[Decimal, str])
    async with viewing(request) as view:
        asked |= {"after": ranked_after, "limit": limit, "reader": view.reader}
        found, following = await search_groups(view.conn, view.tenant_id, view.model, words, **asked)
    return page(request, found, None if following is None else msgspec.json.encode(following))


@get(
    "/v1/groups/{group:str}/health",
    guards=[views],
    summary="How healthy a group is",
    description="A score of 0 to 100 of how much is done in it, by how many of its members, and whether that grows; with what it is made of, "
    "and the formulas.",
    opt=documented("Numbers", entity_schemas.Health),
)
async def health(request: ApiRequest, group: IdInPath) -> Response[bytes]:
    named_group = unescape(group)
    async with viewing(request, about={"group": named_group}, query_class="analytics") as view:
        return tagged(request, await read_health(view.conn, view.tenant_id, view.model, named_group, now=datetime.now(UTC)))


routes = [put_group, read_group, groups, health]
