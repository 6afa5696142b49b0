"""`/v1/home`: what a viewer follows, newest first."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency

from milepost.access.viewer import reader_of
from milepost.feeds.home import home_of
from milepost.feeds.include import include
from milepost.feeds.read import bounds, page_of
from milepost.feeds.unread import place_now
from milepost.storage.by_index import plan_by_index
from milepost.web import activity_schemas
from milepost.web.aggregated import aggregated
from milepost.web.answers import page
from milepost.web.feed_schemas import AggregatePage
from milepost.web.listing import LISTING, Listing, with_fields
from milepost.web.openapi import documented
from milepost.web.parameters import OneVerb
from milepost.web.reading_place import with_place
from milepost.web.request import ApiRequest, views
from milepost.web.whose import Whose, as_viewer

__all__ = ["routes"]


@get(
    "/v1/home",
    guards=[views],
    dependencies=LISTING,
    summary="A home feed",
    description="What the viewer follows and may see: activities of actors, groups and objects, each once. A key says whose home it asks "
    "for: by `actor`, or by the header Milepost-Viewer.",
    opt=documented("Feeds", activity_schemas.ActivityPage, aggregates=AggregatePage),
)
async def home(
    request: ApiRequest, listing: NamedDependency[Listing], verb: OneVerb = None, actor: Whose = None
) -> Response[bytes]:
    await as_viewer(request, actor)
    position = request.position(listing.cursor)
    served, tenant_id = request.services.models.current, request.user.tenant_id
    more: dict[str, Any] = {}
    async with request.services.db.transaction("point", tenant_id=tenant_id, snapshot=True) as conn:
        reader = await reader_of(conn, tenant_id, request.viewer, served.model)
        await plan_by_index(conn, sorts=False)
        stream = await home_of(conn, tenant_id, reader, verb=verb)
        if listing.aggregate is not None:
            return await aggregated(request, conn, stream, listing)
        low, high = bounds(listing.since, listing.until, None if position is None else UUID(bytes=position))
        place = await place_now(conn, tenant_id)
        found = await page_of(conn, tenant_id, stream, served.presenter, low=low, high=high, limit=listing.limit)
        if listing.included:
            more["included"] = await include(conn, tenant_id, found.items, listing.included, reader)
    following = None if found.next is None else found.next.bytes
    return with_place(request, page(request, with_fields(found.items, listing.fields), following, **more), place)


routes = [home]
