"""Feeds put together: "Ana and 12 others ran today". What the feeds of groups, actors, objects and homes share."""

from __future__ import annotations

from typing import cast
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Response

from milepost.feeds.aggregates import By, read_aggregates
from milepost.feeds.listed import Stream
from milepost.feeds.read import bounds
from milepost.postgres import Connection
from milepost.web.answers import page
from milepost.web.listing import Listing
from milepost.web.request import ApiRequest

__all__ = ["aggregated"]


async def aggregated(
    request: ApiRequest,
    conn: Connection,
    stream: Stream,
    listing: Listing,
    *,
    own_zone: str | None = None,
    group_id: int | None = None,
) -> Response[bytes]:
    """own_zone, group_id: of the group whose feed it is."""
    served, position = request.services.models.current, request.position(listing.cursor)
    low, high = bounds(listing.since, listing.until, None)
    found = await read_aggregates(
        conn,
        request.user.tenant_id,
        stream,
        served.presenter,
        by=cast("By", "group" if listing.aggregate == "true" else listing.aggregate),
        group_id=group_id,
        zone=ZoneInfo(listing.time_zone or own_zone or served.model.time_zone),
        low=low,
        high=high,
        limit=listing.limit,
        before=None if position is None else UUID(bytes=position),
    )
    return page(request, found.items, None if found.next is None else found.next.bytes)
