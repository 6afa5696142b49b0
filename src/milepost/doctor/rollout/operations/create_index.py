"""`create_index`: an index, built while reads and writes go on.

    operation = "create_index"
    table = "public.orders"
    columns = ["customer_id", "created_at DESC"]   # a column's name, or an index element as SQL: "lower(email)", "doc jsonb_path_ops"
    include = ["total"]                            # optional, as are all below
    where = "status = 'open'"
    method = "btree"
    unique = false
    with = { fillfactor = 90 }
    name = "orders_customer_id_created_at_idx"     # made from the columns otherwise

It waits for every transaction that was open on the table, and for old snapshots anywhere, but nobody waits for it. A build that was
cancelled, or that found a duplicate, leaves an invalid index: the catalogue is asked, and that one is dropped.
"""

from __future__ import annotations

import re
from typing import ClassVar

import msgspec

from milepost.doctor.rollout.names import Table, fitted
from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations._indexes import drop_concurrently, index_named
from milepost.doctor.rollout.operations._indexes import queries as of_indexes
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict
from milepost.postgres import load_queries, sql

__all__ = ["CreateIndex"]

queries = load_queries(__package__, "create_index.sql")


class CreateIndex(Operation, frozen=True, kw_only=True):
    """Reversible at any time: rolling back drops the index."""

    kind: ClassVar[str] = "create_index"
    locks: ClassVar[str] = "SHARE UPDATE EXCLUSIVE (reads and writes go on)"

    table: str
    columns: list[str]
    include: list[str] = msgspec.field(default_factory=list)
    where: str | None = None
    method: str = "btree"
    unique: bool = False
    storage: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict, name="with")
    name: str | None = None

    def check(self, where: str) -> None:
        if not self.columns:
            raise self.refuse(where, "`columns` is empty.")

    def describe(self) -> str:
        return f"create {'unique ' if self.unique else ''}index {self.name or 'on'} {self.table} ({', '.join(self.columns)})"

    async def validate(self, work: Work) -> None:
        table = await work.table(self.table, ("r", "m"))
        if await work.value(of_indexes.name_taken, {"schema": table.schema, "name": self._name()}):
            raise Conflict(
                f"There is a relation {self._name()} in {table.schema} already: give another `name`.", name=self._name()
            )

    async def start(self, work: Work) -> None:
        table = await work.table(self.table, ("r", "m"))
        schema, name = table.schema, self._name()
        if "index" not in work.memory:
            # Before the build: whoever comes after a kill must know that what is there, valid or not, is ours.
            await work.remember(index=name, schema=schema)

        async def valid() -> bool:
            found = await index_named(work, name, schema)
            return found is not None and found.valid

        async def clear() -> None:
            await drop_concurrently(work, schema, name)

        if not await valid():
            await work.build(self._statement(table), done=valid, clear=clear)
        await work.step("built")

    async def roll_back(self, work: Work) -> None:
        if "index" in work.memory:
            await drop_concurrently(work, work.memory["schema"], work.memory["index"])
        await work.step("dropped")

    def _name(self) -> str:
        """As PostgreSQL would name it, but always the same."""
        if self.name is not None:
            return self.name
        bare = self.table.rpartition(".")[2].strip('"')
        words = [re.sub(r"\W+", "_", column).strip("_").lower() for column in self.columns]
        return fitted("_".join([bare, *words, "idx"]))

    def _statement(self, table: Table) -> sql.Composed:
        def element(text: str) -> sql.Composable:
            return sql.Identifier(text) if text in table.columns else sql.SQL(text)

        rest: list[sql.Composable] = []
        if self.include:
            rest.append(sql.SQL("INCLUDE ({})").format(sql.SQL(", ").join(sql.Identifier(name) for name in self.include)))
        if self.storage:
            pairs = [
                sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in self.storage.items()
            ]
            rest.append(sql.SQL(queries.storage).format(options=sql.SQL(", ").join(pairs)))
        if self.where is not None:
            rest.append(sql.SQL("WHERE {}").format(sql.SQL(self.where)))
        return sql.SQL(queries.build).format(
            unique=sql.SQL("UNIQUE" if self.unique else ""),
            name=sql.Identifier(self._name()),
            table=table.identifier,
            method=sql.Identifier(self.method),
            columns=sql.SQL(", ").join(element(text) for text in self.columns),
            rest=sql.SQL(" ").join(rest),
        )
