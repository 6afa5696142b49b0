"""The shapes of dead letters in the API's description."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from milepost.web.schemas import Next

__all__ = [
    "DeadLetter",
    "DeadLetterDiscard",
    "DeadLetterItem",
    "DeadLetterLog",
    "DeadLetterLogEntry",
    "DeadLetterPage",
    "DeadLetterSelection",
    "DeadLetterShown",
    "Discarded",
    "Replayed",
]


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
