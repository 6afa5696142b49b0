"""One spill file: batches in SQLite, in WAL mode with `synchronous=FULL`, so that what is written is there after a power cut.

A row is a batch in the order in which it was acknowledged; its number is never used twice in a file, and its checksum guards
against what SQLite does not notice. Rows go when the primary has them. How it fails: `SpillFull` where the disk takes no more (the
file stays good, and nothing of the append is in it), `SpillFailed` where it takes nothing at all, `SpillCorrupt` where the file is
not what was written.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from milepost.intake._batches import Idempotency, NewBatch

__all__ = ["SpillCorrupt", "SpillFailed", "SpillFile", "SpillFull", "Spilled"]

FORMAT = 1
BUSY_S = 5.0
ROW_BYTES = 200  # what a row takes beside its payload and claim, about
CHECKPOINT_PAGES = 1_000  # about 4 MB of WAL
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})  # a full disk shows as either, by the file that had to grow
CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

CREATE = """
CREATE TABLE IF NOT EXISTS batch (
    seq INTEGER PRIMARY KEY, receipt_id INTEGER NOT NULL, received_us INTEGER NOT NULL, lane INTEGER NOT NULL,
    tenant_id INTEGER NOT NULL, kind INTEGER NOT NULL, model INTEGER NOT NULL, rows INTEGER NOT NULL, claim BLOB,
    crc INTEGER NOT NULL, payload BLOB NOT NULL
) STRICT
"""
INSERT = "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class SpillFailed(Exception):
    """The disk does not take or give it now."""


class SpillFull(SpillFailed):
    """The disk takes no more."""


class SpillCorrupt(Exception):
    """The file is damaged."""


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


class SpillFile:
    """For one thread at a time. `close` lets go of the file; what is in it stays."""

    def __init__(self, path: Path) -> None:
        with _translated():
            self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            with _translated():
                run = self._connection.execute
                found = run("PRAGMA user_version").fetchone()[0]
                if found not in (0, FORMAT):
                    raise SpillCorrupt(f"it has format {found}, and this milepost writes {FORMAT}")
                run("PRAGMA journal_mode = WAL")
                run("PRAGMA synchronous = FULL")
                run(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
                if not found:
                    run(CREATE)
                    run(f"PRAGMA user_version = {FORMAT}")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Safe twice."""
        self._connection.close()

    def append(self, batches: Sequence[Spilled]) -> None:
        """All or none; durable when it returns."""
        with self._transaction():
            self._connection.executemany(INSERT, map(_row, batches))

    def read(self, after: int, batches_max: int, bytes_max: int) -> list[Spilled]:
        """The first ones behind number `after`: at least one, if there is one."""
        found: list[Spilled] = []
        size = 0
        with _translated():
            for row in self._connection.execute("SELECT * FROM batch WHERE seq > ? ORDER BY seq LIMIT ?", (after, batches_max)):
                one = _spilled(row)
                size += one.size
                if found and size > bytes_max:
                    break
                found.append(one)
        return found

    def drop(self, up_to: int) -> None:
        """Those up to, and with, this number."""
        with self._transaction():
            self._connection.execute("DELETE FROM batch WHERE seq <= ?", (up_to,))

    def counted(self) -> tuple[int, int]:
        """→ batches, and their bytes as they count against the bound."""
        query = "SELECT count(*), coalesce(sum(length(payload) + coalesce(length(claim), 0) + ?), 0) FROM batch"
        with _translated():
            batches, size = self._connection.execute(query, (ROW_BYTES,)).fetchone()
        return int(batches), int(size)

    def shrink(self) -> None:
        """Gives the disk back what an outage took. For a file that is empty, or nearly."""
        with _translated():
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

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


def _row(one: Spilled) -> tuple[Any, ...]:
    batch = one.batch
    received_us = (one.received_at - EPOCH) // timedelta(microseconds=1)
    numbers = (one.seq, one.receipt_id, received_us, batch.lane, batch.tenant_id, int(batch.kind), batch.model, batch.rows)
    claim = _encoded(one.claim)
    return (*numbers, claim, _checksum(numbers, claim, batch.payload), batch.payload)


def _spilled(row: tuple[Any, ...]) -> Spilled:
    *numbers, claim, crc, payload = row
    if _checksum(tuple(numbers), claim, payload) != crc:
        raise SpillCorrupt(f"row {row[0]} is not what was written")
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


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in CORRUPT:
            raise SpillCorrupt(str(error)) from error
        raise (SpillFull if code in FULL else SpillFailed)(str(error)) from error
