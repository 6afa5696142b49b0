"""`set_not_null`: a column that is never null, without reading the table under a lock.

    operation = "set_not_null"
    table = "public.orders"
    column = "status"

A check (`status IS NOT NULL`) is added and validated; with it in place, SET NOT NULL reads no row, and the check is dropped.
"""

from __future__ import annotations

from typing import ClassVar

from milepost.doctor.rollout.columns import require_columns
from milepost.doctor.rollout.names import fitted, split_name
from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations._constraints import add_validated, drop_constraint
from milepost.doctor.rollout.operations._constraints import queries as of_tables
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict
from milepost.postgres import load_queries, sql

__all__ = ["SetNotNull"]

queries = load_queries(__package__, "set_not_null.sql")


class SetNotNull(Operation, frozen=True, kw_only=True):
    """Reversible at any time. A null that is there ends it, and it is rolled back."""

    kind: ClassVar[str] = "set_not_null"
    locks: ClassVar[str] = "ACCESS EXCLUSIVE, briefly; SHARE UPDATE EXCLUSIVE while it validates"

    table: str
    column: str

    def describe(self) -> str:
        return f"make {self.table}.{self.column} not null"

    async def validate(self, work: Work) -> None:
        table = await work.table(self.table)
        require_columns(table, [self.column])
        found = await work.row(of_tables.column, {"table": table.oid, "column": self.column})
        if found is not None and found["not_null"]:
            raise Conflict(f"{table}.{self.column} is not null already.", column=self.column)

    async def start(self, work: Work) -> None:
        condition = sql.SQL("CHECK ({} IS NOT NULL)").format(sql.Identifier(self.column))
        await add_validated(work, await work.table(self.table), self._check(), condition)

    async def complete(self, work: Work) -> None:
        table = await work.table(self.table)
        parts = {"table": table.identifier, "column": sql.Identifier(self.column)}
        if await work.row(of_tables.constraint, {"table": table.oid, "name": self._check()}) is not None:
            await work.briefly(
                sql.SQL(queries.set_not_null).format(**parts),
                sql.SQL(of_tables.drop_constraint).format(table=table.identifier, name=sql.Identifier(self._check())),
                lock="access_exclusive",
                tables=(table,),
                remember={"set": True},
            )
        await work.step("set")

    async def roll_back(self, work: Work) -> None:
        table = await work.table(self.table)
        if "set" in work.memory:
            statement = sql.SQL(queries.drop_not_null).format(table=table.identifier, column=sql.Identifier(self.column))
            await work.briefly(statement, lock="access_exclusive", tables=(table,))
        if "constraint" in work.memory:
            await drop_constraint(work, table, self._check())
        await work.step("dropped")

    def _check(self) -> str:
        return fitted(f"{split_name(self.table)[1]}_{self.column}_rollout_not_null")
