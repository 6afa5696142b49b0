"""`/v1/actors/{actor}/follows`: whom and what an actor follows, which is what its home feed shows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import Response, delete, get, put
from litestar.params import PathParameter, QueryParameter

from milepost.access.actors import actor_ids
from milepost.access.follows import KINDS, list_follows
from milepost.errors import NotFound
from milepost.web.answers import page
from milepost.web.feed_schemas import FollowPage, FollowShown
from milepost.web.lane import change_access, named
from milepost.web.openapi import documented
from milepost.web.parameters import Cursor, IdInPath, Limit
from milepost.web.request import ApiRequest, unescape, views, writes

__all__ = ["routes"]

Kind = Annotated[str, PathParameter(description="actor, group or object.")]
Target = Annotated[str, PathParameter(description="The app's own id; of an object KIND/ID, with the slash written %2F.")]
ObjectKind = Annotated[str, PathParameter(description="The object's kind.")]
OneKind = Annotated[
    Literal["actor", "group", "object"] | None, QueryParameter(name="kind", description="Only actors, groups or objects.")
]


@put(
    "/v1/actors/{actor:str}/follows/{kind:str}/{target:str}",
    guards=[writes],
    summary="Follow an actor, a group or an object",
    description="At most 2,000 for each actor. What is followed already stays followed.",
    opt=documented("Feeds", FollowShown, changes=True),
)
async def follow(request: ApiRequest, actor: IdInPath, kind: Kind, target: Target) -> Response[bytes]:
    return await change_access(request, named("follow", {}, actor=unescape(actor), kind=unescape(kind), id=unescape(target)))


@put(
    "/v1/actors/{actor:str}/follows/{kind:str}/{target:str}/{object_id:str}",
    guards=[writes],
    summary="Follow an object",
    description="The same, of an object's kind and id as its feed has them.",
    opt=documented("Feeds", FollowShown, changes=True),
)
async def follow_object(
    request: ApiRequest, actor: IdInPath, kind: Kind, target: ObjectKind, object_id: IdInPath
) -> Response[bytes]:
    return await change_access(request, _of_object("follow", actor, kind, target, object_id))


@delete(
    "/v1/actors/{actor:str}/follows/{kind:str}/{target:str}",
    guards=[writes],
    status_code=200,
    summary="Follow it no longer",
    opt=documented("Feeds", changes=True),
)
async def unfollow(request: ApiRequest, actor: IdInPath, kind: Kind, target: Target) -> Response[bytes]:
    command = named("unfollow", {}, actor=unescape(actor), kind=unescape(kind), id=unescape(target))
    return await change_access(request, command, bare=True)


@delete(
    "/v1/actors/{actor:str}/follows/{kind:str}/{target:str}/{object_id:str}",
    guards=[writes],
    status_code=200,
    summary="Follow an object no longer",
    opt=documented("Feeds", changes=True),
)
async def unfollow_object(
    request: ApiRequest, actor: IdInPath, kind: Kind, target: ObjectKind, object_id: IdInPath
) -> Response[bytes]:
    return await change_access(request, _of_object("unfollow", actor, kind, target, object_id), bare=True)


@get(
    "/v1/actors/{actor:str}/follows",
    guards=[views],
    summary="Whom and what an actor follows",
    description="Actors, then groups, then objects, each in the order of their ids. A viewer sees its own.",
    opt=documented("Feeds", FollowPage),
)
async def follows_of_actor(
    request: ApiRequest, actor: IdInPath, kind: OneKind = None, limit: Limit = 50, cursor: Cursor = None
) -> Response[bytes]:
    tenant_id, who, position = request.user.tenant_id, unescape(actor), request.position(cursor)
    first = (0, "") if position is None else (position[0], position[1:].decode())
    if not request.viewer.sees_all and request.viewer.actor != who:
        raise NotFound(f"There is no actor {who!r}.")
    async with request.services.db.transaction("point", tenant_id=tenant_id, snapshot=True) as conn:
        found = await list_follows(conn, tenant_id, who, kind=kind, at_or_after=first, limit=limit + 1)
        if not found and not await actor_ids(conn, tenant_id, [who]):
            raise NotFound(f"There is no actor {who!r}.")
    following = found[limit] if len(found) > limit else None
    place = None if following is None else bytes([KINDS.index(following.kind)]) + following.id.encode()
    return page(request, found[:limit], place)


def _of_object(do: str, actor: str, kind: str, target: str, object_id: str) -> dict[str, Any]:
    """The command of a route with an object's kind and id. Another kind of thing has no more than an id."""
    if unescape(kind) != "object":
        raise NotFound(
            "There is no such route: what is followed is an actor or group by its id, or an object by its kind and id."
        )
    return named(do, {}, actor=unescape(actor), kind="object", id=f"{unescape(target)}/{unescape(object_id)}")


routes = [follow, follow_object, unfollow, unfollow_object, follows_of_actor]
