"""The shapes of what an administrator asks: lanes, limits, keys, alerts, jobs, the model, readiness in the API's description."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from milepost.web.schemas import Next

__all__ = [
    "AlertPage",
    "AlertShown",
    "IndexLag",
    "JobAsked",
    "JobPage",
    "JobRunPage",
    "JobRunShown",
    "JobShown",
    "KeyPage",
    "KeyShown",
    "LaneShown",
    "Lanes",
    "LimitsShown",
    "Missing",
    "ModelShown",
    "QueueShown",
    "Readiness",
]


class LaneShown(Struct):
    lane: int
    batches: Annotated[int, Meta(description="Waiting to be loaded.")]
    rows: int
    oldest_age_s: float
    held: Annotated[bool, Meta(description="Whether a loader serves it.")]
    holder: str | None


class Lanes(Struct):
    items: list[LaneShown]
    next: None


class LimitsShown(Struct):
    rate: Annotated[float | None, Meta(description="Activities a second; null: no limit.")]
    burst: Annotated[float | None, Meta(description="How many at once after a pause; null: ten seconds of the rate.")]
    per_day: int | None
    per_month: int | None
    today: Annotated[int, Meta(description="Activities accepted since midnight, UTC.")]
    this_month: int


class KeyShown(Struct):
    key_id: str
    name: str
    scopes: list[str]
    created_at: datetime
    revoked_at: datetime | None


class KeyPage(Struct):
    items: list[KeyShown]
    next: None


class AlertShown(Struct):
    """deployment: of the whole deployment, not of one tenant."""

    id: int
    deployment: bool
    kind: str
    subject: str
    detail: str
    opened_at: datetime
    resolved_at: datetime | None


class AlertPage(Struct):
    items: list[AlertShown]
    next: Next


class JobRunShown(Struct):
    """slot: when the period began that it is the run of. by: `schedule`, a key's id, or a login of the server's machine."""

    id: int
    slot: datetime
    attempt: int
    by: str
    started_at: datetime
    ended_at: datetime | None
    outcome: Literal["running", "done", "failed", "lost"]
    error: str | None


class JobRunPage(Struct):
    items: list[JobRunShown]
    next: Next


class JobShown(Struct):
    """hours: from the first to before the second, of `time_zone`; null: at any. due_at: null where nothing is due in this period."""

    name: str
    about: str
    every: Literal["hour", "day", "week", "month", "quarter"]
    hours: tuple[int, int] | None
    time_zone: str
    paused: bool
    due_at: datetime | None
    last: JobRunShown | None


class JobPage(Struct):
    items: list[JobShown]
    next: Next


class JobAsked(Struct):
    name: str
    asked: bool


class ModelShown(Struct):
    version: int
    name: str
    toml: str


class Missing(Struct):
    check: str
    detail: str


class QueueShown(Struct):
    """More fields as the primary knows them."""

    primary: str
    state: Literal["direct", "spilling", "draining"]
    for_s: float | UnsetType = UNSET
    spilled_batches: int | UnsetType = UNSET
    spilled_bytes: int | UnsetType = UNSET
    spill_bytes_max: int | UnsetType = UNSET


class IndexLag(Struct):
    lag_s: Annotated[float, Meta(description="Age of the oldest load that a search does not find yet; 0: there is none.")]


class Readiness(Struct):
    ready: bool
    taking: Annotated[bool, Meta(description="Whether activities are acknowledged, if only into the spill.")]
    queue: QueueShown
    missing: list[Missing]
    object_store: Annotated[bool, Meta(description="Whether it answers.")]
    search: IndexLag | UnsetType = UNSET
