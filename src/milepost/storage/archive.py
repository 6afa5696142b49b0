"""Archive: due activities go from PostgreSQL to Parquet on the object store, and stay readable.

    done = await run_once(db, now=now)

Partition by partition, tenant by tenant: export (`_export`: written, read back, compared), switch (one transaction, with the tenant's
lane held: from its commit on the files count), and, when no transaction is left that began before, removal (`_removal`). A partition of which
all or nearly all is due goes as a whole, another one is thinned in batches.

What it promises: at any instant each activity is in PostgreSQL or in a file that counts, or in both and then the same; nothing derived
moves. Killed anywhere, the next run begins with what is not done: files that nobody switched are thrown away, and what is in both is
exported again and removed. One run at a time; `Timeout` where another one has the lock.

How it fails: `StoreUnavailable`, `ColdFileDamaged`, `DatabaseError` end the run where it is. What an old transaction holds up, or
others' locks, stays in both until the next run (`waiting`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from milepost import faults
from milepost.activity import id_from
from milepost.background import ONE_PROCESSOR, Pace
from milepost.errors import Timeout
from milepost.postgres import Connection, Database, advisory_lock, load_queries, translated
from milepost.schema.models import current_model
from milepost.storage._cold_columns import columns_of_row
from milepost.storage._export import Exported, Exporter
from milepost.storage._removal import drop_partition, seen_by_all, thin
from milepost.storage.cold_files import ColdFiles, cold_files
from milepost.storage.due import Due, due_at
from milepost.storage.manifest import hold_lane, switch
from milepost.storage.manifest import queries as manifest
from milepost.storage.partitions import Partition, list_partitions
from milepost.telemetry import count

__all__ = ["LOCK", "ArchiveRun", "clean", "run_once"]

queries = load_queries(__package__, "archive.sql")
_log = structlog.get_logger(__name__)

LOCK = "milepost.archive"
SETTLE_S = 30.0


@dataclass(kw_only=True)
class ArchiveRun:
    """rows: that went. dropped, thinned: partitions. waiting: partitions whose rows are in both for now: `seen` by an old transaction."""

    rows: int = 0
    files: int = 0
    bytes: int = 0
    dropped: list[str] = field(default_factory=list)
    thinned: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


async def run_once(
    db: Database,
    *,
    now: datetime | None = None,
    due: Due | None = None,
    tenant: str | None = None,
    settle_s: float = SETTLE_S,
    on_progress: Callable[[str], None] = lambda _: None,
) -> ArchiveRun:
    """Archive all that is due. due: what is, if not what the model says. tenant: only this one's. settle_s: how long older transactions are
    waited for, in each partition.
    """
    done, pace = ArchiveRun(), Pace(db.settings.archive_share)
    owner, reading = await db.owner(), await db.owner(settings=ONE_PROCESSOR)
    try:
        async with advisory_lock(owner, LOCK, timeout_s=0):
            with translated():
                current = await current_model(owner)
                chosen = due or await due_at(owner, current.model, now or datetime.now(UTC))
                files = cold_files(db.settings)
                await clean(owner, files, grace_s=db.settings.cold_grace_s)
                if chosen is None:
                    return done
                chosen = chosen.unless(_RESTORED, at=now or datetime.now(UTC))
                columns = columns_of_row(current.compiled.columns)
                exporter = Exporter(owner=owner, reading=reading, files=files, columns=columns, pace=pace)
                for partition in await list_partitions(owner):
                    if partition.high <= id_from(chosen.border):
                        on_progress(partition.name)
                        await _partition(exporter, partition, chosen, tenant, settle_s, done)
    finally:
        pace.hurry()  # where it is cancelled, a file is still being written in a thread, which the process waits for
        await reading.close()
        await owner.close()
    count("archived_rows", done.rows)
    return done


async def clean(owner: Connection, files: ColdFiles, *, grace_s: float) -> int:
    """Throws away what killed runs were writing, and files that nobody can be reading any more. → how many."""
    await owner.execute(manifest.given_up)
    await owner.execute(queries.forget_pins)
    removed = 0
    while gone := await (await owner.execute(manifest.removable, {"grace_s": grace_s})).fetchall():
        for tenant_id, file_id, path in gone:
            await files.delete(path)
            await owner.execute(manifest.remove, {"tenant_id": tenant_id, "file_id": file_id})
        removed += len(gone)
    return removed


async def _partition(
    exporter: Exporter, partition: Partition, due: Due, only: str | None, settle_s: float, done: ArchiveRun
) -> None:
    owner = exporter.owner
    span = {"low": partition.low, "high": partition.high}
    exported: dict[int, Exported] = {}
    whole, number = True, None
    for tenant_id, name in await (await owner.execute(queries.tenants, span)).fetchall():
        if only is not None and name != only:
            whole = False
            continue
        made = await exporter.export(tenant_id, partition.name, partition.low, partition.high, due)
        exported[tenant_id] = made
        if made.new or made.old:
            number = await _switch(owner, tenant_id, made)
            _log.info("archived", tenant_id=tenant_id, part=partition.name, rows=made.rows, bytes=made.bytes)
    if number is None:
        return
    done.rows += sum(one.rows for one in exported.values())
    done.files += sum(len(one.new) for one in exported.values())
    done.bytes += sum(one.bytes for one in exported.values())
    try:
        if not await seen_by_all(owner, number, settle_s):
            _log.warning("an old transaction holds up the removal of what is archived", part=partition.name)
            done.waiting.append(partition.name)
        elif (
            whole
            and all(one.kept is not None for one in exported.values())
            and await drop_partition(owner, partition, exported)
        ):
            done.dropped.append(partition.name)
        else:
            for tenant_id, one in exported.items():
                await thin(exporter, tenant_id, one)
            done.thinned.append(partition.name)
    except Timeout as error:
        _log.warning("the removal of what is archived did not get its lock", part=partition.name, error=str(error))
        done.waiting.append(partition.name)


async def _switch(owner: Connection, tenant_id: int, made: Exported) -> str:
    """→ the number of the transaction from which on the files count."""
    async with owner.transaction():
        await hold_lane(owner, tenant_id)
        await switch(owner, tenant_id, new=[file.file_id for file in made.new], old=[file.file_id for file in made.old])
        row = await (await owner.execute(queries.number)).fetchone()
        faults.reach("archive.before_switch")
    faults.reach("archive.switched")
    assert row is not None
    return str(row[0])


# Brought back, and not to be archived again for a while.
_RESTORED = "EXISTS (SELECT FROM milepost.restored r WHERE r.tenant_id = s.tenant_id AND s.id >= r.low AND s.id <= r.high AND r.until > %(at)s)"
