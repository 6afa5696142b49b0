"""What goes over the wire about follows and home feeds, for the API's description alone (see `schemas`)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from milepost.web.schemas import Id, Next, Number, ObjectId

__all__ = ["AggregatePage", "FollowPage", "FollowShown", "MarkIn", "UnreadShown"]


class FollowShown(Struct):
    actor: Id
    kind: Literal["actor", "group", "object"]
    id: Annotated[str, Meta(description="Of an object: KIND/ID, such as workout/w-55.")]
    since: datetime


class FollowPage(Struct):
    items: list[FollowShown]
    next: Next


class AggregateShown(Struct, kw_only=True):
    day: Annotated[str, Meta(description="The local day, such as 2026-03-01.")]
    verb: str
    group: Id | UnsetType = UNSET
    object: ObjectId | UnsetType = UNSET
    count: int
    actors: Annotated[int, Meta(description="How many different ones.")]
    sample: Annotated[list[Id], Meta(description="Up to three of them, who did it last first.")]
    measures: Annotated[dict[str, Number], Meta(description="Sums.")] | UnsetType = UNSET
    first_at: datetime
    last_at: datetime
    exact: Annotated[bool, Meta(description="false: of this day more was done than is looked at; the newest are counted.")]


class AggregatePage(Struct):
    items: list[AggregateShown]
    next: Next


class UnreadShown(Struct):
    unread: int
    exact: Annotated[bool, Meta(description="false: at least as many.")]
    since: Annotated[datetime | None, Meta(description="When the marker was set; null: never.")]


class MarkIn(Struct):
    to: (
        Annotated[str, Meta(description="The header Milepost-Read-To of a page. All that is loaded, if absent.")] | UnsetType
    ) = UNSET
