"""A file of SQLite that survives a power cut: WAL mode with `synchronous=FULL`. The client's spool and the server's spill are of this kind.

How it fails: `DiskFull` where the disk takes no more (the file stays good, and nothing of the transaction is in it), `DiskFailed` where
it takes or gives nothing at all, `FileCorrupt` where the file is not what was written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["DiskFailed", "DiskFull", "DurableFile", "FileCorrupt", "disk_errors"]

BUSY_S = 5.0
PAGE_BYTES = 4096
FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})  # a full disk shows as either, by the file that had to grow
CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class DiskFailed(Exception):
    """The disk does not take or give it now."""


class DiskFull(DiskFailed):
    """The disk takes no more."""


class FileCorrupt(Exception):
    """The file is damaged."""


class DurableFile:
    """For one thread at a time. `close` lets go of the file; what is in it stays.

    create: makes the table, if it is not there. format: of what is in it; another one is refused. checkpoint_pages: so many pages
    of 4 kB lie in the WAL before they are moved into the file.
    """

    def __init__(self, path: Path, *, create: str, format: int, checkpoint_pages: int) -> None:
        with disk_errors():
            self.connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            with disk_errors():
                run = self.connection.execute
                found = run("PRAGMA user_version").fetchone()[0]
                if found not in (0, format):
                    raise FileCorrupt(f"it has format {found}, and this milepost writes {format}")
                run("PRAGMA journal_mode = WAL")
                run("PRAGMA synchronous = FULL")
                run(f"PRAGMA wal_autocheckpoint = {checkpoint_pages}")
                run(f"PRAGMA journal_size_limit = {4 * checkpoint_pages * PAGE_BYTES}")
                if not found:
                    run(create)
                    run(f"PRAGMA user_version = {format}")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Safe twice."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or none of the block; durable when it is left."""
        with disk_errors():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:  # a full disk may have ended it already
                    self.connection.execute("ROLLBACK")
                raise


@contextmanager
def disk_errors() -> Iterator[None]:
    """SQLite's errors as those of this module."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in CORRUPT:
            raise FileCorrupt(str(error)) from error
        raise (DiskFull if code in FULL else DiskFailed)(str(error)) from error
