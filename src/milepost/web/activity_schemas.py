"""The shapes of activities, their receipts and pages in the API's description.

In `Activity` and `ActivityIn`, `measures` and `data` are as the deployment's model declares them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from milepost import limits
from milepost.web.entity_schemas import Actor, GroupNamed
from milepost.web.schemas import Id, Label, Next, Number, ObjectId, Visibility

__all__ = [
    "Activities",
    "Activity",
    "ActivityIn",
    "ActivityListed",
    "ActivityPage",
    "FileNamed",
    "Included",
    "Pending",
    "ReceiptShown",
    "RejectedItem",
    "Taken",
]


class ActivityIn(Struct):
    """One thing that happened. `key` and `occurred_at` together make a retry recognisable by itself."""

    actor: Id
    verb: Annotated[str, Meta(description="One that the model declares.")]
    key: Id | UnsetType = UNSET
    occurred_at: Annotated[datetime, Meta(tz=True, description="When it is absent, the server's time.")] | UnsetType = UNSET
    object: ObjectId | None = None
    group: Id | None = None
    groups: Annotated[list[Id], Meta(max_length=limits.GROUPS_PER_ACTIVITY_MAX)] | None = None
    measures: Annotated[dict[str, Number], Meta(description="Those that the model declares for the verb.")] | None = None
    data: Annotated[dict[str, Any], Meta(description="Anything; declared fields have their type.")] | None = None
    content: Annotated[Any, Meta(description="Any JSON, and may be large.")] = None
    files: (
        Annotated[
            dict[str, list[str]], Meta(description="Tickets of files, by the names that the model declares for the verb.")
        ]
        | None
    ) = None
    visibility: Visibility = "group"
    source: Label | None = None
    status: Label | None = None


class Activities(Struct):
    activities: Annotated[list[ActivityIn], Meta(max_length=limits.ACTIVITIES_PER_REQUEST_MAX)]


class RejectedItem(Struct):
    index: Annotated[int, Meta(description="Which one of those sent, from 0.")]
    pointer: Annotated[str, Meta(description="A JSON pointer into that activity.")]
    detail: str


class Taken(Struct):
    """accepted: durable. loaded and duplicates: only where the request waited until they are readable."""

    accepted: int
    rejected: list[RejectedItem]
    receipt: Annotated[str | None, Meta(description="null: none was accepted.")]
    loaded: int | UnsetType = UNSET
    duplicates: int | UnsetType = UNSET
    set_aside: Annotated[int, Meta(description="Could not be loaded, and lie in the dead letters.")] | UnsetType = UNSET
    ids: (
        Annotated[list[str], Meta(description="Of the accepted ones, with Prefer: wait or return=representation.")] | UnsetType
    ) = UNSET


class Pending(Struct):
    """The change is durable, and not done yet: GET /v1/receipts/{receipt} tells when it is. `parked`: it waits for its activity."""

    receipt: str | UnsetType = UNSET
    parked: bool | UnsetType = UNSET


class ReceiptShown(Struct):
    """What became of a request. `set aside`: none of it could be loaded. `set_aside`: so many rows lie in the dead letters."""

    receipt: str
    state: Literal["waiting", "loaded", "set aside"]
    loaded: int | UnsetType = UNSET
    duplicates: int | UnsetType = UNSET
    set_aside: int | UnsetType = UNSET
    result: Annotated[dict[str, Any], Meta(description="What a change answered.")] | UnsetType = UNSET


class FileNamed(Struct):
    """A file of an activity: `GET url` reads it. `gone`: it was deleted before the activity came."""

    id: str
    type: str | UnsetType = UNSET
    bytes: int | UnsetType = UNSET
    url: str | UnsetType = UNSET
    filename: str | UnsetType = UNSET
    gone: bool | UnsetType = UNSET


class ActivityListed(Struct, kw_only=True):
    """With `fields`, those that it names; an activity that lacks one comes without."""

    id: str | UnsetType = UNSET
    version: int | UnsetType = UNSET
    occurred_at: datetime | UnsetType = UNSET
    received_at: datetime | UnsetType = UNSET
    actor: Id | UnsetType = UNSET
    verb: str | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET
    object: ObjectId | UnsetType = UNSET
    group: Id | UnsetType = UNSET
    groups: list[Id] | UnsetType = UNSET
    measures: dict[str, Number] | UnsetType = UNSET
    data: dict[str, Any] | UnsetType = UNSET
    files: dict[str, list[FileNamed]] | UnsetType = UNSET
    source: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    key: str | UnsetType = UNSET


class Activity(ActivityListed, kw_only=True):
    id: str
    version: int
    occurred_at: datetime
    received_at: datetime
    actor: Id
    verb: str
    visibility: Visibility


class Included(Struct):
    """What `include` asked for, by id."""

    actors: dict[str, Actor] | UnsetType = UNSET
    groups: dict[str, GroupNamed] | UnsetType = UNSET


class ActivityPage(Struct):
    items: list[ActivityListed]
    next: Next
    included: Included | UnsetType = UNSET
