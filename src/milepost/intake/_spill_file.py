"""One spill file: batches on disk (`DurableFile`), so that what is written is there after a power cut.

A row is a batch in the order in which it was acknowledged; its number is never used twice in a file, and its checksum guards
against what SQLite does not notice. Rows go when the primary has them.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from milepost.durable_file import DurableFile, FileCorrupt, disk_errors
from milepost.intake._batches import Idempotency, NewBatch

__all__ = ["SpillFile", "Spilled"]

FORMAT = 1
ROW_BYTES = 200  # what a row takes beside its payload and claim, about
CHECKPOINT_PAGES = 1_000  # about 4 MB of WAL
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

CREATE = """
CREATE TABLE IF NOT EXISTS batch (
    seq INTEGER PRIMARY KEY, receipt_id INTEGER NOT NULL, received_us INTEGER NOT NULL, lane INTEGER NOT NULL,
    tenant_id INTEGER NOT NULL, kind INTEGER NOT NULL, model INTEGER NOT NULL, rows INTEGER NOT NULL, claim BLOB,
    crc INTEGER NOT NULL, payload BLOB NOT NULL
) STRICT
"""
INSERT = "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Spilled:
    """A batch in a spill file. claim: the Idempotency-Key that it came with, which nobody has claimed yet."""

    seq: int
    receipt_id: int
    received_at: datetime
    batch: NewBatch
    claim: Idempotency | None

    @property
    def size(self) -> int:
        """What it counts against the bound, in bytes."""
        return ROW_BYTES + len(self.batch.payload) + (len(_encoded(self.claim) or b"") if self.claim else 0)


class SpillFile(DurableFile):
    """Not for concurrent use."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, create=CREATE, format=FORMAT, checkpoint_pages=CHECKPOINT_PAGES)

    def append(self, batches: Sequence[Spilled]) -> None:
        """All or none; durable when it returns."""
        with self.transaction():
            self.connection.executemany(INSERT, map(_row, batches))

    def read(self, after: int, batches_max: int, bytes_max: int) -> list[Spilled]:
        """The first ones behind number `after`: at least one, if there is one."""
        found: list[Spilled] = []
        size = 0
        with disk_errors():
            for row in self.connection.execute("SELECT * FROM batch WHERE seq > ? ORDER BY seq LIMIT ?", (after, batches_max)):
                one = _spilled(row)
                size += one.size
                if found and size > bytes_max:
                    break
                found.append(one)
        return found

    def drop(self, up_to: int) -> None:
        """Those up to, and with, this number."""
        with self.transaction():
            self.connection.execute("DELETE FROM batch WHERE seq <= ?", (up_to,))

    def counted(self) -> tuple[int, int]:
        """→ batches, and their bytes as they count against the bound."""
        query = "SELECT count(*), coalesce(sum(length(payload) + coalesce(length(claim), 0) + ?), 0) FROM batch"
        with disk_errors():
            batches, size = self.connection.execute(query, (ROW_BYTES,)).fetchone()
        return int(batches), int(size)

    def shrink(self) -> None:
        """Gives the disk back what an outage took. For a file that is empty, or nearly."""
        with disk_errors():
            self.connection.execute("VACUUM")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _row(one: Spilled) -> tuple[Any, ...]:
    batch = one.batch
    received_us = (one.received_at - EPOCH) // timedelta(microseconds=1)
    numbers = (one.seq, one.receipt_id, received_us, batch.lane, batch.tenant_id, int(batch.kind), batch.model, batch.rows)
    claim = _encoded(one.claim)
    return (*numbers, claim, _checksum(numbers, claim, batch.payload), batch.payload)


def _spilled(row: tuple[Any, ...]) -> Spilled:
    *numbers, claim, crc, payload = row
    if _checksum(tuple(numbers), claim, payload) != crc:
        raise FileCorrupt(f"row {row[0]} is not what was written")
    seq, receipt_id, received_us, lane, tenant_id, kind, model, rows = numbers
    return Spilled(
        seq=seq,
        receipt_id=receipt_id,
        received_at=EPOCH + timedelta(microseconds=received_us),
        batch=NewBatch(lane=lane, tenant_id=tenant_id, kind=kind, model=model, rows=rows, payload=payload),
        claim=None if claim is None else msgspec.json.decode(claim, type=Idempotency),
    )


def _encoded(claim: Idempotency | None) -> bytes | None:
    return None if claim is None else msgspec.json.encode(claim)


def _checksum(numbers: tuple[int, ...], claim: bytes | None, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(claim or b"", zlib.crc32(repr(numbers).encode())))
