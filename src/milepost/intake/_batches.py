"""What goes through the queue: the values that its parts pass to each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

__all__ = ["PAYLOAD_BYTES_MAX", "Backlog", "Batch", "Idempotency", "Kind", "Loaded", "NewBatch", "Receipt"]

# Accept bounds a request far below this; a larger payload is our own mistake.
PAYLOAD_BYTES_MAX = 64 * 1024 * 1024


class Kind(IntEnum):
    """What a payload holds. The number is stored."""

    ACTIVITIES = 0
    COMMAND = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class NewBatch:
    """A batch before it is in the queue. `model` is the model version it was accepted under, `rows` how many it holds."""

    lane: int
    tenant_id: int
    kind: int
    model: int
    rows: int
    payload: bytes

    def __post_init__(self) -> None:
        assert len(self.payload) <= PAYLOAD_BYTES_MAX, f"a payload of {len(self.payload)} bytes"
        assert self.kind in (Kind.ACTIVITIES, Kind.COMMAND), self.kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """A batch in the queue, without its payload. `table` and `txid` say where it lies."""

    batch_id: int
    lane: int
    tenant_id: int
    kind: int
    model: int
    rows: int
    received_at: datetime
    table: int
    txid: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What became of a batch: its mark. `position` is in the tenant's journal, `result` what a command answered."""

    batch_id: int
    position: int
    loaded: int
    duplicates: int
    result: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Idempotency:
    """A request's Idempotency-Key, a hash of its body, and the JSON answer to repeat; the receipt is filled in."""

    key: str
    body_hash: bytes
    answer: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """The batch is durable. With `answer_replayed`, it already was: the answer that was given then."""

    batch_id: int
    answer_replayed: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Backlog:
    """What a lane has yet to load. `oldest_age_s` is 0 when that is nothing; `held`: some loader has its lease."""

    lane: int
    batches: int
    rows: int
    oldest_age_s: float
    held: bool
    holder: str | None
