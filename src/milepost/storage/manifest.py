"""The manifest: which files of the archive hold a tenant's activities.

A file is `exporting` while it is written, `verified` when it was read back and found equal, `cold` when its rows count, and `gone` when
they do not any more. One statement switches files on and others off (`switch`), with the tenant's lane held, so a load or a reader
sees either all of a change or nothing. Readers ask in their own snapshot; a file's object outlives its row's switch by `cold_grace_s`, so that
what a snapshot names can be fetched.

An activity may be in PostgreSQL and in a file at once: the row in PostgreSQL, or its tombstone, counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from milepost.postgres import Connection, load_queries

__all__ = ["ColdFile", "file_of", "files_between", "files_of", "hold_lane", "switch"]

queries = load_queries(__package__, "manifest.sql")


@dataclass(frozen=True, kw_only=True)
class ColdFile:
    """low, high: its smallest and largest id. checksum: of its rows. digest: of its bytes."""

    file_id: int
    path: str
    part: str
    low: UUID
    high: UUID
    rows: int
    checksum: Decimal
    bytes: int
    digest: str
    columns: tuple[str, ...]


async def files_between(conn: Connection, tenant_id: int, low: UUID, high: UUID) -> list[ColdFile]:
    """The files that may hold ids from `low` on and below `high`, the newest first."""
    given = {"tenant_id": tenant_id, "low": low, "high": high}
    return [file_of(row) for row in await (await conn.execute(queries.cold_between, given)).fetchall()]


async def files_of(conn: Connection, tenant_id: int, ids: Sequence[UUID]) -> list[ColdFile]:
    """The files that may hold one of these ids."""
    given = {"tenant_id": tenant_id, "ids": list(ids)}
    return [file_of(row) for row in await (await conn.execute(queries.cold_of_ids, given)).fetchall()]


async def hold_lane(conn: Connection, tenant_id: int) -> None:
    """conn: in a transaction, to whose end no load of the tenant begins or ends."""
    await conn.execute(queries.lock_lane, {"tenant_id": tenant_id})


async def switch(conn: Connection, tenant_id: int, *, new: Sequence[int], old: Sequence[int]) -> None:
    """conn: the owner's, in a transaction that holds the lane. new: files that are verified. old: those that they replace."""
    await conn.execute(queries.switch, {"tenant_id": tenant_id, "new": list(new), "old": list(old)})


def file_of(row: Sequence[Any]) -> ColdFile:
    file_id, path, part, low, high, rows, checksum, size, digest, columns = row
    return ColdFile(
        file_id=file_id, path=path, part=part, low=low, high=high, rows=rows, checksum=checksum, bytes=size, digest=digest,
        columns=tuple(columns),
    )  # fmt: skip
