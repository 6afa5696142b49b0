"""`Milepost`: what an app calls.

`log` promises to return in microseconds and not to raise, whatever becomes of the server, the network and the disk. It stamps the
activity with a number and the time, puts it into a queue, and that is all; see the package for what comes after. Lost is only
what `counters().dropped` counts, and what is in memory (at most since the last `delay_s`, while the server takes what it is sent) when
the process is killed.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from itertools import count
from math import inf
from pathlib import Path
from threading import Event, RLock
from time import monotonic, time_ns
from types import TracebackType
from typing import Any, Literal
from uuid import UUID

from milepost.client import _forks
from milepost.client._threads import Threads
from milepost.client.counters import Counters, Failure
from milepost.client.settings import client_settings

__all__ = ["Id", "Milepost"]

Id = str | int | UUID

LOOK_S = 0.05


class Milepost:
    """A client of one tenant on one server. Make one a process (before a fork is fine), and use it from all threads.

    url, key, spool_dir: by default MILEPOST_URL, MILEPOST_KEY, and MILEPOST_SPOOL_DIR or the user's folder for state. on_error: is called,
    in a thread of the client's, with a `Failure` for each activity that was rejected or dropped. The others: `ClientSettings`.

    Raises `SettingsError`, here and nowhere else. No thread is started and no connection made before the first `log`
    (or at once, where an earlier process has left files to be sent).
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        spool_dir: str | Path | None = None,
        on_error: Callable[[Failure], object] | None = None,
        delay_s: float = 0.05,
        batch_activities_max: int = 1_000,
        batch_bytes_max: int = 1024 * 1024,
        memory_activities_max: int = 100_000,
        memory_bytes_max: int = 64 * 1024 * 1024,
        spool_bytes_max: int = 1024 * 1024 * 1024,
        spill_after_s: float = 3.0,
        timeout_s: float = 10.0,
        retry_s_max: float = 30.0,
        exit_timeout_s: float = 5.0,
    ) -> None:
        self._settings = client_settings(
            url,
            key,
            spool_dir,
            {
                "delay_s": delay_s,
                "batch_activities_max": batch_activities_max,
                "batch_bytes_max": batch_bytes_max,
                "memory_activities_max": memory_activities_max,
                "memory_bytes_max": memory_bytes_max,
                "spool_bytes_max": spool_bytes_max,
                "spill_after_s": spill_after_s,
                "timeout_s": timeout_s,
                "retry_s_max": retry_s_max,
                "exit_timeout_s": exit_timeout_s,
            },
        )
        self._on_error = on_error
        self._closed = False
        self._delivered = False
        self._set_up()
        _forks.watch(self)
        if self._threads.has_orphans:
            self._start()

    def _set_up(self) -> None:
        """All that is this process's own."""
        self._threads = Threads(self._settings, self._on_error)
        self._put, self._size = self._threads.queue.put, self._threads.queue.qsize
        self._bell = self._threads.bell
        self._size_max = self._settings.memory_activities_max
        self._numbers = count(1)
        self._starting = RLock()
        self._mode: Literal["unstarted", "running", "threadless"] = "unstarted"
        self._direct = False  # whether `log` has nothing to do but to enqueue

    def log(
        self,
        verb: str,
        actor: Id,
        *,
        object: tuple[str, Id] | Mapping[str, Id] | None = None,
        group: Id | None = None,
        groups: Iterable[Id] | None = None,
        measures: Mapping[str, float | Decimal] | None = None,
        data: Mapping[str, Any] | None = None,
        content: Any = None,
        visibility: Literal["public", "group", "private"] | None = None,
        source: str | None = None,
        status: str | None = None,
        key: Id | None = None,
        occurred_at: datetime | None = None,
        files: Mapping[str, str | Iterable[str]] | None = None,
    ) -> None:
        """One activity: `actor` did `verb` to `object` (kind, id) in `group`. Enqueues, and never raises for what it is given.

        key: the app's own, by which the same activity is recognised when it is logged twice (with the same `occurred_at`, which
        has a time zone; None: now). measures and data are copied; what is nested in data, and content and files, must not be
        changed afterwards. files: tickets by name (`upload`). What cannot be an activity is counted as dropped and reported.
        """
        # A plain tuple in the order of `Entry`, in one expression: an `Entry` would cost half as much again. A dict is copied, since
        # apps do use one again and change it; deeper copies would cost more than all the rest.
        entry = (
            next(self._numbers),
            time_ns(),
            verb,
            actor,
            object,
            group,
            groups if groups is None else _copied(groups),
            measures.copy() if type(measures) is dict else measures,
            data.copy() if type(data) is dict else data,
            content,
            visibility,
            source,
            status,
            key,
            occurred_at,
            files,
        )
        if self._direct and self._size() < self._size_max:
            self._put(entry)
            if self._bell.idle:
                self._bell.ring()
        else:
            self._log_otherwise(entry)

    def upload(self, file: str | Path, verb: str, name: str, *, media_type: str | None = None) -> str:
        """Upload a file that an activity of this verb is to name, as the model declares it. → a ticket for `log(files={name: ticket})`.

        Unlike `log` it waits, and raises: `InvalidInput` with the fields that the model does not admit or that are not what was said,
        `UploadFailed` (`milepost.errors.MilepostError`) for all else. media_type: by default what the file's name says.
        """
        from milepost.client._upload import upload  # what it needs takes a while to import, and most apps upload nothing

        return upload(self._settings, Path(file), verb, name, media_type)

    def flush(self, timeout: float | None = None) -> bool:
        """Waits until the server has all that was logged before. timeout: in seconds; None: as long as it takes.

        → False: time is up. What was given up is not waited for (see `counters().dropped`).
        """
        passed = Event()
        if not self._mark(passed.set):
            return self._is_empty()
        return passed.wait(timeout)

    def close(self, timeout: float | None = 5.0) -> bool:
        """Takes nothing more, flushes, and moves to disk what could not be sent in time, for the next process. Safe twice.

        Does not wait for a server that is away and will not be tried again in time. → whether the server has all of it. After
        `timeout` it takes as much longer as the disk takes to write what is left.
        """
        with self._starting:
            if self._closed:
                return self._delivered
            self._closed, self._direct = True, False
        threads = self._threads
        if self._mode == "running":
            passed, until = Event(), monotonic() + (inf if timeout is None else timeout)
            threads.mark(passed.set)
            while (left := until - monotonic()) > 0 and not passed.wait(min(left, LOOK_S)) and threads.comes_back_within(left):
                pass
        self._delivered = threads.close()
        threads.sweep()
        atexit.unregister(self._at_exit)
        return self._delivered

    def counters(self) -> Counters:
        """What became of all that was logged, as of now."""
        if self._closed:
            self._threads.sweep()
        return self._threads.counters()

    def __enter__(self) -> Milepost:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Milepost({self._settings.url!r})"

    def _log_otherwise(self, entry: tuple[Any, ...]) -> None:
        """The first time, when there is no room, after the end: all that `log` has no time for."""
        threads = self._threads
        if not self._direct and not self._closed:
            self._start()
        if self._closed or self._size() >= self._size_max:
            with threads.tally.lock:
                threads.tally.turned_away["closed" if self._closed else "memory_full"] += 1
            return
        self._put(entry)
        if self._mode == "threadless":
            threads.at_once()
        elif self._bell.idle:
            self._bell.ring()

    def _start(self) -> None:
        """In this process, once."""
        with self._starting:
            if self._mode != "unstarted" or self._closed:
                return
            self._mode = "running" if self._threads.start() else "threadless"
            self._direct = self._mode == "running"
            self._register_exit()

    def _register_exit(self) -> None:
        """Again in each process: a child of multiprocessing has forgotten what its parent registered, or never runs it."""
        atexit.unregister(self._at_exit)
        with suppress(RuntimeError):  # too late for that: `log` goes straight to disk now
            atexit.register(self._at_exit)
        processes = sys.modules.get("multiprocessing.process")
        if processes is not None and processes.parent_process() is not None:
            from multiprocessing.util import Finalize

            Finalize(None, self._at_exit, exitpriority=10)

    def _at_exit(self) -> None:
        self.close(self._settings.exit_timeout_s)

    def _mark(self, passed: Callable[[], object]) -> bool:
        """Calls `passed` when all that was logged is settled. → False: nobody works on it."""
        if self._mode != "running":
            return False
        self._threads.mark(passed)
        if self._closed:  # nobody may look at the queue any more
            self._threads.sweep()
        return True

    def _is_empty(self) -> bool:
        counters = self.counters()
        return not counters.in_memory and not counters.in_spool

    # ── Forks (see `_forks`) ───────────────────────────────────────────────────────────────────────────────────────

    def before_fork(self) -> list[Callable[[], None]]:
        return self._threads.suspend()

    def after_fork_in_child(self) -> None:
        """What waits is the parent's, and so are its files and its connection; the child begins with nothing."""
        self._threads.forget()
        self._set_up()


def _copied(groups: Any) -> Any:
    """The gatherer tells what is no list."""
    return groups.copy() if type(groups) in (list, set) else groups
