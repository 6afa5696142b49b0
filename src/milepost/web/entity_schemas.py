"""The shapes of actors, groups, members and the health of a group in the API's description."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from milepost.web.schemas import Id, Next, Number

__all__ = [
    "Actor",
    "ActorIn",
    "ActorPage",
    "Group",
    "GroupIn",
    "GroupNamed",
    "GroupPage",
    "Health",
    "HealthPart",
    "HealthValues",
    "Member",
    "MemberIn",
    "MemberPage",
]


class Actor(Struct):
    id: Id
    kind: str | None
    name: str | None
    attributes: dict[str, Any]


class ActorIn(Struct):
    """What is absent stays as it is; null takes it away."""

    kind: str | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    attributes: dict[str, Any] | UnsetType | None = UNSET


class Group(Struct):
    id: Id
    kind: Annotated[str | None, Meta(description="null: seen in an activity, not declared yet.")]
    name: str | None
    parent: Id | None
    time_zone: Annotated[str | None, Meta(description="null: the model's.")]
    status: str
    attributes: dict[str, Any]
    changed_at: datetime


class GroupIn(Struct):
    """What is absent stays as it is; null takes it away."""

    kind: str | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    parent: Id | UnsetType | None = UNSET
    time_zone: Annotated[str | None, Meta(description="Such as Europe/Berlin.")] | UnsetType = UNSET
    status: str | UnsetType = UNSET
    attributes: dict[str, Any] | UnsetType | None = UNSET
    since: Annotated[str, Meta(description="From when on parent and zone hold: a time, or `always`.")] | UnsetType = UNSET


class Member(Struct):
    group: Id
    actor: Id
    role: str
    permissions: list[str]
    since: Annotated[datetime | None, Meta(description="null: always.")]
    until: Annotated[datetime | None, Meta(description="null: until it is changed.")]
    added_at: datetime
    added_by: str | None


class MemberIn(Struct):
    role: str
    permissions: list[str] | UnsetType = UNSET
    since: Annotated[str, Meta(description="From when on: a time, or `always`. Now, if absent.")] | UnsetType = UNSET
    added_by: Annotated[str, Meta(description="The key's id, if absent.")] | UnsetType = UNSET


class GroupNamed(Struct):
    """A group without what depends on a time: its parent and zone."""

    id: Id
    kind: str | None
    name: str | None
    status: str
    attributes: dict[str, Any]


class ActorPage(Struct):
    items: list[Actor]
    next: Next


class HealthPart(Struct):
    value: Annotated[Number, Meta(description="0 to 1.")]
    weight: int
    formula: str


class HealthValues(Struct):
    count: int
    members: int
    engagement: Annotated[Number, Meta(description="The part of the members who did something.")]
    count_before: int


class Health(Struct):
    group: str
    score: Annotated[Number, Meta(description="0 to 100.")]
    parts: Annotated[dict[Literal["activity", "breadth", "trend"], HealthPart], Meta(description="By name.")]
    formula: str
    values: HealthValues
    rollup: str
    days: int
    from_: str = field(name="from")
    to: str
    time_zone: str


class GroupPage(Struct):
    items: list[Group]
    next: Next


class MemberPage(Struct):
    items: list[Member]
    next: Next
