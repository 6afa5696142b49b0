"""`add_column`: a column with a default, without writing the table anew under a lock.

    operation = "add_column"
    table = "public.orders"
    column = "reference"
    type = "uuid"
    default = "gen_random_uuid()"     # optional, as is below; SQL
    not_null = false

A default that is the same for every row is kept in the catalogue. One that is not (`gen_random_uuid()`, `clock_timestamp()`) would make
PostgreSQL write every row under ACCESS EXCLUSIVE: a probe beside the table tells, and then rows are filled in batches.
"""

from __future__ import annotations

from typing import ClassVar

from milepost.doctor.rollout.backfill import backfill
from milepost.doctor.rollout.names import Table
from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations.set_not_null import SetNotNull
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict
from milepost.postgres import load_queries, sql

__all__ = ["AddColumn"]

queries = load_queries(__package__, "add_column.sql")


class AddColumn(Operation, frozen=True, kw_only=True):
    """Reversible at any time; the column's values go with it."""

    kind: ClassVar[str] = "add_column"
    locks: ClassVar[str] = "ACCESS EXCLUSIVE, briefly; rows in batches if each needs its own value"

    table: str
    column: str
    type: str
    default: str | None = None
    not_null: bool = False

    def check(self, where: str) -> None:
        if self.not_null and self.default is None:
            raise self.refuse(where, "a column that is not null needs a `default` for the rows that are there.")

    def describe(self) -> str:
        return f"add column {self.table}.{self.column} {self.type}"

    async def validate(self, work: Work) -> None:
        table = await work.table(self.table)
        if self.column in table.columns:
            raise Conflict(f"{table} has a column {self.column} already.", column=self.column)

    @property
    def adds(self) -> tuple[str, str]:
        return self.table, self.column

    async def start(self, work: Work) -> None:
        table = await work.table(self.table)
        parts = {"table": table.identifier, "column": sql.Identifier(self.column), "type": sql.SQL(self.type)}
        if "added" not in work.memory:
            each = self.default is not None and await self._differs(work)
            words: list[sql.Composable] = (
                [] if self.default is None or each else [sql.SQL("DEFAULT ({})").format(sql.SQL(self.default))]
            )
            words += [sql.SQL("NOT NULL")] if self.not_null and not each else []
            statements = [sql.SQL(queries.add).format(rest=sql.SQL(" ").join(words), **parts)]
            if each:
                statements.append(sql.SQL(queries.set_default).format(value=sql.SQL(f"({self.default})"), **parts))
            await work.briefly(*statements, lock="access_exclusive", tables=(table,), remember={"added": True, "each": each})
        if work.memory["each"]:
            await self._fill(work, table)
            if self.not_null:
                await SetNotNull(table=self.table, column=self.column).start(work)
        await work.step("added")

    async def complete(self, work: Work) -> None:
        if work.memory["each"] and self.not_null:
            await SetNotNull(table=self.table, column=self.column).complete(work)

    async def roll_back(self, work: Work) -> None:
        if "added" in work.memory:
            table = await work.table(self.table)
            statement = sql.SQL(queries.drop).format(table=table.identifier, column=sql.Identifier(self.column))
            await work.briefly(statement, lock="access_exclusive", tables=(table,))
        await work.step("dropped")

    async def _fill(self, work: Work, table: Table) -> None:
        value = sql.SQL(f"({self.default})")
        statement = sql.SQL(queries.fill).format(table=table.identifier, column=sql.Identifier(self.column), value=value)
        await backfill(work, table, statement, f"filling {self.column}")

    async def _differs(self, work: Work) -> bool:
        """Whether PostgreSQL would write every row for this default."""
        add = sql.SQL(queries.probe_add).format(
            column=sql.Identifier(self.column), type=sql.SQL(self.type), value=sql.SQL(f"({self.default})")
        )
        await work.alone(queries.probe)
        try:
            before = await work.value(queries.probe_file)
            await work.alone(add)
            return bool(await work.value(queries.probe_file) != before)
        finally:
            if not work.connection.closed:
                await work.alone(queries.probe_drop)
