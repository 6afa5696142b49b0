"""The gathering thread: what `log` has put into the queue becomes lines of JSON in the line.

It takes little at a time and lets go of the interpreter in between, so that the app's threads do not wait for it; unless it has
fallen behind, then it takes the share that the interpreter gives it. While nothing is logged it sleeps until `log` rings; then it
waits for `delay_s` for more to come, and while they come nobody rings.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

from milepost.client._activity import Encoder, Entry, Unsendable
from milepost.client._line import Line
from milepost.client._overflow import Overflow
from milepost.client._report import Report
from milepost.client.counters import Failure

__all__ = ["Bell", "Gatherer", "Mark"]

SLICE = 64  # about half a millisecond
BEHIND = 5_000
ROOM_S = 1.0
LOOK_S = 1.0  # to tell of what was turned away


class Bell:
    """What wakes the gatherer. `idle` is read by `log` without a lock: the gatherer sets it and then looks at the queue, `log` puts
    into the queue and then looks at it, so one of them sees the other."""

    __slots__ = ("_rings", "hurry", "idle")

    def __init__(self) -> None:
        self.idle = False
        self.hurry = Event()
        self._rings: SimpleQueue[None] = SimpleQueue()

    def ring(self) -> None:
        self.idle = False
        self._rings.put(None)

    def wait(self, timeout_s: float) -> None:
        try:
            self._rings.get(timeout=timeout_s)
            while True:
                self._rings.get_nowait()
        except Empty:
            return


class Mark:
    """In the queue between two activities: calls `passed` when all before it are settled."""

    __slots__ = ("passed",)

    def __init__(self, passed: Callable[[], object]) -> None:
        self.passed = passed


class Gatherer:
    """`run` until `stop`. `marks` counts the marks in the queue, under the tally's lock."""

    def __init__(
        self, queue: SimpleQueue[Any], bell: Bell, line: Line, overflow: Overflow, report: Report, prefix: str, delay_s: float
    ) -> None:
        self._queue = queue
        self._bell = bell
        self._line = line
        self._overflow = overflow
        self._report = report
        self._encoder = Encoder(prefix)
        self._delay_s = delay_s
        self._stopping = False
        self._told = 0
        self._starved = False
        self.marks = 0

    def stop(self) -> None:
        self._stopping = True
        self._bell.hurry.set()
        self._bell.ring()

    def run(self) -> None:
        while not self._stopping:
            self._bell.idle = True
            if self._queue.empty():
                self._bell.wait(LOOK_S)
            self._bell.idle = False
            self.tell_of_turned_away()
            if self._queue.empty():
                continue
            self._bell.hurry.wait(self._delay_s)
            self._bell.hurry.clear()
            self.drain()

    def drain(self, make_room: Callable[[int], object] | None = None) -> None:
        """Until the queue is empty. make_room: what to do when the line is full; None: wait for the spiller to do it."""
        while self.run_once(make_room or self._wait_for_room):
            if self._queue.qsize() < BEHIND:
                time.sleep(0)

    def run_once(self, make_room: Callable[[int], object]) -> bool:
        """Takes a slice. → False: there was nothing."""
        tally, queue = self._line.tally, self._queue
        entries: list[Entry] = []
        mark = None
        with tally.lock:
            try:
                while len(entries) < SLICE:
                    item = queue.get_nowait()
                    if isinstance(item, Mark):
                        mark = item
                        self.marks -= 1
                        break
                    entries.append(Entry._make(item))
            except Empty:
                pass
            tally.taken += len(entries)
            tally.encoding += len(entries)
        lines, failures = self._encoded(entries)
        taken = self._add(lines)
        more = 1
        while taken < len(lines) and more and not self._overflow.trouble:
            make_room(len(lines[taken]))
            taken += (more := self._add(lines[taken:]))
        with tally.lock:
            tally.encoding -= len(entries) - taken
            if failures:
                tally.dropped["invalid"] += len(failures)
            refused = len(lines) - taken
            if refused:
                reason = self._overflow.trouble or "memory_full"
                tally.dropped[reason] += refused
                detail = "there is no room for more until the server is back"
                failures.append(Failure(kind="dropped", reason=reason, detail=detail, count=refused))
            if mark is not None:
                self._line.mark(mark.passed)
        for failure in failures:
            self._report.failure(failure)
        return bool(entries) or mark is not None

    def tell_of_turned_away(self) -> None:
        """`log` itself tells nobody: it has no time."""
        tally = self._line.tally
        with tally.lock:
            total = tally.turned_away.total()
            new, self._told = total - self._told, total
            closed = bool(tally.turned_away["closed"])
        if new:
            reason, detail = ("closed", "the client is closed") if closed else ("memory_full", "the queue is full")
            self._report.failure(Failure(kind="dropped", reason=reason, detail=detail, count=new))

    def _add(self, lines: list[bytes]) -> int:
        with self._line.tally.lock:
            taken = self._line.add(lines)
            self._line.tally.encoding -= taken
            return taken

    def _wait_for_room(self, size: int) -> None:
        """For the spiller, a while; if that was in vain not again until there was some: the queue must not grow instead."""
        self._starved = not self._line.wait_for_room(size, 0 if self._starved else ROOM_S)

    def _encoded(self, entries: list[Entry]) -> tuple[list[bytes], list[Failure]]:
        lines: list[bytes] = []
        failures: list[Failure] = []
        for entry in entries:
            try:
                lines.append(self._encoder.encode(entry))
            except Unsendable as error:
                given = {name: value for name, value in entry._asdict().items() if value is not None}
                failures.append(
                    Failure(kind="dropped", reason="invalid", pointer=error.pointer, detail=error.detail, activity=given)
                )
        return lines, failures
