"""Lists of activities: `GET /v1/activities` by filters, and the feeds of a group, an actor and an object."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter

from milepost.access.actors import actor_ids
from milepost.access.groups import group_ids
from milepost.access.viewer import readable, reader_of
from milepost.errors import NotFound
from milepost.feeds.include import INCLUDABLE, include
from milepost.feeds.read import read_page
from milepost.storage.filters import Filter
from milepost.web import schemas, search_schemas
from milepost.web.answers import page
from milepost.web.openapi import documented
from milepost.web.parameters import (
    NARROWED,
    Cursor,
    From,
    IdInPath,
    Limit,
    Narrowed,
    OneVerb,
    To,
    moment,
    object_asked,
    words_of,
)
from milepost.web.request import ApiRequest, unescape, views
from milepost.web.search import SEARCHED, WAIT_FOR_INDEX, Searched, search_results

__all__ = ["LISTING", "Listing", "routes", "with_fields"]

FIELDS = tuple(schemas.ActivityListed.__struct_fields__)

Fields = Annotated[
    str | None,
    QueryParameter(name="fields", description=f"What to show, comma-separated: {', '.join(FIELDS)}. All, if absent."),
]
Include = Annotated[
    str | None,
    QueryParameter(
        name="include", description="What comes along, comma-separated: actor, object, group. An object is all there."
    ),
]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What every list of activities may be asked for: a span of time, what to show, and a page."""

    since: datetime | None
    until: datetime | None
    fields: tuple[str, ...]
    included: tuple[str, ...]
    limit: int
    cursor: str | None


def listing(
    since: From = None,
    until: To = None,
    fields: Fields = None,
    included: Include = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listing:
    return Listing(
        since=moment("from", since),
        until=moment("to", until),
        fields=words_of("fields", fields, FIELDS),
        included=words_of("include", included, INCLUDABLE),
        limit=limit,
        cursor=cursor,
    )


LISTING = {"listing": Provide(listing, sync_to_thread=False)}


@get(
    "/v1/activities",
    guards=[views],
    dependencies={**LISTING, **NARROWED, **SEARCHED},
    summary="List activities, newest first, or search them",
    description="All filters given must hold. `data.NAME=value` filters by a data field that the model declares as a filter. "
    "Where filters have no index of their own, and where a viewer sees next to nothing of what they find, a page may hold fewer items "
    "than `limit`, even none: the list goes on as long as `next` is not null. With `q` it is a search: see `order`, `facets` and "
    "`highlight`.",
    opt=documented("Activities", search_schemas.ActivitiesFound, data_filters=True, headers=(WAIT_FOR_INDEX,)),
)
async def list_activities(
    request: ApiRequest,
    listing: NamedDependency[Listing],
    narrowed: NamedDependency[Narrowed],
    searched: NamedDependency[Searched],
) -> Response[bytes]:
    wanted = Filter(
        actor=narrowed.actor,
        group=narrowed.group,
        object=object_asked(narrowed.object),
        verb=narrowed.verb,
        source=narrowed.source,
        status=narrowed.status,
        since=listing.since,
        until=listing.until,
        data=_data(request),
    )
    if searched.q is not None:
        return await search_results(
            request,
            wanted,
            searched,
            limit=listing.limit,
            cursor=listing.cursor,
            fields=listing.fields,
            included=listing.included,
        )
    return await _listed(request, wanted, listing)


@get(
    "/v1/groups/{group:str}/feed",
    guards=[views],
    dependencies=LISTING,
    summary="A group's feed",
    description="What was addressed to the group, as the first or a later one of several. Not of the groups below it. "
    "A viewer that may not read the group sees what is public.",
    opt=documented("Feeds", schemas.ActivityPage),
)
async def group_feed(
    request: ApiRequest, group: IdInPath, listing: NamedDependency[Listing], verb: OneVerb = None
) -> Response[bytes]:
    wanted = Filter(group=unescape(group), verb=verb, since=listing.since, until=listing.until)
    return await _listed(request, wanted, listing, of="group")


@get(
    "/v1/actors/{actor:str}/feed",
    guards=[views],
    dependencies=LISTING,
    summary="An actor's feed",
    description="What the actor did.",
    opt=documented("Feeds", schemas.ActivityPage),
)
async def actor_feed(
    request: ApiRequest, actor: IdInPath, listing: NamedDependency[Listing], verb: OneVerb = None
) -> Response[bytes]:
    wanted = Filter(actor=unescape(actor), verb=verb, since=listing.since, until=listing.until)
    return await _listed(request, wanted, listing, of="actor")


@get(
    "/v1/objects/{kind:str}/{object_id:str}/feed",
    guards=[views],
    dependencies=LISTING,
    summary="An object's feed",
    description="What was done to the object. It is known by its activities alone: one without any has an empty feed.",
    opt=documented("Feeds", schemas.ActivityPage),
)
async def object_feed(
    request: ApiRequest, kind: IdInPath, object_id: IdInPath, listing: NamedDependency[Listing], verb: OneVerb = None
) -> Response[bytes]:
    named = (unescape(kind), unescape(object_id))
    return await _listed(request, Filter(object=named, verb=verb, since=listing.since, until=listing.until), listing)


async def _listed(request: ApiRequest, filter: Filter, listing: Listing, *, of: str | None = None) -> Response[bytes]:
    """of: whose feed it is, which must exist, and be there for the viewer."""
    position = request.position(listing.cursor)
    served, tenant_id = request.services.models.current, request.user.tenant_id
    more: dict[str, Any] = {}
    async with request.services.db.transaction("point", tenant_id=tenant_id, snapshot=True) as conn:
        reader = await reader_of(conn, tenant_id, request.viewer, served.model)
        found = await read_page(
            conn,
            tenant_id,
            filter,
            served.model,
            served.presenter,
            limit=listing.limit,
            before=None if position is None else UUID(bytes=position),
            reader=reader,
        )
        if of is not None and position is None and not found.items and found.next is None:
            known = await (group_ids if of == "group" else actor_ids)(conn, tenant_id, [getattr(filter, of)])
            if not known or (of == "group" and not await readable(conn, tenant_id, reader, known.values())):
                raise NotFound(f"There is no {of} {getattr(filter, of)!r}.")
        if listing.included:
            more["included"] = await include(conn, tenant_id, found.items, listing.included, reader)
    return page(request, with_fields(found.items, listing.fields), None if found.next is None else found.next.bytes, **more)


def with_fields(items: list[dict[str, Any]], shown: Collection[str]) -> list[dict[str, Any]]:
    """Items with the fields that are asked for; all, if none are."""
    if not shown:
        return items
    return [{name: value for name, value in item.items() if name in shown} for item in items]


def _data(request: ApiRequest) -> dict[str, str]:
    """`data.NAME=value`: which names there may be, the model says."""
    return {name[5:]: value for name, value in request.query_params.items() if name.startswith("data.")}


routes = [list_activities, group_feed, actor_feed, object_feed]
