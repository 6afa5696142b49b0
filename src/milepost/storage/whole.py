"""All activities of a tenant, hot and cold, for statements that go over all of them, such as those of verify.

    async with await Whole.open(db, columns) as whole:
        async with whole.snapshot(tenant_id, low, high) as conn:
            await conn.execute(whole.over(statement), …)     # says `milepost.activity`, and reads both

A session of its own with temp tables: a snapshot brings the cold rows between its bounds, as its list of files has them, into one, and
`over` puts a view of both in the place of the activity table. Rows that the last snapshot brought serve again while the files are the same.
Where a tenant has nothing cold, statements run as they are.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

from milepost.activity import LARGEST_ID, SMALLEST_ID
from milepost.postgres import Connection, Database, load_queries, translated
from milepost.schema.compile import ActivityColumn
from milepost.storage._cold_columns import columns_of_row
from milepost.storage._parquet import bounds_of_ids, to_csv
from milepost.storage.cold_files import cold_files
from milepost.storage.manifest import ColdFile, files_between

__all__ = ["Whole"]

queries = load_queries(__package__, "whole.sql")

ACTIVITY = re.compile(r"\bmilepost\.activity\b")


class Whole:
    """Made by `open`; `close`, or `async with`, ends its session."""

    def __init__(self, conn: Connection, db: Database, columns: Mapping[str, ActivityColumn]) -> None:
        self._conn = conn
        self._files = cold_files(db.settings)
        self._columns = columns_of_row(columns)
        self._held: tuple[object, ...] = ()
        self._cold = False

    @classmethod
    async def open(cls, db: Database, columns: Mapping[str, ActivityColumn]) -> Whole:
        """columns: every m_ and d_ column of the activity table, as it is now."""
        chosen = db.settings
        limits = {"statement_timeout": f"{chosen.analytics_timeout_s * 1000:.0f}", "work_mem": chosen.analytics_work_mem}
        conn = await db.direct("whole", settings=limits)
        whole = cls(conn, db, columns)
        stage = ", ".join(f"{column.name} {column.stage}" for column in whole._columns)
        with translated(conn):
            await conn.execute(queries.make_stage.replace("{columns}", stage))
            await conn.execute(queries.make_cold)
            await conn.execute(queries.make_whole)
        return whole

    async def close(self) -> None:
        await self._conn.close()

    async def __aenter__(self) -> Whole:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def over(self, statement: str) -> str:
        """The statement over hot and cold, for the snapshot that is open."""
        return ACTIVITY.sub("pg_temp.activity_whole", statement) if self._cold else statement

    @asynccontextmanager
    async def snapshot(self, tenant_id: int, low: UUID = SMALLEST_ID, high: UUID = LARGEST_ID) -> AsyncIterator[Connection]:
        """A transaction that is one moment. Between low and high, all cold rows are there; of others, nothing is promised."""
        conn = self._conn
        with translated(conn):
            async with conn.transaction():
                await conn.execute(queries.begin)
                await conn.execute(queries.tenant, {"tenant_id": tenant_id})
                files = await files_between(conn, tenant_id, low, high)
                self._cold = bool(files)
                if files:
                    held = (tenant_id, low, high, *(file.file_id for file in files))
                    if held != self._held:
                        self._held = ()
                        await self._bring(conn, tenant_id, files, low, high)
                    await conn.execute(queries.unshadow, {"tenant_id": tenant_id})
                yield conn
            if files:
                self._held = held

    async def _bring(self, conn: Connection, tenant_id: int, files: list[ColdFile], low: UUID, high: UUID) -> None:
        where, bounds = bounds_of_ids(low, high)
        back = [column for column in self._columns if column.target is not None]
        csv = self._files.scratch("csv")
        await conn.execute(queries.empty)
        try:
            await to_csv(csv, await self._files.fetch_all(files), self._columns, where, bounds)
            names = ", ".join(column.name for column in self._columns)
            async with conn.cursor() as cursor, cursor.copy(queries.copy_stage.replace("{names}", names)) as copy:
                with csv.open("rb") as opened:
                    while data := opened.read(1 << 20):
                        await copy.write(data)
        finally:
            csv.unlink(missing_ok=True)
        words = {"{targets}": ", ".join(str(one.target) for one in back), "{backs}": ", ".join(one.back for one in back)}
        query = queries.from_stage
        for word, text in words.items():
            query = query.replace(word, text)
        await conn.execute(query, {"tenant_id": tenant_id})
        await conn.execute(queries.analyze)
