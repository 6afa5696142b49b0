"""Unread counts and read markers, of a viewer's home feed and of groups' feeds."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, put

from milepost.access.groups import group_ids
from milepost.access.viewer import NOBODY, Reader, readable, reader_of
from milepost.errors import Conflict, InvalidInput, NotFound, unknown_fields
from milepost.feeds.home import home_of
from milepost.feeds.listed import listed
from milepost.feeds.unread import HOME, Place, count_unread, mark_read, place_now
from milepost.postgres import Connection
from milepost.storage.filters import Filter
from milepost.web.answers import answer, tagged
from milepost.web.bodies import decode_object
from milepost.web.feed_schemas import MarkIn, UnreadShown
from milepost.web.openapi import documented
from milepost.web.parameters import IdInPath
from milepost.web.reading_place import place_of
from milepost.web.request import ApiRequest, unescape, views
from milepost.web.viewing import viewing
from milepost.web.whose import Whose, as_viewer

__all__ = ["routes"]

PROMISE = (
    "How many activities of the feed were loaded or changed after the marker was set, late data included, as they may be seen now. "
    "`exact` is false where there are more than 1,000, or where it would take looking at too many late ones: there are at least as many."
)
MARKING = (
    "What the body's `to` says, which is the header Milepost-Read-To of a page, or all that is loaded now. A marker only goes on. "
    "Nothing that was loaded after that page was read is marked."
)


@get(
    "/v1/home/unread",
    guards=[views],
    summary="How much of a home feed is unread",
    description=PROMISE,
    opt=documented("Feeds", UnreadShown),
)
async def unread_at_home(request: ApiRequest, actor: Whose = None) -> Response[bytes]:
    return await _unread(request, actor, None)


@put(
    "/v1/home/read",
    guards=[views],
    summary="Mark a home feed as read",
    description=MARKING,
    opt=documented("Feeds", body=MarkIn),
)
async def read_home(request: ApiRequest, actor: Whose = None) -> Response[bytes]:
    return await _read(request, actor, None)


@get(
    "/v1/groups/{group:str}/unread",
    guards=[views],
    summary="How much of a group's feed is unread",
    description=PROMISE,
    opt=documented("Feeds", UnreadShown),
)
async def unread_in_group(request: ApiRequest, group: IdInPath, actor: Whose = None) -> Response[bytes]:
    return await _unread(request, actor, unescape(group))


@put(
    "/v1/groups/{group:str}/read",
    guards=[views],
    summary="Mark a group's feed as read",
    description=MARKING,
    opt=documented("Feeds", body=MarkIn),
)
async def read_group(request: ApiRequest, group: IdInPath, actor: Whose = None) -> Response[bytes]:
    return await _read(request, actor, unescape(group))


async def _unread(request: ApiRequest, actor: str | None, group: str | None) -> Response[bytes]:
    await as_viewer(request, actor)
    async with viewing(request) as view:
        conn, tenant_id, model, reader = view.conn, view.tenant_id, view.model, view.reader
        number = await _group(conn, tenant_id, reader, group)
        stream = await home_of(conn, tenant_id, reader) if group is None else None
        found = stream or await listed(conn, tenant_id, Filter(group=group), model, reader)
        assert found is not None and reader.actor_id is not None
        cold = request.services.models.current.presenter.cold
        return tagged(request, await count_unread(conn, tenant_id, reader.actor_id, number, found, cold))


async def _read(request: ApiRequest, actor: str | None, group: str | None) -> Response[bytes]:
    await as_viewer(request, actor)
    tenant_id, model = request.user.tenant_id, request.services.models.current.model
    raw = await request.whole_body()
    body: dict[str, Any] = decode_object(raw) if raw else {}
    if unknown := unknown_fields(body, ("to",)):
        raise InvalidInput(errors=tuple(unknown))
    place: Place | None = None if body.get("to") is None else place_of(request, body["to"])
    async with request.services.db.transaction("write", tenant_id=tenant_id) as conn:
        reader = await reader_of(conn, tenant_id, request.viewer, model)
        if reader.actor_id in (None, NOBODY):
            raise Conflict(
                f"{request.viewer.actor!r} has done nothing yet, follows nothing and is in no group: it has nothing to read."
            )
        number = await _group(conn, tenant_id, reader, group)
        await mark_read(conn, tenant_id, reader.actor_id or NOBODY, number, place or await place_now(conn, tenant_id))
    return answer(None, status=204)


async def _group(conn: Connection, tenant_id: int, reader: Reader, group: str | None) -> int:
    """The number of a group that the reader may read."""
    if group is None:
        return HOME
    known = await group_ids(conn, tenant_id, [group])
    if not await readable(conn, tenant_id, reader, known.values()):
        raise NotFound(f"There is no group {group!r}.")
    return known[group]


routes = [unread_at_home, read_home, unread_in_group, read_group]
