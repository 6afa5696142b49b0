"""`create_partitions`: partitions of a table by range, made ahead or in a gap, while it is used.

    operation = "create_partitions"
    table = "public.event"
    bounds = ["2026-01-01", "2026-02-01", "2026-03-01"]    # between two of them lies one partition

A partition is made beside the table and then attached, which lets reads and writes of the others go on. Its indexes, keys and
triggers are the table's. One transaction for each: killed between two, the next run makes the rest.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations._bounds import Bound, listed, literals, partition_name, said
from milepost.doctor.rollout.operations._indexes import queries as of_indexes
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict
from milepost.postgres import load_queries, sql

__all__ = ["CreatePartitions"]

queries = load_queries(__package__, "create_partitions.sql")


class CreatePartitions(Operation, frozen=True, kw_only=True):
    """Reversible as long as they are empty."""

    kind: ClassVar[str] = "create_partitions"
    locks: ClassVar[str] = "SHARE UPDATE EXCLUSIVE (reads and writes go on); ACCESS EXCLUSIVE, briefly, on a DEFAULT partition"

    table: str
    bounds: list[Bound]

    def check(self, where: str) -> None:
        if len(self.bounds) < 2:
            raise self.refuse(where, "`bounds` has two at least: where the first partition begins, and where it ends.")

    def describe(self) -> str:
        return (
            f"create {len(self.bounds) - 1} partitions of {self.table} from {said(self.bounds[0])} to {said(self.bounds[-1])}"
        )

    async def validate(self, work: Work) -> None:
        table = await work.table(self.table, ("p",))
        found = await work.row(queries.partitioned, {"table": table.oid})
        assert found is not None
        if found["strategy"] != "r" or any(len(listed(bound)) != found["columns"] for bound in self.bounds):
            raise Conflict(
                f"{table} is partitioned by {found['key']}: bounds are of a range, with {found['columns']} values each."
            )
        for lower, _ in pairwise(self.bounds):
            name = partition_name(table, lower)
            if await work.value(of_indexes.name_taken, {"schema": table.schema, "name": name}):
                raise Conflict(f"There is a relation {name} in {table.schema} already.", name=name)

    async def start(self, work: Work) -> None:
        table = await work.table(self.table, ("p",))
        for lower, upper in pairwise(self.bounds):
            name = partition_name(table, lower)
            if name in work.memory:
                continue
            parts: dict[str, Any] = {"partition": sql.Identifier(table.schema, name), "table": table.identifier}
            owner = sql.Identifier(await work.value(queries.owner, {"table": table.oid}))
            await work.briefly(
                sql.SQL(queries.create).format(**parts),
                sql.SQL(queries.give).format(owner=owner, **parts),
                sql.SQL(queries.attach).format(lower=literals(lower), upper=literals(upper), **parts),
                lock="access_exclusive",
                tables=(table,),
                remember={name: True},
            )
            await work.step(f"attached {name}")

    async def roll_back(self, work: Work) -> None:
        for lower, _ in pairwise(self.bounds):
            table = await work.table(self.table, ("p",))
            name = partition_name(table, lower)
            if work.memory.get(name):
                partition = sql.Identifier(table.schema, name)
                await work.briefly(
                    sql.SQL(queries.must_be_empty).format(partition=partition),
                    sql.SQL(queries.drop).format(partition=partition),
                    lock="access_exclusive",
                    tables=(table,),
                    remember={name: False},
                )
        await work.step("dropped")
