"""A folder that several processes keep files in, as clients do and servers' spills: who owns which file, and how large all are.

A file `NAME.db` belongs to whoever holds the lock on `NAME.lock` (flock: the system takes it back when its process dies, however
it dies). So each process writes its own file, and the file of a dead one is claimed by exactly one other. Names are random and never
used again. Folders are the user's alone (0700), since files hold what apps logged.

The folder must be on a local disk: SQLite's WAL does not work over a network.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a Unix: `Folder.usable` says so
    fcntl = None  # type: ignore[assignment]

__all__ = ["Claim", "Folder"]

PARTS = (".db", ".db-wal", ".db-shm")


class Claim:
    """The right to a file: `path` is the database's. `release` leaves the file to others, `discard` takes it away."""

    def __init__(self, lock_path: Path, descriptor: int) -> None:
        self._lock_path = lock_path
        self._descriptor = descriptor
        self.path = lock_path.with_suffix(".db")

    def release(self) -> None:
        """Safe twice. In a forked child it lets go of the child's copy alone."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def discard(self) -> None:
        for suffix in (*PARTS, ".lock"):  # the lock last: as long as it is there, the rest is ours
            self._lock_path.with_suffix(suffix).unlink(missing_ok=True)
        self.release()

    def set_aside(self) -> Path:
        """Gives the file a name that no client looks for. → the new name of the database."""
        stamp = f".corrupt-{time.time_ns() // 1_000_000}"
        for suffix in PARTS:
            part = self._lock_path.with_suffix(suffix)
            if part.exists():
                part.rename(part.with_name(part.name + stamp))
        self._lock_path.unlink(missing_ok=True)
        self.release()
        return self.path.with_name(self.path.name + stamp)


class Folder:
    """Methods raise `OSError`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def usable(self) -> bool:
        """Whether this system has the locks that it takes."""
        return fcntl is not None

    def claim_new(self) -> Claim:
        """A name for a new file, locked."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            claim = self._claim(self.path / f"{os.getpid()}-{secrets.token_hex(6)}.lock", os.O_CREAT | os.O_EXCL)
            if claim is not None:  # else somebody who looked for orphans was quicker: another name
                return claim

    def orphans(self) -> Iterator[Claim]:
        """The files whose process is dead, the oldest first, claimed one by one."""
        try:
            with os.scandir(self.path) as entries:
                found = sorted((entry.stat().st_mtime_ns, entry.name) for entry in entries if entry.name.endswith(".lock"))
        except FileNotFoundError:
            return
        for _, name in found:
            try:
                claim = self._claim(self.path / name, 0)
            except FileNotFoundError:
                continue  # its owner has taken it away meanwhile
            if claim is None:
                continue
            if claim.path.exists():
                yield claim
            else:
                claim.discard()

    def used_bytes(self) -> int:
        """Of all files, those set aside too: their bound is for the disk's sake."""
        used = 0
        with os.scandir(self.path) as entries:
            for entry in entries:
                try:
                    used += entry.stat().st_size
                except FileNotFoundError:
                    continue
        return used

    def _claim(self, path: Path, flags: int) -> Claim | None:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return Claim(path, descriptor)
        except (BlockingIOError, FileNotFoundError):
            pass  # held by a living process; or discarded between our opening and locking it
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None
