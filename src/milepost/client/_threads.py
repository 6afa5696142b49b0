"""All that belongs to one process: the queue, the line, the files, and the three threads that serve them.

A forked child gets a new one. Threads are daemons: a process never waits for them but in `close`. Where none can be started, because
the interpreter is on its way out, `at_once` does their work in the caller's thread, as far as the disk.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from queue import SimpleQueue
from threading import Lock, Thread, main_thread
from time import monotonic
from typing import Any

from milepost.client._breaker import Breaker
from milepost.client._gather import Bell, Gatherer, Mark
from milepost.client._line import Line
from milepost.client._overflow import Overflow
from milepost.client._report import Report
from milepost.client._send import Sender
from milepost.client._server import Server
from milepost.client._sources import Orphans, Own
from milepost.client._spill import Spiller
from milepost.client._tally import Tally
from milepost.client.counters import Counters, Failure
from milepost.client.settings import ClientSettings

__all__ = ["Threads"]

log = logging.getLogger("milepost.client")

STOP_S = 1.0
SUSPEND_S = 5.0
AGAIN_S = 1.0


class Threads:
    """`start` at the first activity; `close` at the end. `queue` and `bell` are `log`'s side."""

    def __init__(self, settings: ClientSettings, on_error: Callable[[Failure], object] | None) -> None:
        self._settings = settings
        self.queue: SimpleQueue[Any] = SimpleQueue()
        self.bell = Bell()
        self.tally = Tally()
        self.report = Report(on_error)
        self._line = Line(settings, self.tally)
        self._overflow = Overflow(settings, self.report)
        self._orphans = Orphans(settings, self._overflow.folder, self.tally, self.report)
        self._breaker = Breaker(settings.retry_s_max)
        prefix = secrets.token_hex(10)  # 80 random bits: of all processes that ever were, no two have the same
        self._gatherer = Gatherer(
            self.queue, self.bell, self._line, self._overflow, self.report, prefix, settings.delay_s
        )  # fmt: skip
        self._spiller = Spiller(self._line, self._overflow, self._breaker, settings.spill_after_s)
        self._server = Server(settings, f"milepost-python/{_version()}")
        own = Own(self._line, self._overflow, self.report)
        self._sender = Sender(self._line, own, self._orphans, self._server, self._breaker, self.report)
        self._threads: list[Thread] = []
        self._at_once = Lock()

    @property
    def has_orphans(self) -> bool:
        """Whether there are files in the folder, of whomever."""
        folder = self._settings.folder
        return folder is not None and folder.is_dir() and any(folder.glob("*.lock"))

    def start(self) -> bool:
        """→ False: no thread can be started any more."""
        if not main_thread().is_alive():  # the interpreter is ending: it would not wait for what we do
            return False
        services = (("gather", self._gatherer.run), ("send", self._sender.run), ("spill", self._spiller.run))
        try:
            for name, run in services:
                thread = Thread(target=self._keep_running, args=(name, run), name=f"milepost {name}", daemon=True)
                thread.start()
                self._threads.append(thread)
        except RuntimeError:
            return bool(self._threads)  # where some run and others cannot, the end takes what they leave
        return True

    def at_once(self) -> None:
        """What is in the queue goes to disk."""
        with self._at_once:
            self._gatherer.drain(lambda _: self._spiller.run_once())
            self._spiller.run_once()

    def comes_back_within(self, seconds: float) -> bool:
        """Whether another attempt will be made so soon."""
        return self._breaker.wait_s < seconds

    def mark(self, passed: Callable[[], object]) -> None:
        """Calls `passed` in one of the threads when all that was logged until now is settled."""
        with self.tally.lock:
            self._gatherer.marks += 1
            self.queue.put(Mark(passed))
        self.bell.hurry.set()
        self.bell.ring()

    def counters(self) -> Counters:
        tally, line = self.tally, self._line
        with tally.lock:
            waiting = self.queue.qsize() - self._gatherer.marks
            dropped = tally.dropped + tally.turned_away
            return Counters(
                accepted=tally.taken + waiting + tally.turned_away.total(),
                sent=tally.sent,
                rejected=tally.rejected,
                in_memory=waiting + tally.encoding + line.rows,
                in_spool=line.stored_rows,
                retried=tally.retried,
                spilled=tally.spilled,
                replayed=tally.replayed,
                adopted=tally.adopted,
                adopted_rejected=tally.adopted_rejected,
                state=self._breaker.state,
                dropped=dict(dropped),
                rejections=dict(tally.rejections),
            )

    def close(self) -> bool:
        """Ends the threads, soon; what is left goes to disk, or is counted as dropped. Takes as long as the disk does.

        → whether nothing was left.
        """
        self._sender.stop()
        self._spiller.stop()
        self._gatherer.stop()
        until = monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(0.0, until - monotonic()))
        self._line.abandon()
        with self._at_once:
            self._gatherer.drain(lambda _: self._spiller.run_once())
            while not self._spiller.run_once() and self._overflow.is_ready:
                pass
        with self.tally.lock:
            lost = self._line.give_up()
            reason = self._overflow.trouble or "memory_full"
            self.tally.dropped[reason] += lost
        if lost:
            detail = "the client was closed while the server was away, and the disk did not take them"
            self.report.failure(Failure(kind="dropped", reason=reason, detail=detail, count=lost))
        self._gatherer.tell_of_turned_away()
        self._overflow.close()
        self._orphans.close()
        return not lost and not self._line.stored_rows

    def sweep(self) -> None:
        """After `close`: what a thread put into the queue while it was being closed."""
        with self.tally.lock:
            late = [self.queue.get_nowait() for _ in range(self.queue.qsize())]
            marks = [one for one in late if isinstance(one, Mark)]
            self._gatherer.marks -= len(marks)
            self.tally.turned_away["closed"] += len(late) - len(marks)
        for mark in marks:
            mark.passed()

    # ── Forks ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def suspend(self) -> list[Callable[[], None]]:
        """No file is open until what is returned was called."""
        held = [part for part in (self._orphans, self._overflow) if part.suspend(SUSPEND_S)]
        return [part.resume for part in held]

    def forget(self) -> None:
        """In a child: lets go of what is the parent's, without touching it."""
        self._overflow.forget()
        self._orphans.forget()
        self._server.close()

    def _keep_running(self, name: str, run: Callable[[], None]) -> None:
        while True:
            try:
                return run()
            except Exception:
                # Our own mistake, whatever it is, must not end the sending for as long as the app runs.
                log.exception("the thread that %ss activities failed, and goes on", name)
                self.bell.hurry.wait(AGAIN_S)


def _version() -> str:
    try:
        return version("milepost")
    except PackageNotFoundError:
        return "unknown"
