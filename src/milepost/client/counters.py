"""What became of what was logged: the numbers, and a report of each loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Counters", "Failure"]


@dataclass(frozen=True, kw_only=True)
class Counters:
    """Activities since this process made the client (a forked child counts from 0), all of one moment, so that

        accepted = sent + rejected + dropped + in_spool + in_memory          in_spool = spilled - replayed, while it runs

    accepted: taken by `log`. sent: the server has acknowledged them. rejected: the server has refused them; rejections has
    the reasons, as `pointer: detail`. dropped: given up here, by reason: `invalid` (not what an activity can hold),
    `memory_full`, `spool_full` (its bound), `spool_failed` (the disk), `spool_corrupt`, `closed`.
    retried: requests that were sent again. spilled: written to disk. replayed: settled from there.
    adopted: of earlier processes' files, acknowledged; adopted_rejected: refused. Neither is in any number above.
    state: of the circuit breaker, `closed` when all is well.
    """

    accepted: int
    sent: int
    rejected: int
    in_memory: int
    in_spool: int
    retried: int
    spilled: int
    replayed: int
    adopted: int
    adopted_rejected: int
    state: Literal["closed", "open", "half-open"]
    dropped: Mapping[str, int] = field(default_factory=dict)
    rejections: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Activities that will not arrive: what `on_error` is called with.

    kind: `rejected` by the server or `dropped` here. reason: of a drop, as in `Counters.dropped`; of a rejection, `rejected`.
    pointer, detail: the field at fault (a JSON pointer, or '') and a sentence. count: how many activities it is about.
    activity: the one it is about, as JSON would have it, where it is one.
    """

    kind: Literal["rejected", "dropped"]
    reason: str
    detail: str
    pointer: str = ""
    count: int = 1
    activity: Mapping[str, Any] | None = None
