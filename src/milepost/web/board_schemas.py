"""The shapes of boards, for the API's description."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from milepost.web.schemas import Next, Number

__all__ = [
    "BoardPage",
    "MemberShown",
    "MemberShownIn",
    "Ranked",
    "Snapshot",
    "SnapshotIn",
    "SnapshotPage",
    "Standing",
    "StandingAsked",
    "Standings",
    "StandingsAsked",
]


class Ranked(Struct):
    rank: int
    member: Annotated[str | None, Meta(description="null: the viewer may not know who it is.")]
    score: Number
    movement: Annotated[
        int | None, Meta(description="Ranks come up since the window before; null without one, or a rank in it.")
    ]


class SnapshotRead(Struct):
    name: str
    taken_at: datetime
    kept: Annotated[int, Meta(description="How many of the best have a place in it.")]


class BoardPage(Struct):
    items: list[Ranked]
    next: Next
    members: Annotated[int, Meta(description="How many take a rank.")]
    window: str
    begins: Annotated[
        str | None, Meta(description="The window's first date in the board's zone; a term's name; null for `all`.")
    ]
    snapshot: Annotated[SnapshotRead | None, Meta(description="Which one is answered; null: the board as it is.")]


class Snapshot(Struct):
    name: str
    taken_at: datetime
    begins: str | None
    members: int
    kept: int
    expires_at: Annotated[datetime | None, Meta(description="null: it is kept until it is forgotten on purpose.")]


class SnapshotPage(Struct):
    items: list[Snapshot]
    next: Next


class SnapshotIn(Struct):
    group: str | None = None
    window: str | None = None
    at: Annotated[str | None, Meta(description="The window that holds this time. Now, if absent.")] = None
    expires_at: Annotated[datetime | None, Meta(description="As the model says, if absent.")] = None


class Standing(Struct):
    member: str
    rank: Annotated[int | None, Meta(description="null: it takes none here.")]
    score: Number | None
    percentile: Annotated[Number | None, Meta(description="100 for the first, 0 for the last.")]
    movement: int | None
    members: int
    to_next: Annotated[Number | None, Meta(description="What is missing to the next better score; null for the first.")]
    around: list[Ranked]
    window: str
    begins: str | None
    snapshot: SnapshotRead | None


class StandingAsked(Struct, forbid_unknown_fields=True):
    board: str
    members: Annotated[list[str], Meta(description="Those without a rank are left out of the answer.")]
    group: str | None = None
    window: str | None = None
    at: str | None = None
    snapshot: str | None = None
    against: str | None = None
    movement: bool = True


class StandingsAsked(Struct, forbid_unknown_fields=True):
    standings: list[StandingAsked]


class StandingsOfOne(Struct):
    board: str
    group: str | None
    window: str
    begins: str | None
    snapshot: SnapshotRead | None
    members: int
    items: list[Ranked]


class Standings(Struct):
    items: list[StandingsOfOne]


class MemberShownIn(Struct):
    shown: Literal["all", "masked", "hidden"]


class MemberShown(Struct):
    member: str
    shown: Literal["all", "masked", "hidden"]
