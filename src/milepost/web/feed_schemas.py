"""What goes over the wire about follows and home feeds, for the API's description alone (see `schemas`)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from milepost.web.schemas import Id, Next

__all__ = ["FollowPage", "FollowShown"]


class FollowShown(Struct):
    actor: Id
    kind: Literal["actor", "group", "object"]
    id: Annotated[str, Meta(description="Of an object: KIND/ID, such as workout/w-55.")]
    since: datetime


class FollowPage(Struct):
    items: list[FollowShown]
    next: Next
