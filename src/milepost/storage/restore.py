"""Restore: what was archived comes back into PostgreSQL: a partition's activities of one tenant, or one activity.

    done = await restore_part(db, tenant_id, "activity_2026_03", keep=timedelta(days=30))
    await restore_one(db, tenant_id, id, keep=timedelta(days=30))

A file is fetched and its rows are made into activities in a table of this session alone; only when their marks come to the sum that was
written down is any of it put into the activity table: in batches, each with the tenant's lane held, as cold rows' shadows, which changes no
answer. In the end the file does not count any more. Killed anywhere, the next run does again what is not done.

What came back is not archived again before `keep` is over. What was corrected, retracted or sent again meanwhile stays as it is.
Raises `NotFound`, `ColdFileDamaged`, `StoreUnavailable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from milepost import faults
from milepost.activity import SMALLEST_ID
from milepost.errors import NotFound
from milepost.postgres import Connection, Database, advisory_lock, load_queries, translated
from milepost.schema.compile import ActivityColumn
from milepost.schema.models import current_model
from milepost.storage._cold_columns import ColdColumn, columns_of_row, postgres_mark
from milepost.storage._parquet import ColdFileDamaged, to_csv
from milepost.storage.archive import LOCK
from milepost.storage.archive import queries as archive
from milepost.storage.cold import Cold, places
from milepost.storage.cold_files import ColdFiles, cold_files
from milepost.storage.manifest import ColdFile, file_of, files_of, hold_lane, switch
from milepost.storage.partitions import ensure_partitions

__all__ = ["Restored", "restore_one", "restore_part"]

queries = load_queries(__package__, "restore.sql")

BATCH_ROWS = 5_000
LOCK_WAIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Restored:
    """rows: that are in PostgreSQL again. files: that do not count any more."""

    rows: int
    files: int


async def restore_part(db: Database, tenant_id: int, part: str, *, keep: timedelta) -> Restored:
    """part: as the archive lists it, such as activity_2026_03."""
    owner = await db.owner()
    try:
        async with advisory_lock(owner, LOCK, timeout_s=LOCK_WAIT_S):
            with translated():
                restorer = Restorer(owner, cold_files(db.settings), (await current_model(owner)).compiled.columns, tenant_id)
                asked = {"tenant_id": tenant_id, "part": part}
                found = [file_of(row) for row in await (await owner.execute(queries.of_part, asked)).fetchall()]
                if not found:
                    raise NotFound(f"Nothing of {part} is in the archive: `milepost archive list` shows what is.")
                rows = 0
                for file in found:
                    await restorer.pin(file.low, file.high, keep)
                    rows += await restorer.restore(file)
                return Restored(rows=rows, files=len(found))
    finally:
        await owner.close()


async def restore_one(db: Database, tenant_id: int, id: UUID, *, keep: timedelta) -> Restored:
    """One activity, by its id or an earlier one. Its file stays, and the row shadows the cold one."""
    owner = await db.owner()
    try:
        async with advisory_lock(owner, LOCK, timeout_s=LOCK_WAIT_S):
            with translated():
                files, columns = cold_files(db.settings), (await current_model(owner)).compiled.columns
                found = await Cold(files, columns).of_ids(owner, tenant_id, [id], parameters={})
                if id not in found:
                    raise NotFound("There is no such activity in the archive.")
                current, _ = found[id]
                restorer = Restorer(owner, files, columns, tenant_id)
                await restorer.pin(current, current, keep)
                (file,) = await files_of(owner, tenant_id, [current])
                return Restored(rows=await restorer.restore(file, only=current), files=0)
    finally:
        await owner.close()


class Restorer:
    """Of one session of the owner, and one tenant."""

    def __init__(self, owner: Connection, files: ColdFiles, columns: Mapping[str, ActivityColumn], tenant_id: int) -> None:
        self._owner = owner
        self._files = files
        self._every = columns_of_row(columns)
        self._tenant = {"tenant_id": tenant_id}
        self._tenant_id = tenant_id

    async def pin(self, low: UUID, high: UUID, keep: timedelta) -> None:
        await self._owner.execute(archive.pin, {**self._tenant, "low": low, "high": high, "until": datetime.now(UTC) + keep})

    async def restore(self, file: ColdFile, *, only: UUID | None = None) -> int:
        """→ rows that are back. only: this one's row alone, and the file goes on counting."""
        columns = tuple(column for column in self._every if column.name in file.columns)
        try:
            await self._make(file, columns, only)
            await ensure_partitions(self._owner, only or file.low, only or file.high, datetime.now(UTC))
            rows = await self._insert()
        finally:
            if not self._owner.closed:
                await self._owner.execute(queries.drop)
        if only is None:
            async with self._owner.transaction():
                await hold_lane(self._owner, self._tenant_id)
                await switch(self._owner, self._tenant_id, new=[], old=[file.file_id])
                faults.reach("restore.before_switch")
            faults.reach("restore.switched")
        return rows

    async def _make(self, file: ColdFile, columns: Sequence[ColdColumn], only: UUID | None) -> None:
        """The file's rows as activities, in `cold_back`. Raises `ColdFileDamaged` where they are not what was written."""
        source = await self._files.fetch(file)
        csv = self._files.scratch("csv")
        names = ", ".join(column.name for column in columns)
        given = [column for column in columns if column.target is not None]
        words = {
            "columns": ", ".join(f"{column.name} {column.stage}" for column in columns),
            "names": names,
            "targets": ", ".join(str(column.target) for column in given),
            "backs": ", ".join(column.back for column in given),
            "mark": postgres_mark(columns),
        }
        try:
            where = "true" if only is None else "(c.us::HUGEINT * 4611686018427387904) + c.hash = $place::HUGEINT"
            await to_csv(csv, [source], columns, where, {} if only is None else {"place": places([only])[0]})
            faults.reach("restore.before_copy")
            await self._owner.execute(queries.drop)
            await self._owner.execute(queries.make_stage.replace("{columns}", words["columns"]))
            async with self._owner.cursor() as cursor, cursor.copy(queries.copy_stage.replace("{names}", names)) as copy:
                with csv.open("rb") as opened:
                    while data := opened.read(1 << 20):
                        await copy.write(data)
        finally:
            csv.unlink(missing_ok=True)
        await self._owner.execute(queries.make_back.replace("{names}", await self._names()))
        back = queries.to_back.replace("{targets}", words["targets"]).replace("{backs}", words["backs"])
        await self._owner.execute(back, self._tenant)
        row = await (await self._owner.execute(queries.marks.replace("{mark}", words["mark"]))).fetchone()
        if row is None or (only is None and row != (file.rows, file.checksum)):
            raise ColdFileDamaged(
                f"The file {file.path} came back as {row}, not as {file.rows} rows with the sum {file.checksum}.",
                path=file.path,
            )
        await self._owner.execute(queries.index_back)
        faults.reach("restore.copied")

    async def _insert(self) -> int:
        insert = queries.insert.replace("{names}", await self._names())
        after: UUID | None = SMALLEST_ID
        rows = 0
        while after is not None:
            found = await (await self._owner.execute(queries.batch, {"after": after, "rows": BATCH_ROWS - 1})).fetchone()
            last = found[0] if found else None
            async with self._owner.transaction():
                await hold_lane(self._owner, self._tenant_id)
                given = {**self._tenant, "after": after, "last": last or UUID(int=(1 << 128) - 1)}
                row = await (await self._owner.execute(insert, given)).fetchone()
            rows += row[0] if row else 0
            after = last
        return rows

    async def _names(self) -> str:
        row = await (await self._owner.execute(archive.names)).fetchone()
        assert row is not None
        return str(row[0])
