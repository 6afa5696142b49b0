"""One file of batches on disk: SQLite in WAL mode with `synchronous=FULL`, so that what is written is there after a power cut.

A row is a batch, at its place in line; its checksum guards against what SQLite does not notice. Rows go only when the server has
acknowledged them. How it fails: `SpoolFailed` where the disk does not take it (full, read-only, broken), `SpoolCorrupt` where the
file is not what was written.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from milepost.client._batch import Batch
from milepost.client._line import Stored

__all__ = ["SpoolCorrupt", "SpoolFailed", "SpoolFile"]

FORMAT = 1
BUSY_S = 5.0
CHECKPOINT_PAGES = 250  # about a megabyte: the WAL counts against the folder's bound, too

CREATE = """
CREATE TABLE IF NOT EXISTS batch (
    seq INTEGER PRIMARY KEY, rows INTEGER NOT NULL, size INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL
) STRICT
"""


class SpoolFailed(Exception):
    """The disk does not take or give it now."""


class SpoolCorrupt(Exception):
    """The file is damaged."""


class SpoolFile:
    """Not for concurrent use. `close` lets go of the file; what is in it stays."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            with _translated():
                run = self._connection.execute
                found = run("PRAGMA user_version").fetchone()[0]
                if found not in (0, FORMAT):
                    raise SpoolCorrupt(f"it has format {found}, and this milepost writes {FORMAT}")
                run("PRAGMA journal_mode = WAL")
                run("PRAGMA synchronous = FULL")
                run(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
                run(f"PRAGMA journal_size_limit = {4 * CHECKPOINT_PAGES * 4096}")
                run(CREATE)
                run(f"PRAGMA user_version = {FORMAT}")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Safe twice."""
        self._connection.close()

    def append(self, batches: Sequence[Batch]) -> None:
        """All or none."""
        with self._transaction():
            self._insert(batches)

    def read(self, seqs: tuple[int, ...]) -> Batch:
        """The batches in these places as one."""
        found = []
        with _translated():
            for seq in seqs:
                row = self._connection.execute("SELECT rows, size, crc, body FROM batch WHERE seq = ?", (seq,)).fetchone()
                if row is None:
                    raise SpoolCorrupt(f"there is no row {seq}")
                rows, size, crc, body = row
                if zlib.crc32(body) != crc:
                    raise SpoolCorrupt(f"row {seq} is not what was written")
                found.append(Batch((seq,), rows, size, body=body))
        return Batch.joined(found)

    def replace(self, seqs: tuple[int, ...], left: Batch | None) -> None:
        """Takes away what is in these places, and puts what is left of it into the first."""
        with self._transaction():
            self._connection.executemany("DELETE FROM batch WHERE seq = ?", [(seq,) for seq in seqs])
            self._insert([left] if left is not None else [])

    def index(self) -> list[Stored]:
        """All rows, the oldest first, without their bodies."""
        with _translated():
            return [Stored(*row) for row in self._connection.execute("SELECT seq, rows, size FROM batch ORDER BY seq")]

    def free_bytes(self) -> int:
        """Within the file, from rows that are gone."""
        with _translated():
            pages, size = (self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_size"))
            return int(pages * size)

    def _insert(self, batches: Sequence[Batch]) -> None:
        rows = ((one.seqs[0], one.rows, one.size, zlib.crc32(one.body()), one.body()) for one in batches)
        self._connection.executemany("INSERT INTO batch (seq, rows, size, crc, body) VALUES (?, ?, ?, ?, ?)", rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk may have ended it already
                    self._connection.execute("ROLLBACK")
                raise


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise SpoolCorrupt(str(error)) from error
        raise SpoolFailed(str(error)) from error
