"""`/v1/actors`: who did something, by the app's own ids. An actor exists from its first activity, or from its first PUT."""

from __future__ import annotations

from litestar import Response, get, put

from milepost.access.actors import get_actor, list_actors
from milepost.access.groups import actor_groups
from milepost.web import entity_schemas
from milepost.web.answers import page_by_name, tagged
from milepost.web.bodies import decode_object
from milepost.web.lane import change_access, named
from milepost.web.openapi import documented
from milepost.web.parameters import At, Cursor, IdInPath, Limit, Search, moment
from milepost.web.request import ApiRequest, unescape, views, writes
from milepost.web.viewing import viewing

__all__ = ["routes"]


@put(
    "/v1/actors/{actor:str}",
    guards=[writes],
    summary="Say what an actor is called",
    opt=documented("Entities", entity_schemas.Actor, body=entity_schemas.ActorIn, changes=True),
)
async def put_actor(request: ApiRequest, actor: IdInPath) -> Response[bytes]:
    body = decode_object(await request.whole_body())
    return await change_access(request, named("put_actor", body, id=unescape(actor)))


@get(
    "/v1/actors/{actor:str}",
    guards=[views],
    summary="One actor",
    description="A viewer is told of itself, and of the members of groups that it may read.",
    opt=documented("Entities", entity_schemas.Actor),
)
async def read_actor(request: ApiRequest, actor: IdInPath) -> Response[bytes]:
    async with viewing(request) as view:
        return tagged(request, await get_actor(view.conn, view.tenant_id, unescape(actor), reader=view.reader))


@get(
    "/v1/actors",
    guards=[views],
    summary="List actors",
    description="In the order of their ids. A viewer sees itself, and the members of groups that it may read.",
    opt=documented("Entities", entity_schemas.ActorPage),
)
async def search_actors(request: ApiRequest, part: Search = None, limit: Limit = 50, cursor: Cursor = None) -> Response[bytes]:
    after = request.name_after(cursor)
    async with viewing(request) as view:
        found = await list_actors(view.conn, view.tenant_id, query=part, after=after, limit=limit + 1, reader=view.reader)
    return page_by_name(request, found, limit, lambda actor: actor.id)


@get(
    "/v1/actors/{actor:str}/groups",
    guards=[views],
    summary="The groups that an actor is in",
    description="Its memberships at a moment, in the order of the groups' ids. A viewer sees all of its own, and another's in groups that it "
    "may read.",
    opt=documented("Entities", entity_schemas.MemberPage),
)
async def groups_of_actor(
    request: ApiRequest, actor: IdInPath, at: At = None, limit: Limit = 50, cursor: Cursor = None
) -> Response[bytes]:
    after, who, when = request.name_after(cursor), unescape(actor), moment("at", at)
    async with viewing(request) as view:
        found = await actor_groups(view.conn, view.tenant_id, who, at=when, after=after, limit=limit + 1, reader=view.reader)
        if not found:
            await get_actor(view.conn, view.tenant_id, who, reader=view.reader)  # raises
    return page_by_name(request, found, limit, lambda member: member.group)


routes = [put_actor, read_actor, search_actors, groups_of_actor]
