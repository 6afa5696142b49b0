"""`reindex`: an index built anew, because it is bloated or invalid, while reads and writes go on.

    operation = "reindex"
    index = "public.orders_status_idx"

There is nothing to take back: the index has the same definition. A rebuild that was cancelled leaves an invalid twin (`…_ccnew`,
`…_ccold`), which is dropped.
"""

from __future__ import annotations

from typing import ClassVar

from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations._indexes import Index, drop_concurrently, index_named
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict, NotFound
from milepost.postgres import load_queries, sql

__all__ = ["Reindex"]

queries = load_queries(__package__, "reindex.sql")


class Reindex(Operation, frozen=True, kw_only=True):
    """Rolled back, it leaves the old index or the new one, whichever is valid under the name."""

    kind: ClassVar[str] = "reindex"
    locks: ClassVar[str] = "SHARE UPDATE EXCLUSIVE (reads and writes go on)"

    index: str

    def describe(self) -> str:
        return f"build index {self.index} anew"

    async def validate(self, work: Work) -> None:
        found = await self._found(work)
        if found.kind == "I":
            raise Conflict(f"{self.index} belongs to a partitioned table: name the index of a partition.")

    async def start(self, work: Work) -> None:
        found = await self._found(work)
        if "oid" not in work.memory:
            await work.remember(oid=found.oid)
        before = work.memory["oid"]

        async def renewed() -> bool:
            now = await self._found(work)
            return now.oid != before and now.valid

        async def clear() -> None:
            await self._clear(work)

        if not await renewed():
            await work.build(sql.SQL(queries.build).format(index=found.identifier), done=renewed, clear=clear)
        await clear()
        await work.step("built")

    async def roll_back(self, work: Work) -> None:
        if "oid" in work.memory:
            await self._clear(work)
        await work.step("cleared")

    async def _found(self, work: Work) -> Index:
        found = await index_named(work, self.index)
        if found is None:
            raise NotFound(f"There is no index {self.index} here.", index=self.index)
        return found

    async def _clear(self, work: Work) -> None:
        for row in await work.rows(queries.leftovers, {"index": (await self._found(work)).oid}):
            await drop_concurrently(work, row["schema"], row["name"])
