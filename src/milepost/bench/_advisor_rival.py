"""Extend, as it was published, for `milepost bench advisor`.

Schlosser, Kossmann, Boissier: "Efficient Scalable Multi-attribute Index Selection Using Recursive Strategies" (ICDE 2019): begin
with no index; in each step either add an index on one attribute or append an attribute to an index that is there, whichever saves
most per byte more; until nothing fits or nothing saves 0.3 %. What writes pay, which the paper leaves out, it is told as we are. As in the authors' own evaluation, attributes are those that statements
compare, join, group or order by, up to four in an index, and the costs of a statement are kept by its relevant indexes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from milepost.doctor.advisor.index import Index, plain_key
from milepost.doctor.advisor.planning import PlanningCopy
from milepost.doctor.advisor.relations import Relations
from milepost.doctor.advisor.shapes import Shape
from milepost.doctor.advisor.sizes import estimated_size
from milepost.doctor.advisor.workload import Statement
from milepost.doctor.advisor.writes import Writes

__all__ = ["Extend"]

SAVES_MIN = 1.003
KEYS_MAX = 4


class Extend:
    """calls: of the planner."""

    def __init__(
        self,
        copy: PlanningCopy,
        relations: Relations,
        workload: tuple[Statement, ...],
        shapes: Mapping[str, Shape],
        writes: Writes,
    ) -> None:
        self._writes = writes
        self._copy = copy
        self._relations = relations
        self._workload = workload
        self._attributes: dict[str, set[tuple[str, str]]] = {}  # of each statement: (table, column)
        for statement in workload:
            asked = self._attributes.setdefault(statement.name, set())
            for access in shapes[statement.name].accesses:
                for keys in (access.equal, access.joined, access.bounded, access.order, access.grouped):
                    plain = {plain_key(key) for key in keys}
                    columns = {column.quoted for column in access.table.columns.values() if column.sorts}
                    asked |= {(access.table.name, key) for key in plain & columns}
        self._names: dict[Index, str] = {}
        self._kept: dict[tuple[str, frozenset[Index]], float] = {}
        self.calls = 0

    async def choose(self, budget: int) -> tuple[frozenset[Index], float]:
        """→ the indexes, and what the workload costs with them."""
        chosen: frozenset[Index] = frozenset()
        cost = await self.cost(chosen)
        while True:
            best, best_ratio = chosen, 0.0
            for new in self._steps(chosen):
                more = self.bytes(new) - self.bytes(chosen)
                if self.bytes(new) > budget:
                    continue
                then = await self.cost(new)
                if cost / max(then, 1e-9) >= SAVES_MIN and (cost - then) / max(more, 1) > best_ratio:
                    best, best_ratio = new, (cost - then) / max(more, 1)
            if best == chosen:
                return chosen, cost
            chosen, cost = best, await self.cost(best)

    def _steps(self, chosen: frozenset[Index]) -> Iterator[frozenset[Index]]:
        attributes = sorted(set[tuple[str, str]]().union(*self._attributes.values()))
        for table, column in attributes:
            yield chosen | {Index(table=table, keys=(column,))}
        for index in sorted(chosen, key=str):
            for table, column in attributes:
                if table == index.table and column not in index.keys and len(index.keys) < KEYS_MAX:
                    yield chosen - {index} | {Index(table=table, keys=(*index.keys, column))}

    def bytes(self, chosen: frozenset[Index]) -> int:
        return sum(estimated_size(index, self._relations.tables[index.table], 1.0).bytes for index in chosen)

    async def cost(self, chosen: frozenset[Index]) -> float:
        """Of the workload."""
        total = self._writes.cost_of(chosen)
        for statement in self._workload:
            asked = self._attributes[statement.name]
            relevant = frozenset(index for index in chosen if any((index.table, key) in asked for key in index.keys))
            key = (statement.name, relevant)
            if key not in self._kept:
                self.calls += 1
                self._kept[key] = (
                    await self._copy.plan(statement, [await self._made(index) for index in sorted(relevant, key=str)])
                ).cost
            total += self._kept[key] * statement.calls
        return total

    async def _made(self, index: Index) -> str:
        if index not in self._names:
            self._names[index] = f"extend_{len(self._names)}"
            size = estimated_size(index, self._relations.tables[index.table], 1.0)
            assert not await self._copy.make({self._names[index]: (index, size)})
        return self._names[index]
