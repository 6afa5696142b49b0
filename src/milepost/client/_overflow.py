"""This process's own file on disk, made when it is first needed and gone when it is empty.

Bounded: a batch that would make the folder larger than `spool_bytes_max` is refused. A disk that fails is left alone for a second.
A damaged file is set aside under another name, and the next batch begins a new one. Safe between threads; `suspend` closes the file
for a fork, since a connection of SQLite must not be carried across one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import RLock
from time import monotonic

from milepost.client._batch import Batch
from milepost.client._report import Report
from milepost.client._spool_file import SpoolFile
from milepost.client.settings import ClientSettings
from milepost.durable_file import DiskFailed, FileCorrupt
from milepost.folder import Claim, Folder

__all__ = ["Overflow", "SpoolGone"]

ROW_BYTES = 64  # of a row beside its body, and its share of pages
FILE_BYTES = 64 * 1024  # of an empty file with its WAL and its index
WRITE_BYTES_MAX = 8 * 1024 * 1024  # of one transaction
PAUSE_S = 1.0


class SpoolGone(Exception):
    """What lay in these places cannot be read any more; its file was set aside."""

    def __init__(self, detail: str, seqs: frozenset[int]) -> None:
        super().__init__(detail)
        self.seqs = seqs


class Overflow:
    """trouble: why the last write did not go through, as a reason for a drop; '' when it did."""

    def __init__(self, settings: ClientSettings, report: Report) -> None:
        self._settings = settings
        self._report = report
        self._lock = RLock()
        self._claim: Claim | None = None
        self._file: SpoolFile | None = None
        self._held: set[int] = set()
        self._undeleted: set[int] = set()
        self._not_before = 0.0
        self._closed = False
        self.trouble = ""
        folder = settings.folder
        self.folder = Folder(folder) if folder is not None else None
        if self.folder is None or not self.folder.usable:
            self.folder, self.trouble = None, "memory_full"

    @property
    def is_ready(self) -> bool:
        """Whether it is worth trying to write."""
        return self.folder is not None and not self._closed and monotonic() >= self._not_before

    def write(self, batches: Sequence[Batch]) -> int:
        """Makes the first of them durable, in one transaction. → how many: 0 with `trouble` saying why."""
        with self._lock:
            if not self.is_ready:
                return 0
            group: list[Batch] = []
            size = 0
            for batch in batches:
                size += len(batch.body()) + ROW_BYTES
                if group and size > WRITE_BYTES_MAX:
                    break
                group.append(batch)
            try:
                with self._watched():
                    while group and not self._fits(group):
                        group.pop()
                    if not group:
                        self._fail("spool_full", f"the folder has its {self._settings.spool_bytes_max:,} bytes")
                        return 0
                    self._opened().append(group)
            except (DiskFailed, SpoolGone, OSError) as error:
                self._fail("spool_failed", str(error))
                return 0
            self.trouble = ""
            self._held.update(batch.seqs[0] for batch in group)
            return len(group)

    def read(self, seqs: tuple[int, ...]) -> Batch:
        """Raises `DiskFailed`, `SpoolGone`, `OSError`."""
        with self._lock, self._watched():
            if not self._held.issuperset(seqs):
                raise SpoolGone("its file was set aside", frozenset(seqs) - self._held)
            return self._opened().read(seqs)

    def replace(self, seqs: tuple[int, ...], left: Batch | None) -> bool:
        """What was settled goes, but for what is left. → False: closed, so nothing was done.

        A disk that does not take even that (a full one may not) does not stop us: the rows are remembered as done, and gone
        with the next write, or with the file, which goes when nothing else is in it. Should the process die before, they are
        sent again and count once. Raises `DiskFailed` where something is left and could not be written.
        """
        with self._lock:
            if self._closed:
                return False
            try:
                with self._watched():
                    file = self._opened()
                    file.replace((*seqs, *self._undeleted), left)
                    self._undeleted.clear()
            except (DiskFailed, SpoolGone, OSError) as error:
                self._report.say("spool", "the spool could not be written: %s", error)
                if left is not None:  # what is on disk, if anything is, is sent again as a whole
                    raise DiskFailed(str(error)) from error
                self._undeleted.update(seqs)
            self._held.difference_update(seqs)
            self._held.update(left.seqs[:1] if left is not None else ())
            if not self._held:
                self._discard()
            return True

    def _discard(self) -> None:
        self._let_go()
        claim, self._claim = self._claim, None
        self._undeleted.clear()
        if claim is not None:
            claim.discard()

    def close(self) -> None:
        """What is in it is left to whoever finds it. Safe twice."""
        with self._lock:
            self._let_go()
            self._closed = True
            if self._claim is not None:
                self._claim.release()

    def suspend(self, timeout_s: float) -> bool:
        """Before a fork: no statement is under way and no connection open until `resume`. → False: the disk hangs."""
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

    def _opened(self) -> SpoolFile:
        if self.folder is None or self._closed:
            raise DiskFailed("there is no spool")
        if self._claim is None:
            self._claim = self.folder.claim_new()
        if self._file is None:
            self._file = SpoolFile(self._claim.path)
        return self._file

    def _fits(self, group: Sequence[Batch]) -> bool:
        file = self._opened()
        assert self.folder is not None
        needed = sum(len(batch.body()) + ROW_BYTES for batch in group)
        # The WAL holds what is written until it is moved into the file: for a moment it takes its room twice.
        return (
            self.folder.used_bytes() + needed + FILE_BYTES <= self._settings.spool_bytes_max or file.free_bytes() > 2 * needed
        )

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """A damaged file is set aside."""
        try:
            yield
        except FileCorrupt as error:
            self._let_go()
            claim, self._claim = self._claim, None
            gone, self._held = frozenset(self._held), set()
            self._undeleted.clear()
            assert claim is not None
            self._report.set_aside(claim, error)
            raise SpoolGone(str(error), gone) from error

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _fail(self, reason: str, why: str) -> None:
        self.trouble = reason
        self._not_before = monotonic() + PAUSE_S
        self._report.say("spool", "nothing more can be written to the spool (%s): it stays in memory as long as it fits", why)
