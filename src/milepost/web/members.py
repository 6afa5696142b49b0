"""`/v1/groups/{group}/members`: who is in a group, as what, since when."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, delete, get, put
from litestar.params import QueryParameter

from milepost.access.groups import list_members
from milepost.web import entity_schemas
from milepost.web.answers import page_by_name
from milepost.web.bodies import decode_object
from milepost.web.lane import change_access, named
from milepost.web.openapi import documented
from milepost.web.parameters import At, Cursor, IdInPath, Limit, moment
from milepost.web.request import ApiRequest, unescape, views, writes
from milepost.web.viewing import viewing

__all__ = ["routes"]

OneRole = Annotated[str | None, QueryParameter(name="role", description="Only in this role.")]
Left = Annotated[str | None, QueryParameter(name="at", description="When the actor left: a time, or `always`. Now, if absent.")]


@put(
    "/v1/groups/{group:str}/members/{actor:str}",
    guards=[writes],
    summary="Make an actor a member, or change the role",
    description="Holds from `since` on. Membership from a past moment on re-attributes what was counted.",
    opt=documented("Entities", entity_schemas.Member, body=entity_schemas.MemberIn, changes=True),
)
async def put_member(request: ApiRequest, group: IdInPath, actor: IdInPath) -> Response[bytes]:
    body = {"added_by": request.user.key_id} | decode_object(await request.whole_body())
    return await change_access(request, named("put_member", body, group=unescape(group), actor=unescape(actor)))


@delete(
    "/v1/groups/{group:str}/members/{actor:str}",
    guards=[writes],
    status_code=200,
    summary="End a membership",
    opt=documented("Entities", changes=True),
)
async def remove_member(request: ApiRequest, group: IdInPath, actor: IdInPath, at: Left = None) -> Response[bytes]:
    body = {} if at is None else {"at": at}
    command = named("remove_member", body, group=unescape(group), actor=unescape(actor))
    return await change_access(request, command, bare=True)


@get(
    "/v1/groups/{group:str}/members",
    guards=[views],
    summary="List a group's members",
    description="At a moment, in the order in which the actors became known.",
    opt=documented("Entities", entity_schemas.MemberPage),
)
async def search_members(
    request: ApiRequest,
    group: IdInPath,
    role: OneRole = None,
    at: At = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[bytes]:
    after, when = request.name_after(cursor), moment("at", at)
    async with viewing(request) as view:
        found = await list_members(
            view.conn,
            view.tenant_id,
            unescape(group),
            role=role,
            at=when,
            after=after,
            limit=limit + 1,
            reader=view.reader,
        )
    return page_by_name(request, found, limit, lambda member: member.actor)


routes = [put_member, remove_member, search_members]
