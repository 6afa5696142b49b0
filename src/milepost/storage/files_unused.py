"""Files that nobody names, and what uploads have left: both are deleted, object before row, so that none lies in the store unknown.

Steps of upkeep, as the owner: bounded, and fine to be killed anywhere and run again. A file is collected when its time (`keep_until`) is over and no
activity names it: one that was never uploaded, was not what was said, was not named in time, or whose last activity was removed. What
comes to a signed URL after its file is complete, and attempts that were not the last, are deleted once no upload can be under way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from milepost import faults
from milepost.postgres import Connection, load_queries, translated
from milepost.storage._pieces import BESIDE
from milepost.storage.file import final_path, upload_path
from milepost.storage.files import UPLOAD_ENDS_HOURS
from milepost.storage.objects import ObjectStore
from milepost.telemetry import count

__all__ = ["collect_files", "sweep_uploads"]

_queries = load_queries(__package__, "files_unused.sql")

FILES_AT_ONCE_MAX = 100


async def collect_files(owner: Connection, store: ObjectStore, *, tenant_id: int | None = None) -> int:
    """One step. → how many files it is done with; 0: none is due. Raises `StoreUnavailable`. tenant_id: only this one's."""
    asked = {"tenant_id": tenant_id, "rows_max": FILES_AT_ONCE_MAX}
    with translated(owner):
        async with owner.transaction():
            due = await (await owner.execute(_queries.due, asked)).fetchall()
            unused = [(whose, file, attempt) for whose, file, attempt, named in due if not named]
            if named := [(whose, file) for whose, file, _, is_named in due if is_named]:
                await owner.execute(_queries.keep, _keys(named))
            if unused:
                paths = [path for whose, file, attempt in unused for path in _paths(whose, file, 1, attempt)]
                await store.delete(paths)
                faults.reach("file.deleted")
                await owner.execute(_queries.forget, _keys([(whose, file) for whose, file, _ in unused]))
    count("files_collected", len(unused))
    return len(due)


async def sweep_uploads(owner: Connection, store: ObjectStore, *, hours: float = UPLOAD_ENDS_HOURS) -> int:
    """One step. → of how many files; 0: nothing is left. Raises `StoreUnavailable`. hours: how long an upload may take."""
    with translated(owner):
        async with owner.transaction():
            asked = {"hours": hours, "rows_max": FILES_AT_ONCE_MAX}
            rows = await (await owner.execute(_queries.uploaded, asked)).fetchall()
            if rows:
                await store.delete([path for whose, file, attempt in rows for path in _paths(whose, file, 1, attempt - 1)])
                await owner.execute(_queries.swept, _keys([(whose, file) for whose, file, _ in rows]))
    return len(rows)


def _paths(tenant_id: int, file_id: UUID, first: int, last: int) -> list[str]:
    """What may lie in the store of a file: its upload, whole or not, and these attempts."""
    upload = upload_path(tenant_id, file_id)
    return [upload, upload + BESIDE, *(final_path(tenant_id, file_id, attempt) for attempt in range(first, last + 1))]


def _keys(files: Sequence[tuple[int, UUID]]) -> dict[str, Any]:
    return {"tenants": [whose for whose, _ in files], "ids": [file for _, file in files]}
