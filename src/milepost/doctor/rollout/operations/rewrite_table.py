"""`rewrite_table`: a bloated table and its indexes written anew, without what deletes and updates left, while it is used.

    operation = "rewrite_table"
    table = "public.orders"

What VACUUM FULL does under a lock for as long as it takes, and pg_repack and pg_squeeze without. Started: an empty twin is made, kept in step by
triggers in the same transaction, filled in batches, and indexed; both are compared by hashes of their rows; then they change names in one
short transaction. Completed: the old one is dropped. The twin is as `partition_table` has it (`_twin_table`), without partitions.

Storage parameters are the table's own: give it a lower fillfactor before (`set_options`), and its pages have that room. Columns that were
dropped are gone from the rows, too.
"""

from __future__ import annotations

from typing import ClassVar

from milepost.doctor.rollout.names import Table, fitted
from milepost.doctor.rollout.operations._indexes import drop_concurrently, index_named
from milepost.doctor.rollout.operations._swap import NEW, index_definition
from milepost.doctor.rollout.operations._swap import queries as of_twins
from milepost.doctor.rollout.operations._twin_table import TwinTable
from milepost.doctor.rollout.work import Statement, Work
from milepost.errors import Conflict
from milepost.postgres import load_queries, sql

__all__ = ["RewriteTable"]

queries = load_queries(__package__, "rewrite_table.sql")


class RewriteTable(TwinTable, frozen=True, kw_only=True):
    """Reversible until it is completed."""

    kind: ClassVar[str] = "rewrite_table"
    final: ClassVar[str] = "the table as it was is dropped."

    def describe(self) -> str:
        return f"write {self.table} anew"

    async def validate(self, work: Work) -> None:
        table = await work.table(self.table, ("r",))
        if await work.row(queries.key, {"table": table.oid}) is None:
            raise Conflict(f"{table} has no primary key: by the key it is kept in step.")
        if hindrances := await self._hindrances(work, table):
            raise Conflict(f"{table} cannot be written anew: {'; '.join(hindrances)}.")
        await self._refuse_taken(work, table)

    async def _key(self, work: Work, table: Table) -> list[str]:
        return list(await work.value(queries.key, {"table": table.oid}))

    async def _definition(self, work: Work, table: Table, twin: sql.Identifier) -> list[Statement]:
        facts = await work.row(of_twins.facts, {"table": table.oid})
        assert facts is not None
        storage = sql.SQL(of_twins.storage).format(options=sql.SQL(facts["options"])) if facts["options"] else sql.SQL("")
        place = (
            sql.SQL(queries.tablespace).format(name=sql.Identifier(facts["tablespace"])) if facts["tablespace"] else sql.SQL("")
        )
        parts = {"method": sql.Identifier(facts["method"]), "storage": storage, "tablespace": place}
        made: list[Statement] = [
            sql.SQL(of_twins.make_missed).format(missed=self._names(table).missed),
            sql.SQL(queries.make).format(copy=twin, table=table.identifier, **parts),
            sql.SQL(of_twins.give).format(table=twin, owner=sql.Identifier(facts["owner"])),
        ]
        for one in await work.rows(of_twins.indexes, {"table": table.oid, "attnum": 0}):
            name = fitted(one["name"] + NEW)
            if one["constraint_definition"] is not None:
                definition = sql.SQL(one["constraint_definition"])
                made.append(
                    sql.SQL(of_twins.add_constraint).format(table=twin, name=sql.Identifier(name), definition=definition)
                )
            elif one["unique"]:
                made.append(index_definition(one["definition"], True, name, twin, None))
        return made

    async def _finish(self, work: Work, table: Table) -> None:
        """Indexes that keep no rows apart."""
        twin = self._names(table).beside(NEW)
        for one in await work.rows(of_twins.indexes, {"table": table.oid, "attnum": 0}):
            if not one["unique"]:
                await self._build(work, table, twin, fitted(one["name"] + NEW), one["definition"].partition(" USING ")[2])
        await work.step("indexed")

    async def _build(self, work: Work, table: Table, twin: sql.Identifier, name: str, rest: str) -> None:
        async def valid() -> bool:
            found = await index_named(work, name, table.schema)
            return found is not None and found.valid

        async def clear() -> None:
            await drop_concurrently(work, table.schema, name)

        if not await valid():
            statement = sql.SQL(queries.build).format(name=sql.Identifier(name), table=twin, rest=sql.SQL(rest))
            await work.build(statement, done=valid, clear=clear)
