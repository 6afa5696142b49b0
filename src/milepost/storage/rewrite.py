"""Rewrite: files of the archive written anew without some activities, so that nothing of these is in any of them.

    done = await rewrite(db, tenant_id, ids=[…], actors=[…], at_once=True)

Each file that holds one of these ids, or an activity of one of these actors (by their numbers), is replaced by one without them, read back
and compared like any other; one that loses all of its rows is replaced by nothing. They are switched one by one, each in a transaction
that holds the tenant's lane. Killed anywhere, what is done is done, and the same call does the rest.

at_once: the replaced objects are removed right after their switch, and not after `cold_grace_s`: a reader whose snapshot is
older than that may be answered that the archive cannot be read. What this machine keeps of them for reading goes too; other machines
throw away what is not on the list any more with `forget_replaced`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

from milepost.activity import LARGEST_ID, SMALLEST_ID, activity_id
from milepost.postgres import Connection, Database, advisory_lock, load_queries, translated
from milepost.schema.models import current_model
from milepost.storage._cold_columns import columns_of_row
from milepost.storage._export import Exporter
from milepost.storage._parquet import read
from milepost.storage.archive import LOCK
from milepost.storage.cold import places
from milepost.storage.cold_files import ColdFiles, cold_files
from milepost.storage.manifest import ColdFile, files_between, hold_lane, switch
from milepost.storage.manifest import queries as manifest

__all__ = ["Rewritten", "forget_replaced", "rewrite", "rewrite_buried"]

queries = load_queries(__package__, "manifest.sql")
retention = load_queries(__package__, "retention.sql")

# What goes of a file: `places` of ids, and `actors` by their numbers.
Asked: TypeAlias = Callable[[Connection, ColdFile], Awaitable[dict[str, Any]]]

LOCK_WAIT_S = 60.0
CONCERNED = (
    "(c.us::HUGEINT * 4611686018427387904) + c.hash IN (SELECT unnest($places::HUGEINT[]))"
    " OR c.actor_id IN (SELECT unnest($actors::BIGINT[]))"
)


@dataclass(kw_only=True)
class Rewritten:
    """rows: that were removed. paths: of the files that were replaced."""

    rows: int = 0
    paths: list[str] = field(default_factory=list)


async def rewrite(
    db: Database, tenant_id: int, *, ids: Sequence[UUID] = (), actors: Collection[int] = (), at_once: bool = False
) -> Rewritten:
    """Raises `Timeout` where another run has the archive, `ColdFileDamaged`, `StoreUnavailable`."""

    async def asked(_: Connection, __: ColdFile) -> dict[str, Any]:
        return {"places": places(ids), "actors": sorted(actors)}

    return await _rewrite(db, tenant_id, asked, at_once=at_once)


async def rewrite_buried(db: Database, tenant_id: int, *, at_once: bool = False) -> Rewritten:
    """The same of all activities that are gone for good: removed by retention, erased or retracted."""

    async def asked(owner: Connection, file: ColdFile) -> dict[str, Any]:
        given = {"tenant_id": tenant_id, "low": file.low, "high": file.high}
        rows = await (await owner.execute(retention.buried, given)).fetchall()
        return {"places": places([row[0] for row in rows]), "actors": []}

    return await _rewrite(db, tenant_id, asked, at_once=at_once)


async def _rewrite(db: Database, tenant_id: int, asked: Asked, *, at_once: bool) -> Rewritten:
    done = Rewritten()
    files = cold_files(db.settings)
    owner, reading = await db.owner(), await db.owner()
    try:
        async with advisory_lock(owner, LOCK, timeout_s=LOCK_WAIT_S):
            with translated():
                columns = columns_of_row((await current_model(owner)).compiled.columns)
                exporter = Exporter(owner=owner, reading=reading, files=files, columns=columns)
                for file in await files_between(owner, tenant_id, SMALLEST_ID, LARGEST_ID):
                    concerned = await asked(owner, file)
                    if not any(concerned.values()):
                        continue
                    source = await files.fetch(file)
                    rows = await read([source], columns[:4], picked=["c.us", "c.hash"], where=CONCERNED, parameters=concerned)
                    if not rows:
                        continue
                    gone = [UUID(int=activity_id(us, hashed)) for us, hashed in rows]
                    new = await exporter.rewrite(tenant_id, {file: gone})
                    async with owner.transaction():
                        await hold_lane(owner, tenant_id)
                        await switch(owner, tenant_id, new=[new.file_id] if new else [], old=[file.file_id])
                    done.rows += len(gone)
                    done.paths.append(file.path)
                    if at_once:
                        await _remove(owner, files, tenant_id, file)
    finally:
        await reading.close()
        await owner.close()
    return done


async def _remove(owner: Connection, files: ColdFiles, tenant_id: int, file: ColdFile) -> None:
    await files.delete(file.path)
    files.forget(file)
    await owner.execute(manifest.remove, {"tenant_id": tenant_id, "file_id": file.file_id})


async def forget_replaced(owner: Connection, files: ColdFiles) -> int:
    """Throws away what this machine keeps for reading and is not in the archive any more. → how many files."""
    kept = {row[0] for row in await (await owner.execute(queries.digests)).fetchall()}
    return files.keep_only(kept)
