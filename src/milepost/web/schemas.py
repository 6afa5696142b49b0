"""What goes over the wire, for the API's description alone: handlers answer with what the layers below give them.

A test compares these with real answers. In `Activity` and `ActivityIn`, `measures` and `data` are as the deployment's
model declares them.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from milepost import limits

__all__ = [
    "Activities",
    "Activity",
    "ActivityIn",
    "ActivityListed",
    "ActivityPage",
    "Actor",
    "ActorIn",
    "ActorPage",
    "AlertPage",
    "ArchivedFiles",
    "DeadLetterDiscard",
    "DeadLetterLog",
    "DeadLetterPage",
    "DeadLetterSelection",
    "DeadLetterShown",
    "Discarded",
    "ErasureIn",
    "ErasureShown",
    "Goal",
    "Group",
    "GroupIn",
    "GroupPage",
    "GrowthPage",
    "GrowthShown",
    "Health",
    "HoldPage",
    "HoldPlaced",
    "HoldPlacing",
    "HoldShown",
    "JobAsked",
    "JobPage",
    "JobRunPage",
    "JobRunShown",
    "JobShown",
    "KeyPage",
    "Lanes",
    "LatestPage",
    "LimitsShown",
    "Member",
    "MemberIn",
    "MemberPage",
    "ModelShown",
    "PairPage",
    "Pending",
    "ProblemShown",
    "QueueShown",
    "Readiness",
    "ReceiptShown",
    "Replayed",
    "RetentionBatch",
    "RetentionLog",
    "RetentionPage",
    "RetentionPlan",
    "RetentionRule",
    "RollupPage",
    "Taken",
]

Id = Annotated[str, Meta(min_length=1, max_length=limits.ID_CHARACTERS_MAX)]
Label = Annotated[str, Meta(max_length=limits.LABEL_CHARACTERS_MAX)]
Visibility = Literal["public", "group", "private"]
Next = Annotated[str | None, Meta(description="The `cursor` of the next page; null: there is none.")]
Number = int | float


class ObjectId(Struct):
    kind: Label
    id: Id


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


class Included(Struct):
    """What `include` asked for, by id."""

    actors: dict[str, Actor] | UnsetType = UNSET
    groups: dict[str, GroupNamed] | UnsetType = UNSET


class ActivityPage(Struct):
    items: list[ActivityListed]
    next: Next
    included: Included | UnsetType = UNSET


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


class RollupRow(Struct):
    bucket: Annotated[str | None, Meta(description="Its start in the group's local time; a term by its name; null for `all`.")]
    keys: dict[str, Any]
    values: Annotated[dict[str, Number | str | None], Meta(description="By the text of the model, such as sum(distance_m).")]


class RollupPage(Struct):
    items: list[RollupRow]
    next: Next


class LatestRow(Struct):
    keys: dict[str, Any]
    id: str
    occurred_at: datetime
    values: dict[str, Any]


class LatestPage(Struct):
    items: list[LatestRow]
    next: Next


class PairRow(Struct):
    object: ObjectId
    opened_id: str
    opened_at: datetime
    closed_id: str | None
    closed_at: datetime | None
    seconds: Annotated[float | None, Meta(description="From opened to closed; null: still open.")]


class PairPage(Struct):
    items: list[PairRow]
    next: Next


class Goal(Struct):
    target: Annotated[Number | None, Meta(description="null: the group has no such attribute.")]
    value: Number | None
    percent: Number | None
    remaining: Number | None
    projected_at: Annotated[
        datetime | None, Meta(description="At the pace since the first day that counted; null without a pace, or when reached.")
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


class DeadLetter(Struct):
    """Rows that could not be loaded: `rows` of a batch of `batch_rows`, from `first_row` on (counted from 0)."""

    id: int
    batch_id: int | None
    receipt: Annotated[str | None, Meta(description="Of the request that it came with.")]
    kind: Literal["activities", "command", "raw"]
    first_row: int
    rows: int
    batch_rows: int
    model: Annotated[int, Meta(description="The model version it was accepted under.")]
    via: Annotated[str | None, Meta(description="Of raw input: the way it came in.")]
    received_at: datetime
    tries: Annotated[int, Meta(description="How many loads failed with it.")]
    first_failed_at: datetime
    failed_at: datetime
    error_class: Literal["constraint", "data", "limit", "payload", "schema", "model", "mapping", "parked", "other"]
    error: str
    facts: Annotated[dict[str, Any], Meta(description="What is known of the error: sqlstate, constraint, column, errors …")]


class DeadLetterPage(Struct):
    items: list[DeadLetter]
    next: Next


class DeadLetterItem(Struct):
    """One row of it: an activity as it would be sent, a command, raw input, or why it cannot be read."""

    row: int
    id: str | UnsetType = UNSET
    received_at: datetime | UnsetType = UNSET
    activity: dict[str, Any] | UnsetType = UNSET
    command: Any | UnsetType = UNSET
    raw: Any | UnsetType = UNSET
    unreadable: str | UnsetType = UNSET


class DeadLetterShown(DeadLetter):
    items: list[DeadLetterItem]
    next: Next


class DeadLetterSelection(Struct):
    """Those that are all of what is said, or all there are."""

    ids: list[int] | UnsetType = UNSET
    error_class: str | UnsetType = UNSET
    kind: Literal["activities", "command", "raw"] | UnsetType = UNSET
    from_: datetime | UnsetType = field(default=UNSET, name="from")
    to: datetime | UnsetType = UNSET
    all: bool | UnsetType = UNSET


class DeadLetterDiscard(DeadLetterSelection, kw_only=True):
    reason: str


class Replayed(Struct):
    """kept: rows that the current model does not take; they stay, with what is wrong."""

    letters: int
    rows: int
    kept: int
    receipts: list[str]


class Discarded(Struct):
    letters: int
    rows: int


class DeadLetterLogEntry(Struct):
    id: int
    at: datetime
    done: Literal["replayed", "discarded"]
    by: str
    reason: str | None
    letters: int
    rows: int
    errors: Annotated[dict[str, int], Meta(description="Rows by class of error.")]
    receipts: list[str]


class DeadLetterLog(Struct):
    items: list[DeadLetterLogEntry]
    next: Next


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


class FieldProblem(Struct):
    pointer: Annotated[str, Meta(description="A JSON pointer into the body, or /NAME for a parameter.")]
    detail: str


class ProblemShown(Struct, rename={"kind": "type"}):
    """RFC 9457 problem details."""

    kind: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | UnsetType = UNSET
