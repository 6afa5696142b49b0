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

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
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

__all__ = ["Rewritten", "forget_replaced", "rewrite"]

queries = load_queries(__package__, "manifest.sql")

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
    done = Rewritten()
    files = cold_files(db.settings)
    owner, reading = await db.owner(), await db.owner()
    try:
        async with advisory_lock(owner, LOCK, timeout_s=LOCK_WAIT_S):
            with translated():
                columns = columns_of_row((await current_model(owner)).compiled.columns)
                exporter = Exporter(owner=owner, reading=reading, files=files, columns=columns)
                asked = {"places": places(ids), "actors": sorted(actors)}
                for file in await files_between(owner, tenant_id, SMALLEST_ID, LARGEST_ID):
                    source = await files.fetch(file)
                    rows = await read([source], columns[:4], picked=["c.us", "c.hash"], where=CONCERNED, parameters=asked)
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
