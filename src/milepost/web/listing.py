"""What every list of activities may be asked for: a span of time, what to show, and a page."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from litestar.di import Provide
from litestar.params import QueryParameter

from milepost.feeds.include import INCLUDABLE
from milepost.web import activity_schemas
from milepost.web.parameters import Cursor, From, Limit, To, moment, words_of, zone

__all__ = ["LISTING", "Listing", "with_fields"]

FIELDS = tuple(activity_schemas.ActivityListed.__struct_fields__)

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

Aggregate = Annotated[
    Literal["true", "group", "object"] | None,
    QueryParameter(
        name="aggregate",
        description="Put together what is of one verb, one local day, and one group (`true` says the same) or one object: items are "
        "aggregates, with a count, the actors, and the sums of the measures. `fields` and `include` say nothing then.",
    ),
]
Zone = Annotated[
    str | None,
    QueryParameter(name="time_zone", description="Whose days, for `aggregate`. If absent: the group's, else the model's."),
]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What every list of activities may be asked for: a span of time, what to show, and a page."""

    since: datetime | None
    until: datetime | None
    fields: tuple[str, ...]
    included: tuple[str, ...]
    aggregate: str | None
    time_zone: str | None
    limit: int
    cursor: str | None


def listing(
    since: From = None,
    until: To = None,
    fields: Fields = None,
    included: Include = None,
    aggregate: Aggregate = None,
    time_zone: Zone = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listing:
    return Listing(
        since=moment("from", since),
        until=moment("to", until),
        fields=words_of("fields", fields, FIELDS),
        included=words_of("include", included, INCLUDABLE),
        aggregate=aggregate,
        time_zone=zone("time_zone", time_zone),
        limit=limit,
        cursor=cursor,
    )


LISTING = {"listing": Provide(listing, sync_to_thread=False)}


def with_fields(items: list[dict[str, Any]], shown: Collection[str]) -> list[dict[str, Any]]:
    """Items with the fields that are asked for; all, if none are."""
    if not shown:
        return items
    return [{name: value for name, value in item.items() if name in shown} for item in items]
