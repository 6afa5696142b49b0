"""What goes over the wire about who may do what, for the API's description alone: see `schemas`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from milepost.access.invitations import State
from milepost.access.permissions import CHECKS_MAX
from milepost.access.viewer_tokens import LIFE_S_MAX
from milepost.web.schemas import Id, Next

__all__ = [
    "CheckIn",
    "Checked",
    "InvitationAnswer",
    "InvitationIn",
    "InvitationPage",
    "InvitationShown",
    "PermittedPage",
    "ViewerTokenIn",
    "ViewerTokenMade",
]


class ViewerTokenIn(Struct):
    actor: Id
    expires_in_s: Annotated[int, Meta(ge=1, le=LIFE_S_MAX, description="3600, if absent.")] | UnsetType = UNSET


class ViewerTokenMade(Struct):
    token: Annotated[str, Meta(description="To be sent as `Authorization: Bearer TOKEN`.")]
    expires_at: datetime


class Question(Struct, omit_defaults=True):
    """May `actor` do `action` in `group`, or on `activity`? One of the two is given."""

    action: str
    actor: Annotated[str, Meta(description="The viewer itself, if absent.")] | UnsetType = UNSET
    group: str | UnsetType = UNSET
    activity: str | UnsetType = UNSET


class CheckIn(Struct, omit_defaults=True):
    """One question, or `checks`."""

    action: str | UnsetType = UNSET
    actor: str | UnsetType = UNSET
    group: str | UnsetType = UNSET
    activity: str | UnsetType = UNSET
    checks: Annotated[list[Question], Meta(max_length=CHECKS_MAX)] | UnsetType = UNSET


class Answer(Struct):
    allowed: bool


class Checked(Struct, omit_defaults=True):
    """`allowed` of one question, `checks` of several."""

    allowed: bool | UnsetType = UNSET
    checks: list[Answer] | UnsetType = UNSET


class PermittedShown(Struct):
    """group, role, permissions: of a membership that gives the right to it; the group is the one asked for, or above it."""

    actor: Id
    group: Id
    role: str
    permissions: list[str]


class PermittedPage(Struct):
    items: list[PermittedShown]
    next: Next


class InvitationIn(Struct, omit_defaults=True):
    role: str
    permissions: list[str] | UnsetType = UNSET
    by: Annotated[str, Meta(description="The actor that invites; the key, if absent.")] | UnsetType = UNSET
    expires_at: Annotated[str, Meta(description="RFC 3339; in seven days, if absent.")] | UnsetType = UNSET


class InvitationAnswer(Struct):
    answer: Literal["accept", "decline"]


class InvitationShown(Struct):
    group: Id
    actor: Id
    role: str
    permissions: list[str]
    state: State
    invited_by: Annotated[str | None, Meta(description="An actor, or a key's id.")]
    invited_at: datetime
    expires_at: datetime
    decided_at: datetime | None


class InvitationPage(Struct):
    items: list[InvitationShown]
    next: Next
