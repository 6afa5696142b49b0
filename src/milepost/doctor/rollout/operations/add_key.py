"""`add_key`: a primary key or a unique constraint, without reading the table under a lock.

    operation = "add_key"
    table = "public.orders"
    columns = ["order_id"]
    primary = true                # optional, as is below; without it, a unique constraint
    name = "orders_pkey"

A unique index is built concurrently, which the constraint takes over in a moment; columns of a primary key that may be null are made NOT NULL
before, as `set_not_null` does. A row that is there twice, or has a null, ends it.
"""

from __future__ import annotations

from typing import ClassVar

from milepost.doctor.rollout.columns import require_columns
from milepost.doctor.rollout.names import Table, fitted, split_name
from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations._constraints import drop_constraint, refuse_taken
from milepost.doctor.rollout.operations._constraints import queries as of_tables
from milepost.doctor.rollout.operations._indexes import queries as of_indexes
from milepost.doctor.rollout.operations.create_index import CreateIndex
from milepost.doctor.rollout.operations.set_not_null import SetNotNull
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict
from milepost.postgres import load_queries, sql

__all__ = ["AddKey"]

queries = load_queries(__package__, "add_key.sql")


class AddKey(Operation, frozen=True, kw_only=True):
    """Reversible at any time."""

    kind: ClassVar[str] = "add_key"
    locks: ClassVar[str] = "ACCESS EXCLUSIVE, briefly; SHARE UPDATE EXCLUSIVE while it builds"

    table: str
    columns: list[str]
    primary: bool = False
    name: str | None = None

    def check(self, where: str) -> None:
        if not self.columns:
            raise self.refuse(where, "`columns` is empty.")

    def describe(self) -> str:
        return f"add {'primary key' if self.primary else 'unique constraint'} to {self.table} ({', '.join(self.columns)})"

    async def validate(self, work: Work) -> None:
        table = await work.table(self.table, ("r",))
        require_columns(table, self.columns)
        if self.primary and await work.value(queries.has_primary, {"table": table.oid}):
            raise Conflict(f"{table} has a primary key already.")
        await refuse_taken(work, table, self._name())
        for name in (self._name(), self._index().name):
            if await work.value(of_indexes.name_taken, {"schema": table.schema, "name": name}):
                raise Conflict(f"There is a relation {name} in {table.schema} already: give another `name`.", name=name)

    async def start(self, work: Work) -> None:
        table = await work.table(self.table, ("r",))
        if "nullable" not in work.memory:
            await work.remember(nullable=await self._nullable(work, table) if self.primary else [])
        for column in work.memory["nullable"]:
            if column in await self._nullable(work, table):
                await SetNotNull(table=self.table, column=column).start(work)
                await SetNotNull(table=self.table, column=column).complete(work)
        if "added" not in work.memory:
            await self._index().start(work)
            statement = sql.SQL(queries.add).format(
                table=table.identifier,
                name=sql.Identifier(self._name()),
                kind=sql.SQL("PRIMARY KEY" if self.primary else "UNIQUE"),
                index=sql.Identifier(str(self._index().name)),
            )
            await work.briefly(statement, lock="access_exclusive", tables=(table,), remember={"added": True})
        await work.step("added")

    async def roll_back(self, work: Work) -> None:
        table = await work.table(self.table, ("r",))
        if "added" in work.memory:
            await drop_constraint(work, table, self._name())
        else:
            await self._index().roll_back(work)
        for column in work.memory.get("nullable", ()):
            await SetNotNull(table=self.table, column=column).roll_back(work)
        await work.step("dropped")

    async def _nullable(self, work: Work, table: Table) -> list[str]:
        found = {one: await work.row(of_tables.column, {"table": table.oid, "column": one}) for one in self.columns}
        return [name for name, row in found.items() if row is not None and not row["not_null"]]

    def _index(self) -> CreateIndex:
        """Until the constraint takes it over, and gives it its name."""
        return CreateIndex(table=self.table, columns=self.columns, unique=True, name=fitted(f"{self._name()}_rollout"))

    def _name(self) -> str:
        """As PostgreSQL would name it, but always the same."""
        bare = split_name(self.table)[1]
        return self.name or fitted("_".join([bare, "pkey"] if self.primary else [bare, *self.columns, "key"]))
