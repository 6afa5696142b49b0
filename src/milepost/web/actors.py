"""`/v1/actors`: who did something, by the app's own ids. An actor exists from its first activity, or from its first PUT."""

from __future__ import annotations

from litestar import Response, get, put

from milepost.access.actors import actor_ids, get_actor, list_actors
from milepost.access.groups import actor_groups
from milepost.errors import NotFound
from milepost.web import schemas
from milepost.web.answers import page_by_name, tagged
from milepost.web.bodies import decode_object
from milepost.web.lane import change_access, named
from milepost.web.openapi import documented
from milepost.web.parameters import At, Cursor, IdInPath, Limit, Search, moment
from milepost.web.request import ApiRequest, reads, unescape, writes

__all__ = ["routes"]


@put(
    "/v1/actors/{actor:str}",
    guards=[writes],
    summary="Say what an actor is called",
    opt=documented("Entities", schemas.Actor, body=schemas.ActorIn, changes=True),
)
async def put_actor(request: ApiRequest, actor: IdInPath) -> Response[bytes]:
    body = decode_object(await request.whole_body())
    return await change_access(request, named("put_actor", body, id=unescape(actor)))


@get("/v1/actors/{actor:str}", guards=[reads], summary="One actor", opt=documented("Entities", schemas.Actor))
async def read_actor(request: ApiRequest, actor: IdInPath) -> Response[bytes]:
    tenant_id = request.user.tenant_id
    async with request.services.db.transaction("point", tenant_id=tenant_id) as conn:
        return tagged(request, await get_actor(conn, tenant_id, unescape(actor)))


@get(
    "/v1/actors",
    guards=[reads],
    summary="List actors",
    description="In the order of their ids.",
    opt=documented("Entities", schemas.ActorPage),
)
async def search_actors(request: ApiRequest, part: Search = None, limit: Limit = 50, cursor: Cursor = None) -> Response[bytes]:
    tenant_id, after = request.user.tenant_id, request.name_after(cursor)
    async with request.services.db.transaction("point", tenant_id=tenant_id) as conn:
        found = await list_actors(conn, tenant_id, query=part, after=after, limit=limit + 1)
    return page_by_name(request, found, limit, lambda actor: actor.id)


@get(
    "/v1/actors/{actor:str}/groups",
    guards=[reads],
    summary="The groups that an actor is in",
    description="Its memberships at a moment, in the order of the groups' ids.",
    opt=documented("Entities", schemas.MemberPage),
)
async def groups_of_actor(
    request: ApiRequest, actor: IdInPath, at: At = None, limit: Limit = 50, cursor: Cursor = None
) -> Response[bytes]:
    tenant_id, after, who = request.user.tenant_id, request.name_after(cursor), unescape(actor)
    when = moment("at", at)
    async with request.services.db.transaction("point", tenant_id=tenant_id, snapshot=True) as conn:
        found = await actor_groups(conn, tenant_id, who, at=when, after=after, limit=limit + 1)
        if not found and not await actor_ids(conn, tenant_id, [who]):
            raise NotFound(f"There is no actor {who!r}.")
    return page_by_name(request, found, limit, lambda member: member.group)


routes = [put_actor, read_actor, search_actors, groups_of_actor]
