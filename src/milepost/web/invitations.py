"""`/v1/groups/{group}/invitations`: asking an actor into a group, and what becomes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from litestar import Response, delete, get, post, put
from litestar.params import QueryParameter

from milepost.access.actors import actor_ids
from milepost.access.groups import group_ids
from milepost.access.invitations import State, list_invitations
from milepost.errors import NotFound
from milepost.web import access_schemas
from milepost.web.answers import page_by_name
from milepost.web.bodies import decode_object
from milepost.web.lane import change_access, named
from milepost.web.openapi import documented
from milepost.web.parameters import Cursor, IdInPath, Limit
from milepost.web.request import ApiRequest, unescape, views, writes
from milepost.web.viewing import viewing

__all__ = ["routes"]

LIFE = timedelta(days=7)  # where nothing is said

# Its argument is called otherwise: the framework keeps `state` for itself.
OneState = Annotated[State | None, QueryParameter(name="state", description="Only those in this state.")]


@put(
    "/v1/groups/{group:str}/invitations/{actor:str}",
    guards=[writes],
    summary="Invite an actor into a group",
    description="`by` names the actor that invites: it must have the action `invite` there, and gives no action that it has not. Without "
    "it the key invites. A new invitation takes the place of the one before. Open for seven days, unless `expires_at` says otherwise.",
    opt=documented("Access", access_schemas.InvitationShown, body=access_schemas.InvitationIn, changes=True),
)
async def invite(request: ApiRequest, group: IdInPath, actor: IdInPath) -> Response[bytes]:
    given = decode_object(await request.whole_body())
    body = {"invited_by": request.user.key_id, "expires_at": (datetime.now(UTC) + LIFE).isoformat()} | given
    return await change_access(request, named("invite", body, group=unescape(group), actor=unescape(actor)))


@post(
    "/v1/groups/{group:str}/invitations/{actor:str}",
    guards=[writes],
    status_code=200,
    summary="Accept or decline an invitation",
    description='`{"answer": "accept"}` makes the actor a member from now on, added by whoever invited; or `decline`. The same answer '
    "again changes nothing; 409 where the invitation is not open any more.",
    opt=documented("Access", access_schemas.InvitationShown, body=access_schemas.InvitationAnswer, changes=True),
)
async def answer_invitation(request: ApiRequest, group: IdInPath, actor: IdInPath) -> Response[bytes]:
    body = decode_object(await request.whole_body())
    return await change_access(request, named("answer_invitation", body, group=unescape(group), actor=unescape(actor)))


@delete(
    "/v1/groups/{group:str}/invitations/{actor:str}",
    guards=[writes],
    status_code=200,
    summary="Revoke an invitation",
    description="409 where it has been answered.",
    opt=documented("Access", changes=True),
)
async def revoke_invitation(request: ApiRequest, group: IdInPath, actor: IdInPath) -> Response[bytes]:
    command = named("revoke_invitation", {}, group=unescape(group), actor=unescape(actor))
    return await change_access(request, command, bare=True)


@get(
    "/v1/groups/{group:str}/invitations",
    guards=[views],
    summary="The invitations to a group",
    description="The last of each actor, in the order of the actors' ids.",
    opt=documented("Access", access_schemas.InvitationPage),
)
async def invitations_to_group(
    request: ApiRequest, group: IdInPath, only: OneState = None, limit: Limit = 50, cursor: Cursor = None
) -> Response[bytes]:
    named_group, after = unescape(group), request.name_after(cursor)
    async with viewing(request) as view:
        if not await group_ids(view.conn, view.tenant_id, [named_group], reader=view.reader):
            raise NotFound(f"There is no group {named_group!r}.")
        found = await list_invitations(view.conn, view.tenant_id, group=named_group, state=only, after=after, limit=limit + 1)
    return page_by_name(request, found, limit, lambda invitation: invitation.actor)


@get(
    "/v1/actors/{actor:str}/invitations",
    guards=[views],
    summary="The invitations of an actor",
    description="The last of each group, in the order of the groups' ids. A viewer sees its own.",
    opt=documented("Access", access_schemas.InvitationPage),
)
async def invitations_of_actor(
    request: ApiRequest, actor: IdInPath, only: OneState = None, limit: Limit = 50, cursor: Cursor = None
) -> Response[bytes]:
    who, after = unescape(actor), request.name_after(cursor)
    if not request.viewer.sees_all and who != request.viewer.actor:
        raise NotFound(f"There is no actor {who!r}.")
    async with viewing(request) as view:
        found = await list_invitations(view.conn, view.tenant_id, actor=who, state=only, after=after, limit=limit + 1)
        if not found and not await actor_ids(view.conn, view.tenant_id, [who]):
            raise NotFound(f"There is no actor {who!r}.")
    return page_by_name(request, found, limit, lambda invitation: invitation.group)


routes = [invite, answer_invitation, revoke_invitation, invitations_to_group, invitations_of_actor]
