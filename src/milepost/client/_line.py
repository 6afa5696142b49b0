"""The line: everything that is accepted and not yet settled, oldest first, whether it is in memory or on disk.

Each batch has a place, a number that grows. What is in the sender's hand or on its way to disk keeps its place, and nothing
overtakes it: the sender is given what stands first, wherever it is, or nothing while that is on its way to disk. So one process's
activities are sent in the order in which they were logged, also across an outage. All methods hold the tally's lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition
from typing import NamedTuple

from milepost.client._batch import Batch
from milepost.client._tally import Tally
from milepost.client.settings import ClientSettings

__all__ = ["Line", "Stored"]


class Stored(NamedTuple):
    """A batch that lies on disk."""

    seq: int
    rows: int
    size: int


class Line:
    """`changed` wakes the sender, `pressure` the spiller."""

    def __init__(self, settings: ClientSettings, tally: Tally) -> None:
        self._settings = settings
        self.tally = tally
        self.changed = Condition(tally.lock)
        self.pressure = Condition(tally.lock)
        self._next_seq = 1
        self._open: list[bytes] = []  # the youngest batch, still growing
        self._open_seq = 0
        self._open_size = 0
        self._waiting: deque[Batch] = deque()
        self._in_hand: Batch | None = None
        self._spilling: list[Batch] = []
        self._stored: deque[Stored] = deque()
        self._marks: list[tuple[int, Callable[[], object]]] = []
        self.rows = 0  # in memory, with those in hand or on their way to disk
        self.size = 0
        self.stored_rows = 0
        self._crowded = False  # somebody waits for room

    # ── In ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, lines: Sequence[bytes]) -> int:
        """Takes lines as long as there is room. → how many it took."""
        settings = self._settings
        with self.tally.lock:
            was_ready = self.is_ready
            taken = 0
            for line in lines:
                if not self._has_room(len(line)):
                    break
                if not self._open:
                    self._open_seq = self._seq()
                self._open.append(line)
                self._open_size += len(line)
                self.rows += 1
                self.size += len(line)
                if len(self._open) >= settings.batch_activities_max or self._open_size >= settings.batch_bytes_max:
                    self._close_open()
                taken += 1
            if not was_ready:  # or the sender knows
                self.changed.notify_all()
            if self.is_half_full():
                self.pressure.notify_all()
            return taken

    def mark(self, passed: Callable[[], object]) -> None:
        """Calls `passed` when all that is in line now is settled; at once, if nothing is."""
        with self.tally.lock:
            self._marks.append((self._next_seq - 1, passed))
            self._tell()

    # ── To the server ──────────────────────────────────────────────────────────────────────────────────────────────

    def take(self) -> Batch | tuple[int, ...] | None:
        """What is to be sent next: a batch, or the places of what lies first on disk, as much as fits into one request."""
        with self.tally.lock:
            first = self._first()
            if not self.is_ready:
                return None
            if self._stored and self._stored[0].seq == first:
                return self._stored_first()
            if not self._waiting:
                self._close_open()
            taken = [self._waiting.popleft()]
            rows, size = taken[0].rows, taken[0].size
            while self._waiting and self._fits(rows + self._waiting[0].rows, size + self._waiting[0].size):
                taken.append(self._waiting.popleft())
                rows, size = rows + taken[-1].rows, size + taken[-1].size
            self._in_hand = Batch.joined(taken)
            return self._in_hand

    @property
    def is_ready(self) -> bool:
        """Whether `take` would give something."""
        first = self._first()
        return first is not None and not (self._spilling and self._spilling[0].seqs[0] == first)

    def done(self, batch: Batch, left: Batch | None) -> bool:
        """What was in hand is settled but for `left`, which stands first again. → False: `abandon` took it, so it is not."""
        with self.tally.lock:
            if self._in_hand is not batch:
                return False
            self._in_hand = None
            self.rows -= batch.rows
            self.size -= batch.size
            if left is not None:
                self.rows += left.rows
                self.size += left.size
                self._waiting.appendleft(left)
            self._tell()
            return True

    def abandon(self) -> None:
        """Takes back what is in the sender's hand, whatever it will say of it."""
        with self.tally.lock:
            if self._in_hand is not None:
                self._waiting.appendleft(self._in_hand)
                self._in_hand = None

    # ── To disk and back ───────────────────────────────────────────────────────────────────────────────────────────

    def wait_for_room(self, size: int, timeout_s: float) -> bool:
        """Wakes the spiller, and waits until so many bytes fit. → whether they do."""
        with self.changed:
            self._crowded = True
            self.pressure.notify_all()
            fits = self.changed.wait_for(lambda: self._has_room(size), timeout_s)
            self._crowded = False
            return fits

    def is_half_full(self) -> bool:
        return (
            self._crowded
            or 2 * self.rows >= self._settings.memory_activities_max
            or 2 * self.size >= self._settings.memory_bytes_max
        )

    def has_waiting(self) -> bool:
        return bool(self._waiting or self._open)

    def take_to_spill(self) -> list[Batch]:
        """All that waits in memory, oldest first. Each then comes to `stored` or to `not_stored`."""
        with self.tally.lock:
            self._close_open()
            self._spilling, self._waiting = [*self._spilling, *self._waiting], deque()
            return list(self._spilling)

    def stored(self, batches: Sequence[Batch]) -> None:
        """The first of what was to be spilled is on disk. (In its place: a batch that was sent in part has an old one.)"""
        with self.tally.lock:
            del self._spilling[: len(batches)]
            in_order = not self._stored or self._stored[-1].seq < batches[0].seqs[0]
            for batch in batches:
                self._stored.append(Stored(batch.seqs[0], batch.rows, batch.size))
                self.rows -= batch.rows
                self.size -= batch.size
                self.stored_rows += batch.rows
                self.tally.spilled += batch.rows
            if not in_order:
                self._stored = deque(sorted(self._stored))
            self.changed.notify_all()

    def not_stored(self) -> None:
        """The rest of what was to be spilled stays in memory."""
        with self.tally.lock:
            self._waiting.extendleft(reversed(self._spilling))
            self._spilling = []
            self.changed.notify_all()

    def settled(self, seqs: tuple[int, ...], left: Batch | None) -> None:
        """What lay on disk in these places is settled but for `left`, which lies there instead."""
        with self.tally.lock:
            while self._stored and self._stored[0].seq in seqs:  # unless it was `lost` meanwhile
                gone = self._stored.popleft()
                self.stored_rows -= gone.rows
                self.tally.replayed += gone.rows
            if left is not None:
                self._stored.appendleft(Stored(left.seqs[0], left.rows, left.size))
                self.stored_rows += left.rows
                self.tally.replayed -= left.rows
            self._tell()

    def lost(self, seqs: frozenset[int]) -> int:
        """What lay on disk in these places is gone. → how many activities."""
        with self.tally.lock:
            gone = sum(one.rows for one in self._stored if one.seq in seqs)
            self._stored = deque(one for one in self._stored if one.seq not in seqs)
            self.stored_rows -= gone
            self._tell()
            return gone

    def give_up(self) -> int:
        """Forgets all that is in memory. → how many activities."""
        with self.tally.lock:
            self.abandon()
            self._close_open()
            given_up, self.rows, self.size = self.rows, 0, 0
            self._spilling, self._waiting = [], deque()
            self._tell()
            return given_up

    # ── Places ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _seq(self) -> int:
        self._next_seq += 1
        return self._next_seq - 1

    def _close_open(self) -> None:
        if self._open:
            self._waiting.append(Batch((self._open_seq,), len(self._open), self._open_size, lines=self._open))
            self._open, self._open_size = [], 0

    def _first(self) -> int | None:
        """The first place that is taken."""
        firsts = [batch.seqs[0] for batch in (self._in_hand, *self._spilling[:1]) if batch is not None]
        if self._stored:
            firsts.append(self._stored[0].seq)
        if self._waiting:
            firsts.append(self._waiting[0].seqs[0])
        elif self._open:
            firsts.append(self._open_seq)
        return min(firsts, default=None)

    def _stored_first(self) -> tuple[int, ...]:
        rows = size = 0
        seqs: list[int] = []
        for one in self._stored:
            rows, size = rows + one.rows, size + one.size
            if seqs and not self._fits(rows, size):
                break
            seqs.append(one.seq)
        return tuple(seqs)

    def _has_room(self, size: int) -> bool:
        """What is larger than all there is room for may come when there is nothing else."""
        settings = self._settings
        return self.rows < settings.memory_activities_max and (not self.rows or self.size + size <= settings.memory_bytes_max)

    def _fits(self, rows: int, size: int) -> bool:
        return rows <= self._settings.batch_activities_max and size <= self._settings.batch_bytes_max

    def _tell(self) -> None:
        first = self._first()
        passed = [told for seq, told in self._marks if first is None or seq < first]
        if passed:
            self._marks = [(seq, told) for seq, told in self._marks if first is not None and seq >= first]
            for told in passed:
                told()
        self.changed.notify_all()
