"""The shapes of the archive, retention, holds, erasure and growth in the API's description."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from milepost.web.schemas import Id, Next

__all__ = [
    "ArchivedFile",
    "ArchivedFiles",
    "ChainHead",
    "ErasureIn",
    "ErasureShown",
    "GrowthPage",
    "GrowthShown",
    "HoldPage",
    "HoldPlaced",
    "HoldPlacing",
    "HoldShown",
    "RetentionBatch",
    "RetentionLog",
    "RetentionPage",
    "RetentionPlan",
    "RetentionRule",
]


class ArchivedFile(Struct):
    part: Annotated[str, Meta(description="The partition that its activities left, such as `activity_2026_03`.")]
    path: Annotated[str, Meta(description="On the object store.")]
    from_: Annotated[str, Meta(description="When its first activity occurred.")] = field(name="from")
    to: Annotated[str, Meta(description="And its last.")]
    rows: Annotated[int, Meta(description="Activities in it.")]
    bytes: int
    since: Annotated[str, Meta(description="Since when it counts.")]


class ArchivedFiles(Struct):
    items: list[ArchivedFile]
    next: None


class GrowthShown(Struct):
    """tier: hot is in PostgreSQL. bytes: with indexes."""

    day: date
    tier: str
    kind: str
    rows: int
    bytes: int


class GrowthPage(Struct):
    items: list[GrowthShown]
    next: Next


class RetentionPlan(Struct):
    """activities: that the next run removes. delete_after, before: null where they are kept for ever."""

    rule: str
    delete_after: str | None
    before: datetime | None
    activities: int
    verbs: dict[str, int]
    first_at: datetime | None
    last_at: datetime | None


class RetentionPage(Struct):
    items: list[RetentionPlan]
    next: Next


class RetentionRule(Struct):
    delete_after: Annotated[str | None, Meta(description="A duration, such as `6 months`; null: as the model says.")]


class RetentionBatch(Struct):
    """first_at, last_at: when the oldest and the newest of them occurred."""

    id: int
    at: datetime
    rule: str
    removed: int
    verbs: dict[str, int]
    first_at: datetime
    last_at: datetime


class RetentionLog(Struct):
    items: list[RetentionBatch]
    next: Next


class HoldPlacing(Struct):
    reason: str
    actor: Id | UnsetType = UNSET
    group: Id | UnsetType = UNSET
    verb: str | UnsetType = UNSET


class HoldPlaced(Struct):
    id: int


class HoldShown(Struct):
    """What it covers: null covers all."""

    id: int
    actor: str | None
    group: str | None
    verb: str | None
    reason: str
    placed_at: datetime
    placed_by: str
    lifted_at: datetime | None
    lifted_by: str | None


class HoldPage(Struct):
    items: list[HoldShown]
    next: Next


class ErasureIn(Struct):
    actor: Id
    totals: Literal["keep", "shrink"] | UnsetType = UNSET


class ErasureShown(Struct):
    """What became of the erasure of an actor. removed: rows, by what they were. state: `running` while activities are still removed."""

    id: int
    state: Literal["running", "done"]
    asked_at: datetime
    done_at: datetime | None
    totals: Literal["keep", "shrink"]
    removed: dict[str, int]
    receipt: Annotated[dict[str, Any] | None, Meta(description="Signed; null until it is done.")]


class ChainHead(Struct):
    tenant: str
    link: Annotated[int, Meta(description="The number of the newest link, from 1 on.")]
    digest: Annotated[
        str, Meta(description="SHA-256 of it and, through those that it names, of all links before it; hexadecimal.")
    ]
    made_at: datetime
    signature: Annotated[str, Meta(description="This deployment's.")]
