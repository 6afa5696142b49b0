"""Where the sender gets its batches from, and what it tells each place about them.

`Own` is this process's line, in memory and on disk. `Orphans` are the files of processes that have died: claimed one at a
time, sent oldest first, and taken away when they are empty.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from threading import RLock
from time import monotonic
from typing import Protocol

from milepost.client._batch import Batch
from milepost.client._line import Line, Stored
from milepost.client._overflow import Overflow, SpoolGone
from milepost.client._report import Report
from milepost.client._spool_file import SpoolFile
from milepost.client._tally import Tally
from milepost.client.counters import Failure
from milepost.client.settings import ClientSettings
from milepost.durable_file import DiskFailed, FileCorrupt
from milepost.folder import Claim, Folder

__all__ = ["Orphans", "Own", "Source"]

LOOK_S = 5.0


class Source(Protocol):
    def take(self) -> Batch | None:
        """The next batch, if there is one now. It stays the sender's until `settle`."""

    def settle(self, batch: Batch, left: Batch | None, sent: int, rejected: Sequence[Failure]) -> bool:
        """So many of its first activities are sent, those rejected; left: the rest, for later. → False: it is not the sender's any more."""


class Own:
    """A source."""

    def __init__(self, line: Line, overflow: Overflow, report: Report) -> None:
        self._line = line
        self._overflow = overflow
        self._report = report
        self._from_disk = False

    def take(self) -> Batch | None:
        taken = self._line.take()
        self._from_disk = isinstance(taken, tuple)
        if not isinstance(taken, tuple):
            return taken
        try:
            return self._overflow.read(taken)
        except SpoolGone as error:
            with self._line.tally.lock:
                lost = self._line.lost(error.seqs)
                self._line.tally.dropped["spool_corrupt"] += lost
            self._report.failure(Failure(kind="dropped", reason="spool_corrupt", detail=str(error), count=lost))
        except (DiskFailed, OSError) as error:
            self._report.say("spool", "the spool cannot be read: %s", error)
        return None

    def settle(self, batch: Batch, left: Batch | None, sent: int, rejected: Sequence[Failure]) -> bool:
        line, tally = self._line, self._line.tally
        if self._from_disk:
            try:
                if left is batch or not self._overflow.replace(batch.seqs, left):
                    return left is batch
            except DiskFailed:
                return False  # it will be sent again, and counted then
        with tally.lock:
            if self._from_disk:
                line.settled(batch.seqs, left)
            elif not line.done(batch, left):
                return False
            tally.sent += sent
            for failure in rejected:
                tally.reject(f"{failure.pointer}: {failure.detail}")
        return True


class Orphans:
    """A source. `close` leaves what is left to others; `suspend` is for a fork, as in `Overflow`."""

    def __init__(self, settings: ClientSettings, folder: Folder | None, tally: Tally, report: Report) -> None:
        self._settings = settings
        self._folder = folder
        self._tally = tally
        self._report = report
        self._lock = RLock()
        self._claim: Claim | None = None
        self._file: SpoolFile | None = None
        self._index: deque[Stored] = deque()
        self._look_at = float("-inf")

    def take(self) -> Batch | None:
        with self._lock:
            if self._claim is None and not self._find():
                return None
            rows = size = 0
            seqs: list[int] = []
            for one in self._index:
                rows, size = rows + one.rows, size + one.size
                if seqs and (rows > self._settings.batch_activities_max or size > self._settings.batch_bytes_max):
                    break
                seqs.append(one.seq)
            try:
                return self._opened().read(tuple(seqs))
            except FileCorrupt as error:
                self._set_aside(error)
            except (DiskFailed, OSError) as error:
                self._report.say("orphan", "a file of an earlier process cannot be read: %s", error)
                self.close()
            return None

    def settle(self, batch: Batch, left: Batch | None, sent: int, rejected: Sequence[Failure]) -> bool:
        with self._lock:
            if self._claim is None or left is batch:
                return self._claim is not None
            try:
                self._opened().replace(batch.seqs, left)
            except (FileCorrupt, DiskFailed, OSError) as error:
                self._report.say("orphan", "a file of an earlier process cannot be written: %s", error)
                if left is not None:  # it is read and sent again, as a whole
                    self.close()
                    return False
            for _ in batch.seqs:
                self._index.popleft()
            if left is not None:
                self._index.appendleft(Stored(left.seqs[0], left.rows, left.size))
            with self._tally.lock:
                self._tally.adopted += sent
                self._tally.adopted_rejected += len(rejected)
            if not self._index:
                self._end(discard=True)
            return True

    @property
    def look_s(self) -> float | None:
        """Until it is worth asking again; None: there is no folder."""
        return None if self._folder is None else max(0.0, self._look_at - monotonic())

    def close(self) -> None:
        """Safe twice."""
        with self._lock:
            self._end(discard=False)

    def suspend(self, timeout_s: float) -> bool:
        if not self._lock.acquire(timeout=timeout_s):
            return False
        self._let_go()
        return True

    def resume(self) -> None:
        self._lock.release()

    def forget(self) -> None:
        """In a forked child: the file is the parent's."""
        if self._claim is not None:
            self._claim.release()

    def _find(self) -> bool:
        if self._folder is None or monotonic() < self._look_at:
            return False
        self._look_at = monotonic() + LOOK_S
        try:
            for claim in self._folder.orphans():
                self._claim = claim
                try:
                    self._index = deque(self._opened().index())
                except FileCorrupt as error:
                    self._set_aside(error)
                    continue
                if self._index:
                    self._report.say("adopted", "sending what an earlier process left in %s", claim.path)
                    return True
                self._end(discard=True)
        except (DiskFailed, OSError) as error:
            self._report.say("orphan", "the files of earlier processes cannot be read: %s", error)
            self.close()
        return False

    def _opened(self) -> SpoolFile:
        assert self._claim is not None
        if self._file is None:
            self._file = SpoolFile(self._claim.path)
        return self._file

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _set_aside(self, error: FileCorrupt) -> None:
        claim, self._claim = self._claim, None
        self._end(discard=False)
        self._look_at = float("-inf")
        if claim is not None:
            self._report.set_aside(claim, error)

    def _end(self, *, discard: bool) -> None:
        self._let_go()
        claim, self._claim = self._claim, None
        self._index.clear()
        if claim is None:
            return
        if discard:
            claim.discard()
            self._look_at = float("-inf")  # there may be another one
        else:
            claim.release()
