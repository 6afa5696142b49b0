"""Check: is everything in the archive that is on its list, as it was written?

Each file is fetched from the store anew, whatever is kept of it here: its bytes are compared by digest, its rows counted and their marks
summed up. What is wrong is named, file by file; nothing is changed, but that what is kept here of a damaged file is thrown away.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from milepost.activity import occurred_at_of
from milepost.postgres import Connection, Database, translated
from milepost.schema.models import current_model
from milepost.storage._cold_columns import columns_of_row
from milepost.storage._parquet import Source, summed
from milepost.storage.activities import rfc3339
from milepost.storage.cold_files import ColdFileDamaged, ColdFiles, cold_files, digest_of
from milepost.storage.manifest import ColdFile, file_of
from milepost.storage.manifest import queries as manifest

__all__ = ["Checked", "check", "listed", "shown"]


@dataclass(kw_only=True)
class Checked:
    """damaged: {"tenant", "path", "part", "error"} for each file that is not what it was."""

    files: int = 0
    rows: int = 0
    bytes: int = 0
    damaged: list[dict[str, str]] = field(default_factory=list)


async def listed(conn: Connection, tenant_id: int | None = None) -> list[tuple[str, ColdFile, datetime]]:
    """What the archive holds: tenant, file, and since when; all tenants', or one's. conn: the owner's."""
    rows = await (await conn.execute(manifest.listed, {"tenant_id": tenant_id})).fetchall()
    return [(row[0], file_of(row[2:]), row[1]) for row in rows]


def shown(file: ColdFile, since: datetime) -> dict[str, Any]:
    """As lists show it."""
    return {
        "part": file.part,
        "path": file.path,
        "from": rfc3339(occurred_at_of(file.low)),
        "to": rfc3339(occurred_at_of(file.high)),
        "rows": file.rows,
        "bytes": file.bytes,
        "since": rfc3339(since),
    }


async def check(
    db: Database,
    *,
    tenant_id: int | None = None,
    files_max: int | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Checked:
    """files_max: a sample instead of all, drawn by chance. Raises `StoreUnavailable` where the store does not answer at all."""
    done = Checked()
    files = cold_files(db.settings)
    async with await db.owner() as owner:
        with translated():
            columns = columns_of_row((await current_model(owner)).compiled.columns)
            found = await listed(owner, tenant_id)
    if files_max is not None and files_max < len(found):
        found = random.sample(found, files_max)
    for tenant, file, _ in found:
        on_progress(file.path)
        done.files, done.rows, done.bytes = done.files + 1, done.rows + file.rows, done.bytes + file.bytes
        try:
            await _compare(files, file, tuple(column for column in columns if column.name in file.columns))
        except ColdFileDamaged as error:
            files.forget(file)
            done.damaged.append({"tenant": tenant, "path": file.path, "part": file.part, "error": str(error)})
    return done


async def _compare(files: ColdFiles, file: ColdFile, columns: Any) -> None:
    data = await files.get(file.path)
    if digest_of(data) != file.digest:
        raise ColdFileDamaged(
            f"{file.path}: {len(data)} bytes that are not the {file.bytes} that were written.", path=file.path
        )
    scratch = files.scratch("parquet")
    try:
        await asyncio.to_thread(scratch.write_bytes, data)
        again = await summed([Source(path=scratch, columns=file.columns)], columns)
    finally:
        scratch.unlink(missing_ok=True)
    if (again.rows, again.marks) != (file.rows, int(file.checksum)):
        raise ColdFileDamaged(f"{file.path}: {again.rows} rows that are not the {file.rows} that were written.", path=file.path)
