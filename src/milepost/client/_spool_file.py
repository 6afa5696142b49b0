"""One file of batches on disk (`DurableFile`): what is written is there after a power cut.

A row is a batch, at its place in line; its checksum guards against what SQLite does not notice. Rows go only when the server has
acknowledged them.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

from milepost.client._batch import Batch
from milepost.client._line import Stored
from milepost.durable_file import DurableFile, FileCorrupt, disk_errors

__all__ = ["SpoolFile"]

FORMAT = 1
CHECKPOINT_PAGES = 250  # about a megabyte: the WAL counts against the folder's bound, too

CREATE = """
CREATE TABLE IF NOT EXISTS batch (
    seq INTEGER PRIMARY KEY, rows INTEGER NOT NULL, size INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL
) STRICT
"""


class SpoolFile(DurableFile):
    """Not for concurrent use."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, create=CREATE, format=FORMAT, checkpoint_pages=CHECKPOINT_PAGES)

    def append(self, batches: Sequence[Batch]) -> None:
        """All or none."""
        with self.transaction():
            self._insert(batches)

    def read(self, seqs: tuple[int, ...]) -> Batch:
        """The batches in these places as one."""
        found = []
        with disk_errors():
            for seq in seqs:
                row = self.connection.execute("SELECT rows, size, crc, body FROM batch WHERE seq = ?", (seq,)).fetchone()
                if row is None:
                    raise FileCorrupt(f"there is no row {seq}")
                rows, size, crc, body = row
                if zlib.crc32(body) != crc:
                    raise FileCorrupt(f"row {seq} is not what was written")
                found.append(Batch((seq,), rows, size, body=body))
        return Batch.joined(found)

    def replace(self, seqs: tuple[int, ...], left: Batch | None) -> None:
        """Takes away what is in these places, and puts what is left of it into the first."""
        with self.transaction():
            self.connection.executemany("DELETE FROM batch WHERE seq = ?", [(seq,) for seq in seqs])
            self._insert([left] if left is not None else [])

    def index(self) -> list[Stored]:
        """All rows, the oldest first, without their bodies."""
        with disk_errors():
            return [Stored(*row) for row in self.connection.execute("SELECT seq, rows, size FROM batch ORDER BY seq")]

    def free_bytes(self) -> int:
        """Within the file, from rows that are gone."""
        with disk_errors():
            pages, size = (self.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_size"))
            return int(pages * size)

    def _insert(self, batches: Sequence[Batch]) -> None:
        rows = ((one.seqs[0], one.rows, one.size, zlib.crc32(one.body()), one.body()) for one in batches)
        self.connection.executemany("INSERT INTO batch (seq, rows, size, crc, body) VALUES (?, ?, ?, ?, ?)", rows)
