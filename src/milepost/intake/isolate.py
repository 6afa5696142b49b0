"""Isolate: what a lane does about a tenant whose load failed, until what cannot be loaded stands alone.

`Care` is what the lane remembers of such a tenant. Its next runs are short, of half as many batches each time one fails and of
twice as many each time one succeeds, until the culprit batch is loaded alone. What may pass by itself is then tried again after
a growing pause; what will not is looked for in the batch, row by row (`Isolation`).

What holds meanwhile: the tenant's own order, since none of its later batches is loaded before this one is done with; and the
lane, since the tenant goes to the end of the round after every single transaction, and a pause holds up nobody else. The search
is bounded in time: what is not looked into by then is set aside together.

How an `Isolation` searches: a stretch of rows that failed is halved until one row is left, which is refused; after it, stretches
grow again as long as they go well. One poison row in 10,000 takes some 28 loads, of 30,000 rows in all; every row poison, one
load a row. Each stretch that goes well is committed at once, and that is safe to be cut off and done again from the start: rows
that are loaded already are duplicates by their ids. What was refused is written only at the end, with the batch's mark.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic

from milepost.intake import _rows
from milepost.intake._batches import Batch, Loaded
from milepost.intake._cut import piece
from milepost.intake.fault import Fault

__all__ = ["BATCHES_TOGETHER", "Care", "Isolation", "Refused"]

BATCHES_TOGETHER = 512  # a tenant whose runs are that long again is like any other
RETRY_S, RETRY_S_MAX = 0.5, 30.0
# So many rows in a row refused with one and the same error that need not be the rows' own: it holds for the whole batch.
ALIKE_MAX = 3


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Rows of a batch that are to be set aside: from `first_row`, `rows` of them."""

    first_row: int
    rows: int
    fault: Fault
    tries: int
    first_failed_at: datetime
    failed_at: datetime


@dataclass(kw_only=True)
class Care:
    """What a lane knows of a tenant whose load failed. tries: of its first batch, alone. alone_up_to: until the batch with this id is
    done with, its batches are loaded one by one. ends_sessions: its first batch, where it is known to end each session that loads it, and how.
    """

    batches_max: int = BATCHES_TOGETHER
    tries: int = 0
    not_before: float = 0.0
    first_failed_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    isolation: Isolation | None = None
    alone_up_to: int = 0
    ends_sessions: tuple[Batch, Fault] | None = None

    def wait(self) -> None:
        """The next try comes later: after up to half a second the first time, and twice as long each time."""
        longest = min(RETRY_S_MAX, RETRY_S * 2 ** max(0, self.tries - 1))
        self.not_before = monotonic() + random.uniform(longest / 2, longest)

    def went_well(self, batch_id: int) -> None:
        """Batches up to this one are done with, so the next ones begin anew, and may be more at once."""
        self.tries, self.isolation, self.ends_sessions, self.not_before = 0, None, None, 0.0
        self.first_failed_at = datetime.now(UTC)
        if batch_id >= self.alone_up_to:
            self.batches_max *= 2


class Isolation:
    """One batch of activities on its way in, stretch by stretch. Knows no database: `stretch` says what to load next, and
    `went_well` or `failed` what came of it; `done` when every row is loaded or refused.
    """

    def __init__(self, batch: Batch, payload: _rows.Payload, *, tries: int, first_failed_at: datetime, fault: Fault) -> None:
        self.batch = batch
        self.loaded = self.duplicates = self.position = 0
        self.refused: list[Refused] = []
        self.worked_s = 0.0
        self._payload = payload
        if len(payload.lengths) != batch.rows:
            raise ValueError(f"the payload has {len(payload.lengths)} rows, and the batch {batch.rows}")
        self._at = 0
        self._fails_to: int | None = batch.rows  # the rows from _at up to here failed together
        self._fault = fault
        self._span = batch.rows  # of the next stretch, where nothing is known to fail
        self._well = 0  # rows that went well since the last one that was refused
        self._alike = 0
        self._tried = self._tries_before = tries
        self._first_failed_at = first_failed_at

    @property
    def done(self) -> bool:
        return self._at >= self.batch.rows

    def stretch(self) -> tuple[Batch, bytes]:
        """The next rows to load, as a batch with its payload."""
        last = self._last()
        return replace(self.batch, rows=last - self._at), piece(self._payload, self._at, last)

    def went_well(self, outcome: Loaded) -> None:
        rows = self._last() - self._at
        self.loaded += outcome.loaded
        self.duplicates += outcome.duplicates
        self.position = outcome.position
        self._at += rows
        self._well += rows
        self._alike = 0
        if self._fails_to is None:
            self._span *= 2
        elif self._at >= self._fails_to:  # together they failed, and apart they did not: it has passed
            self._fails_to, self._tried = None, self._tries_before

    def failed(self, fault: Fault) -> None:
        last = self._last()
        self._fault = fault
        self._tried += 1
        if last - self._at > 1:
            self._fails_to = last
            return
        self._alike = self._alike + 1 if fault.of_all and self._is_the_last(fault) else 1
        self._refuse(last, fault)
        self._span, self._well, self._fails_to, self._tried = max(1, self._well), 0, None, self._tries_before
        if self._alike >= ALIKE_MAX and self.loaded == self.duplicates == 0 and not self.done:
            self._refuse(self.batch.rows, fault)

    def give_up(self) -> None:
        """Time is up: what is left is refused as it is. Not all of it may be wrong, which its fault says."""
        fault = replace(self._fault, facts={**self._fault.facts, "searched": False})
        self._refuse(self.batch.rows, fault)

    def payload_of(self, refused: Refused) -> bytes:
        return piece(self._payload, refused.first_row, refused.first_row + refused.rows)

    def _last(self) -> int:
        if self._fails_to is None:
            return min(self.batch.rows, self._at + self._span)
        return self._at + max(1, (self._fails_to - self._at) // 2)

    def _is_the_last(self, fault: Fault) -> bool:
        """Whether the row before this one was refused with the very same fault."""
        if not self.refused:
            return False
        before = self.refused[-1]
        return before.first_row + before.rows == self._at and before.fault == fault

    def _refuse(self, last: int, fault: Fault) -> None:
        """The rows from here up to `last`; as one with the rows before them, where the fault is the same."""
        first, tries, since, failed_at = self._at, self._tried, self._first_failed_at, datetime.now(UTC)
        if self._is_the_last(fault):
            before = self.refused.pop()
            first, tries = before.first_row, max(tries, before.tries)
        self.refused.append(
            Refused(
                first_row=first,
                rows=last - first,
                fault=fault,
                tries=tries,
                first_failed_at=since,
                failed_at=failed_at,
            )
        )
        self._at = last
