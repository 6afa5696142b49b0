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

Of a partitioned table, each partition's index is built so, one after the other; then the table's, which takes over what is there in a moment.
"""

from __future__ import annotations

import re
from typing import ClassVar

import msgspec

from milepost.doctor.rollout.columns import require_columns
from milepost.doctor.rollout.names import Table, fitted
from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations._indexes import drop_concurrently, index_named, leaves
from milepost.doctor.rollout.operations._indexes import queries as of_indexes
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict
from milepost.postgres import load_queries, sql

__all__ = ["CreateIndex"]

queries = load_queries(__package__, "create_index.sql")

KINDS = ("r", "m", "p")


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
        table = await work.table(self.table, KINDS)
        conditions = [] if self.where is None else [self.where]
        require_columns(table, self.include, elements=self.columns, conditions=conditions)
        for place, name in ((table, self._name()), *((leaf, self._name_on(leaf, table)) for leaf in await leaves(work, table))):
            if await work.value(of_indexes.name_taken, {"schema": place.schema, "name": name}):
                raise Conflict(f"There is a relation {name} in {place.schema} already: give another `name`.", name=name)

    async def start(self, work: Work) -> None:
        table = await work.table(self.table, KINDS)
        if "index" not in work.memory:
            # Before the build: whoever comes after a kill must know that what is there, valid or not, is ours.
            await work.remember(index=self._name(), schema=table.schema)
        for leaf in await leaves(work, table):
            await self._build(work, table, leaf)
        if table.kind == "p" and await index_named(work, self._name(), table.schema) is None:
            statement = self._statement(table, self._name(), concurrently=False)
            await work.briefly(statement, lock="share_row_exclusive", tables=(table,))
        await work.step("built")

    async def roll_back(self, work: Work) -> None:
        if "index" in work.memory:
            table = await work.table(self.table, KINDS)
            if table.kind == "p":
                # It takes what was attached with it; what was not yet is dropped below.
                name = sql.Identifier(work.memory["schema"], work.memory["index"])
                await work.briefly(sql.SQL(of_indexes.drop).format(index=name), lock="access_exclusive", tables=(table,))
            for leaf in await leaves(work, table):
                await drop_concurrently(work, leaf.schema, self._name_on(leaf, table))
        await work.step("dropped")

    async def _build(self, work: Work, table: Table, leaf: Table) -> None:
        name = self._name_on(leaf, table)

        async def valid() -> bool:
            found = await index_named(work, name, leaf.schema)
            return found is not None and found.valid

        async def clear() -> None:
            await drop_concurrently(work, leaf.schema, name)

        if not await valid():
            await work.build(self._statement(leaf, name, concurrently=True), done=valid, clear=clear)

    def _name_on(self, leaf: Table, table: Table) -> str:
        """Of the table itself its own; of a partition one that is made from the partition's name."""
        return self._name() if leaf.oid == table.oid else fitted(f"{leaf.name}_{self._name()}")

    def _name(self) -> str:
        """As PostgreSQL would name it, but always the same."""
        if self.name is not None:
            return self.name
        bare = self.table.rpartition(".")[2].strip('"')
        words = [re.sub(r"\W+", "_", column).strip("_").lower() for column in self.columns]
        return fitted("_".join([bare, *words, "idx"]))

    def _statement(self, table: Table, name: str, *, concurrently: bool) -> sql.Composed:
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
            concurrently=sql.SQL("CONCURRENTLY" if concurrently else ""),
            name=sql.Identifier(name),
            table=table.identifier,
            method=sql.Identifier(self.method),
            columns=sql.SQL(", ").join(element(text) for text in self.columns),
            rest=sql.SQL(" ").join(rest),
        )
