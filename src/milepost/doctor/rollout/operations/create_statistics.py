"""`create_statistics`: statistics of columns together, or of an expression, so that the planner need not guess.

operation = "create_statistics"
table = "public.orders"
columns = ["city", "postcode"]      # names, or one expression as SQL: "(lower(email))"
name = "orders_city_postcode_stats" # made from the columns otherwise
"""

from __future__ import annotations

import re
from typing import ClassVar

from milepost.doctor.rollout.columns import require_columns
from milepost.doctor.rollout.names import Table, fitted
from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict
from milepost.postgres import load_queries, sql

__all__ = ["CreateStatistics"]

queries = load_queries(__package__, "create_statistics.sql")


class CreateStatistics(Operation, frozen=True, kw_only=True):
    """Reversible at any time."""

    kind: ClassVar[str] = "create_statistics"
    locks: ClassVar[str] = "SHARE UPDATE EXCLUSIVE (reads and writes go on)"

    table: str
    columns: list[str]
    name: str | None = None

    def check(self, where: str) -> None:
        if not self.columns:
            raise self.refuse(where, "`columns` is empty.")

    def describe(self) -> str:
        return f"create statistics on {self.table} ({', '.join(self.columns)})"

    async def validate(self, work: Work) -> None:
        table = await work.table(self.table)
        require_columns(table, elements=self.columns)
        if await work.value(queries.is_there, {"schema": table.schema, "name": self._name}):
            raise Conflict(
                f"There are statistics {self._name} in {table.schema} already: give another `name`.", name=self._name
            )

    async def start(self, work: Work) -> None:
        table = await work.table(self.table)
        if "made" not in work.memory:
            columns = [sql.Identifier(one) if one in table.columns else sql.SQL(one) for one in self.columns]
            parts = {"name": self._identifier(table), "columns": sql.SQL(", ").join(columns), "table": table.identifier}
            statement = sql.SQL(queries.create).format(**parts)
            await work.briefly(statement, lock="share_update_exclusive", tables=(table,), remember={"made": True})
        await work.alone(sql.SQL(queries.analyze).format(table=table.identifier))
        await work.step("analyzed")

    async def roll_back(self, work: Work) -> None:
        if "made" in work.memory:
            table = await work.table(self.table)
            statement = sql.SQL(queries.drop).format(name=self._identifier(table))
            await work.briefly(statement, lock="share_update_exclusive", tables=(table,))
        await work.step("dropped")

    @property
    def _name(self) -> str:
        words = [re.sub(r"\W+", "_", one).strip("_").lower() for one in self.columns]
        return self.name or fitted("_".join([self.table.rpartition(".")[2].strip('"'), *words, "stats"]))

    def _identifier(self, table: Table) -> sql.Identifier:
        return sql.Identifier(table.schema, self._name)
