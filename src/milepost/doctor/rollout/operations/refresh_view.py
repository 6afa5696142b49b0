"""`refresh_view`: a materialized view refreshed without blocking those who read it, with the unique index that it needs for that.

operation = "refresh_view"
view = "public.sales_per_day"
unique = ["day"]        # columns of a unique index, made if there is none

One that was never filled is filled: whoever reads it before gets an error, and waits meanwhile.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations.create_index import CreateIndex
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict
from milepost.postgres import load_queries, sql

__all__ = ["RefreshView"]

queries = load_queries(__package__, "refresh_view.sql")


class RefreshView(Operation, frozen=True, kw_only=True):
    """Rolling back drops the index that it made; the rows stay new."""

    kind: ClassVar[str] = "refresh_view"
    locks: ClassVar[str] = "EXCLUSIVE on the view (reads go on)"

    view: str
    unique: list[str] = msgspec.field(default_factory=list)

    def describe(self) -> str:
        return f"refresh materialized view {self.view}"

    async def validate(self, work: Work) -> None:
        table = await work.table(self.view, ("m",))
        if not await work.value(queries.is_populated, {"table": table.oid}):
            return
        if not await work.value(queries.has_unique, {"table": table.oid}):
            if not self.unique:
                raise Conflict(f"{table} has no unique index over all its rows: name the columns of one in `unique`.")
            await self._index().validate(work)

    async def start(self, work: Work) -> None:
        table = await work.table(self.view, ("m",))
        if not await work.value(queries.is_populated, {"table": table.oid}):
            await work.alone(sql.SQL(queries.fill).format(view=table.identifier))
            await work.step("filled")
            return
        # Asked before what is there: after a kill, the index may be ours and half built.
        if "index" in work.memory or not await work.value(queries.has_unique, {"table": table.oid}):
            await self._index().start(work)
        await work.alone(sql.SQL(queries.refresh).format(view=table.identifier))
        await work.step("refreshed")

    async def roll_back(self, work: Work) -> None:
        if "index" in work.memory:
            await self._index().roll_back(work)
        await work.step("left as it is")

    def _index(self) -> CreateIndex:
        return CreateIndex(table=self.view, columns=self.unique, unique=True)
