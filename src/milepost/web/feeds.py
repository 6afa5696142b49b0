"""Lists of activities: `GET /v1/activities` by filters, and the feeds of a group, an actor and an object."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency

from milepost.access.actors import actor_ids
from milepost.access.groups import get_group, group_ids
from milepost.access.viewer import Reader, readable, reader_of
from milepost.errors import FieldError, InvalidInput, NotFound
from milepost.feeds.include import include
from milepost.feeds.listed import listed
from milepost.feeds.read import read_page
from milepost.feeds.unread import place_now
from milepost.postgres import Connection
from milepost.storage.by_index import plan_by_index
from milepost.storage.filters import Filter
from milepost.web import activity_schemas, search_schemas
from milepost.web.aggregated import aggregated
from milepost.web.answers import page
from milepost.web.feed_schemas import AggregatePage
from milepost.web.listing import LISTING, Listing, with_fields
from milepost.web.openapi import documented
from milepost.web.parameters import NARROWED, IdInPath, Narrowed, OneVerb, object_asked
from milepost.web.reading_place import with_place
from milepost.web.request import ApiRequest, unescape, views
from milepost.web.search import SEARCHED, WAIT_FOR_INDEX, Searched, search_results

__all__ = ["routes"]


@get(
    "/v1/activities",
    guards=[views],
    dependencies={**LISTING, **NARROWED, **SEARCHED},
    summary="List activities, newest first, or search them",
    description="All filters given must hold. `data.NAME=value` filters by a data field that the model declares as a filter. "
    "Where filters have no index of their own, and where a viewer sees next to nothing of what they find, a page may hold fewer items "
    "than `limit`, even none: the list goes on as long as `next` is not null. With `q` it is a search: see `order`, `facets` and "
    "`highlight`.",
    opt=documented(
        "Activities", search_schemas.ActivitiesFound, aggregates=AggregatePage, data_filters=True, headers=(WAIT_FOR_INDEX,)
    ),
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
        if listing.aggregate is not None:
            raise InvalidInput(errors=(FieldError("/aggregate", "cannot be asked for together with q"),))
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
    opt=documented("Feeds", activity_schemas.ActivityPage, aggregates=AggregatePage),
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
    opt=documented("Feeds", activity_schemas.ActivityPage, aggregates=AggregatePage),
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
    opt=documented("Feeds", activity_schemas.ActivityPage, aggregates=AggregatePage),
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
        if listing.aggregate is not None:
            return await _aggregated(request, conn, filter, listing, reader, of=of)
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
        place = None if of != "group" or reader.sees_all else await place_now(conn, tenant_id)
    answered = page(request, with_fields(found.items, listing.fields), None if found.next is None else found.next.bytes, **more)
    return answered if place is None else with_place(request, answered, place)


async def _aggregated(
    request: ApiRequest, conn: Connection, filter: Filter, listing: Listing, reader: Reader, *, of: str | None
) -> Response[bytes]:
    tenant_id = request.user.tenant_id
    await plan_by_index(conn, sorts=False)
    stream = await listed(conn, tenant_id, filter, request.services.models.current.model, reader)
    if stream is None:
        if of is not None:
            raise NotFound(f"There is no {of} {getattr(filter, of)!r}.")
        return page(request, [], None)
    if of != "group" or filter.group is None:
        return await aggregated(request, conn, stream, listing)
    if not stream.group_seen:
        # As with its items: what is public of a group that may not be read may be seen, and nothing else is there.
        answered = await aggregated(request, conn, stream, listing)
        if listing.cursor is None and answered.content == page(request, [], None).content:
            raise NotFound(f"There is no group {filter.group!r}.")
        return answered
    group = await get_group(conn, tenant_id, filter.group)
    return await aggregated(request, conn, stream, listing, own_zone=group.time_zone, group_id=stream.group_id)


def _data(request: ApiRequest) -> dict[str, str]:
    """`data.NAME=value`: which names there may be, the model says."""
    return {name[5:]: value for name, value in request.query_params.items() if name.startswith("data.")}


routes = [list_activities, group_feed, actor_feed, object_feed]
