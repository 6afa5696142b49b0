"""`analyze`: a table's statistics made anew, with more of them for some columns if asked.

operation = "analyze"
table = "public.orders"
statistics = { status = 1000 }     # optional: the target of a column, 0 to 10000; -1 is the server's default
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from milepost.doctor.rollout.columns import require_columns
from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations._constraints import queries as of_tables
from milepost.doctor.rollout.work import Work
from milepost.postgres import load_queries, sql

__all__ = ["Analyze"]

queries = load_queries(__package__, "analyze.sql")


class Analyze(Operation, frozen=True, kw_only=True):
    """Rolling back gives columns the target they had; the statistics stay new."""

    kind: ClassVar[str] = "analyze"
    locks: ClassVar[str] = "SHARE UPDATE EXCLUSIVE (reads and writes go on)"

    table: str
    statistics: dict[str, int] = msgspec.field(default_factory=dict)

    def describe(self) -> str:
        return f"analyze {self.table}"

    async def validate(self, work: Work) -> None:
        table = await work.table(self.table, ("r", "p", "m"))
        require_columns(table, self.statistics)

    async def start(self, work: Work) -> None:
        table = await work.table(self.table, ("r", "p", "m"))
        if self.statistics and "before" not in work.memory:
            before = {}
            for column in self.statistics:
                found = await work.row(of_tables.column, {"table": table.oid, "column": column})
                assert found is not None
                before[column] = -1 if found["statistics"] is None else found["statistics"]
            await self._set(work, self.statistics, remember={"before": before})
        await work.alone(sql.SQL(queries.analyze).format(table=table.identifier))
        await work.step("analyzed")

    async def roll_back(self, work: Work) -> None:
        if "before" in work.memory:
            await self._set(work, work.memory["before"])
        await work.step("as it was")

    async def _set(self, work: Work, targets: dict[str, int], remember: dict[str, object] | None = None) -> None:
        table = await work.table(self.table, ("r", "p", "m"))
        form = sql.SQL(queries.set_statistics)
        statements = [
            form.format(table=table.identifier, column=sql.Identifier(column), statistics=sql.Literal(target))
            for column, target in targets.items()
        ]
        await work.briefly(*statements, lock="share_update_exclusive", tables=(table,), remember=remember)
