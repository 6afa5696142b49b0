"""`drop_index`: an index taken away while reads and writes go on.

    operation = "drop_index"
    index = "public.orders_status_idx"

What started can only remember its definition: PostgreSQL has no switch that hides an index. It is dropped when the rollout completes;
rolling back builds it again, concurrently, which takes as long as it took at first.
"""

from __future__ import annotations

from typing import ClassVar

from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations._indexes import drop_concurrently, index_named
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict, NotFound
from milepost.postgres import load_queries, sql

__all__ = ["DropIndex"]

queries = load_queries(__package__, "drop_index.sql")


class DropIndex(Operation, frozen=True, kw_only=True):
    """Reversible at any time, by building it again."""

    kind: ClassVar[str] = "drop_index"
    locks: ClassVar[str] = "SHARE UPDATE EXCLUSIVE (reads and writes go on)"

    index: str

    def describe(self) -> str:
        return f"drop index {self.index}"

    async def validate(self, work: Work) -> None:
        found = await index_named(work, self.index)
        if found is None:
            raise NotFound(f"There is no index {self.index} here.", index=self.index)
        if found.of_constraint is not None:
            raise Conflict(f"{self.index} is what the constraint {found.of_constraint} rests on: drop that instead.")
        if found.kind == "I" or found.is_identity:
            why = "belongs to a partitioned table" if found.kind == "I" else "is the table's replica identity"
            raise Conflict(f"{self.index} {why}: it cannot be dropped concurrently.")

    async def start(self, work: Work) -> None:
        if "definition" not in work.memory:
            found = await index_named(work, self.index)
            if found is None:
                raise NotFound(f"There is no index {self.index} here.", index=self.index)
            await work.remember(schema=found.schema, index=found.name, definition=found.concurrent_definition)
        await work.step("remembered")

    async def complete(self, work: Work) -> None:
        await drop_concurrently(work, work.memory["schema"], work.memory["index"])
        await work.step("dropped")

    async def roll_back(self, work: Work) -> None:
        if "definition" not in work.memory:
            return
        schema, name = work.memory["schema"], work.memory["index"]

        async def valid() -> bool:
            found = await index_named(work, name, schema)
            return found is not None and found.valid

        async def clear() -> None:
            await drop_concurrently(work, schema, name)

        if not await valid():
            statement = sql.SQL(queries.build_again).format(definition=sql.SQL(work.memory["definition"]))
            await work.build(statement, done=valid, clear=clear)
        await work.step("built again")
