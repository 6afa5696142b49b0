"""What a workload costs under a set of indexes, with few looks of the planner.

A statement's cost depends only on indexes that it may use, so it is kept by those. A plan that uses U is possible under every set
that holds U: the cheapest plan known so far whose indexes are all there is the `guess`, never too low. And where a plan that uses U
was the best of a larger set R, it is the best one of every set between U and R: there the guess is the cost. A search guesses, which
takes no planner, and has only what it chooses planned; each new plan makes later guesses better. (The planner drops paths that
are within 1 % of another, so all this holds within that.)

Inside, a set of indexes is a number with a bit for each.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from milepost.doctor.advisor.index import Index
from milepost.doctor.advisor.planning import PlanningCopy
from milepost.doctor.advisor.shapes import Shape
from milepost.doctor.advisor.workload import Statement
from milepost.doctor.advisor.writes import Writes
from milepost.errors import DatabaseUnavailable, MilepostError

__all__ = ["Costs", "Unplannable"]


class Unplannable(MilepostError):
    """A statement of the workload that had a plan has none with some set of indexes. statement: its name."""


@dataclass(kw_only=True)
class Known:
    """Of one statement. mask: the indexes that it may use. plans: (cost, used), the cheapest first. best_of: (used, shown, cost)."""

    mask: int = 0
    plans: list[tuple[float, int]] = field(default_factory=list)
    best_of: dict[int, tuple[int, float]] = field(default_factory=dict)
    guesses: dict[int, float] = field(default_factory=dict)


class Costs:
    """asked: how many costs were wanted; the copy's `calls` says how many of them took the planner."""

    def __init__(
        self,
        copy: PlanningCopy,
        workload: tuple[Statement, ...],
        shapes: Mapping[str, Shape],
        indexes: Mapping[str, Index],
        writes: Writes,
    ) -> None:
        """shapes: by a statement's name. indexes: candidates, and those of the target that are toggled, by the names in plans."""
        self._copy = copy
        self.workload = workload
        self._names = tuple(indexes)
        self._bits = {name: 1 << at for at, name in enumerate(self._names)}
        self._writes = writes
        self._known: dict[str, Known] = {}
        self._concerned: dict[str, list[Statement]] = {name: [] for name in indexes}
        for statement in workload:
            may_use = [name for name, index in indexes.items() if shapes[statement.name].may_use(index)]
            self._known[statement.name] = Known(mask=self._set(may_use))
            for name in may_use:
                self._concerned[name].append(statement)
        self.asked = 0

    def _set(self, names: Iterable[str]) -> int:
        return sum(self._bits[name] for name in set(names))

    def may_use(self, statement: Statement) -> frozenset[str]:
        """The indexes that its plans may have."""
        mask = self._known[statement.name].mask
        return frozenset(name for name, bit in self._bits.items() if mask & bit)

    def concerned(self, name: str) -> list[Statement]:
        """The statements that an index may change."""
        return self._concerned[name]

    async def one(self, statement: Statement, shown: Iterable[str]) -> float:
        """Of one call, in the planner's units."""
        return (await self._plan(statement, shown))[1]

    async def used(self, statement: Statement, shown: Iterable[str]) -> frozenset[str]:
        """Of these indexes, those that its plan uses."""
        used = (await self._plan(statement, shown))[0]
        return frozenset(name for name, bit in self._bits.items() if used & bit)

    async def _plan(self, statement: Statement, shown: Iterable[str]) -> tuple[int, float]:
        self.asked += 1
        known = self._known[statement.name]
        here = self._set(shown) & known.mask
        if here in known.best_of:
            return known.best_of[here]
        for cost, used in known.plans:
            if used & ~here == 0:
                # The cheapest that is possible here: it is the best one if it was so among more.
                if any(here & ~larger == 0 and used == won for larger, (won, _) in known.best_of.items()):
                    known.best_of[here] = used, cost
                    return used, cost
                break
        names = [name for name in self._names if self._bits[name] & here]
        try:
            plan = await self._copy.plan(statement, names)
        except DatabaseUnavailable:
            raise
        except MilepostError as error:
            raise Unplannable(str(error), statement=statement.name) from error
        used = self._set(name for name in plan.used if name in self._bits) & here
        known.best_of[here] = used, plan.cost
        if (plan.cost, used) not in known.plans:
            insort(known.plans, (plan.cost, used))
            known.guesses.clear()
        return used, plan.cost

    def guess(self, statement: Statement, shown: int) -> float:
        """The cost of the best known plan that is possible there. shown: as `bits` has it."""
        known = self._known[statement.name]
        here = shown & known.mask
        found = known.guesses.get(here)
        if found is None:
            found = next((cost for cost, used in known.plans if used & ~here == 0), float("inf"))
            known.guesses[here] = found
        return found

    def bits(self, names: Iterable[str]) -> int:
        """These indexes as the number that `guess` takes."""
        return self._set(names)

    async def per_statement(self, shown: frozenset[str]) -> dict[str, float]:
        """Of one call of each, by name."""
        return {one.name: await self.one(one, shown) for one in self.workload}

    async def total(self, shown: frozenset[str]) -> float:
        """All calls, and what the indexes cost those that write."""
        return sum([await self.one(one, shown) * one.calls for one in self.workload]) + self._writes.cost(shown)

    def writing(self, shown: frozenset[str]) -> float:
        """What these indexes cost the workload's writes."""
        return self._writes.cost(shown)
