"""`partition_table`: a plain table becomes one that is partitioned by range, while it is used.

    operation = "partition_table"
    table = "public.orders"
    by = "created_at"                                                 # a column that is never null
    bounds = ["MINVALUE", "2026-01-01", "2026-02-01", "MAXVALUE"]     # between two of them lies one partition
    widen_keys = false                                                # optional: see below

Started: an empty partitioned twin is made, with the table's constraints, indexes and foreign keys; triggers write to it whatever is
written to the table, in the same transaction; rows are copied in batches; both are compared by hashes of their rows; then the two change
names in one short transaction, in which sequences, rights, policies, triggers and foreign keys of others move, too. From then on the old
table is kept in step, so that the way back loses nothing. Completed: the old one is dropped.

Unique over all partitions is only what contains the column. A key that does not is refused, unless `widen_keys` adds the column to it: then
PostgreSQL no longer sees that an order's number is there twice, with two dates.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

from milepost.doctor.rollout.columns import require_columns
from milepost.doctor.rollout.names import Table, fitted
from milepost.doctor.rollout.operations._bounds import Bound, listed, literals, partition_name, said
from milepost.doctor.rollout.operations._swap import NEW, index_definition, widened
from milepost.doctor.rollout.operations._swap import queries as of_twins
from milepost.doctor.rollout.operations._twin_table import TwinTable
from milepost.doctor.rollout.work import Statement, Work
from milepost.errors import Conflict
from milepost.postgres import load_queries, sql

__all__ = ["PartitionTable"]

queries = load_queries(__package__, "partition_table.sql")


class PartitionTable(TwinTable, frozen=True, kw_only=True):
    """Reversible until it is completed."""

    kind: ClassVar[str] = "partition_table"
    final: ClassVar[str] = "the plain table is dropped."

    by: str
    bounds: list[Bound]
    widen_keys: bool = False

    def check(self, where: str) -> None:
        if len(self.bounds) < 2 or any(len(listed(bound)) != 1 for bound in self.bounds):
            raise self.refuse(
                where, "`bounds` has two at least, each of one value: where the first partition begins, and where it ends."
            )

    def describe(self) -> str:
        ends = f"{said(self.bounds[0])} to {said(self.bounds[-1])}"
        return f"partition {self.table} by {self.by} into {len(self.bounds) - 1}, from {ends}"

    async def validate(self, work: Work) -> None:
        table = await work.table(self.table, ("r",))
        require_columns(table, [self.by])
        key = await work.row(queries.key, {"table": table.oid, "by": self.by})
        if key is None:
            raise Conflict(f"{table} has no primary key: by the key it is kept in step.")
        if not key["not_null"]:
            raise Conflict(f"{table}.{self.by} may be null: make it NOT NULL first (set_not_null).")
        given = {"table": table.oid, "by": self.by, "attnum": key["attnum"], "widen": self.widen_keys}
        hindrances = [*await self._hindrances(work, table), *(row["why"] for row in await work.rows(queries.hindrances, given))]
        if hindrances:
            raise Conflict(f"{table} cannot be partitioned so: {'; '.join(hindrances)}.")
        await self._refuse_taken(work, table, *(partition_name(table, lower) for lower, _ in pairwise(self.bounds)))

    async def _key(self, work: Work, table: Table) -> list[str]:
        key = await work.row(queries.key, {"table": table.oid, "by": self.by})
        assert key is not None
        return list(dict.fromkeys([*key["columns"], self.by]))

    async def _definition(self, work: Work, table: Table, twin: sql.Identifier) -> list[Statement]:
        given: dict[str, Any] = {"table": table.oid}
        facts = await work.row(of_twins.facts, given)
        key = await work.row(queries.key, {**given, "by": self.by})
        assert facts is not None and key is not None
        owner = sql.Identifier(facts["owner"])
        options = sql.SQL(of_twins.storage).format(options=sql.SQL(facts["options"])) if facts["options"] else sql.SQL("")
        by = sql.Identifier(self.by)
        made: list[Statement] = [
            sql.SQL(of_twins.make_missed).format(missed=self._names(table).missed),
            sql.SQL(queries.make).format(copy=twin, table=table.identifier, by=by),
            sql.SQL(of_twins.give).format(table=twin, owner=owner),
        ]
        for lower, upper in pairwise(self.bounds):
            partition = sql.Identifier(table.schema, partition_name(table, lower))
            ends = {"lower": literals(lower), "upper": literals(upper)}
            made.append(sql.SQL(queries.make_partition).format(partition=partition, copy=twin, storage=options, **ends))
            made.append(sql.SQL(of_twins.give).format(table=partition, owner=owner))
        for one in await work.rows(of_twins.indexes, {**given, "attnum": key["attnum"]}):
            name, more = fitted(one["name"] + NEW), self.by if one["unique"] and not one["contains"] else None
            if one["constraint_definition"] is None:
                made.append(index_definition(one["definition"], one["unique"], name, twin, more))
            else:
                definition = sql.SQL(widened(one["constraint_definition"], more))
                parts = {"table": twin, "name": sql.Identifier(name), "definition": definition}
                made.append(sql.SQL(of_twins.add_constraint).format(**parts))
        return made
