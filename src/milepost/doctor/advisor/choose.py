"""Choosing indexes under a budget: the steps of Extend with more kinds of step, taken on guesses and confirmed by the planner.

Extend (Schlosser, Kossmann, Boissier: "Efficient Scalable Multi-attribute Index Selection Using Recursive Strategies", ICDE 2019)
adds in each step the index, or the attribute at the end of a chosen one, that saves most per byte. Here a step is also a whole set
that one statement's best plan uses together (a join is often helped by two indexes and by neither alone), or the change of an index
for another one of its table; and when nothing more fits, the set is tried without each of its indexes, and grown again.

Steps are weighed by guesses (see `costs`), which take no planner. What is chosen is planned; so is each single index more, and each
less, beside it. Plans that were not known then make other guesses, and the search begins anew, until nothing new is found.

Three rules hold for what is answered: no statement is dearer than without advice (the veto), no index stays that saves less than
it costs, and none that only does a little better what an index of the target does (`EXCHANGE_MIN`): that little is often no more than
a page that the planner's rounding counts for the one and not for the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from milepost.doctor.advisor.costs import Costs

__all__ = ["Choice", "choose"]

SAVES_MIN = 1e-3  # of what the workload costs by then: what one step must save at least
DEARER_MAX = 1.01  # of a statement's cost: the planner itself tells no less apart
EXCHANGE_MIN = 0.03  # of what the workload costs, or half of a statement: what an index must save that takes the place of one of the target
ROUNDS_MAX = 8
EXCHANGES_MAX = 20


@dataclass(frozen=True, kw_only=True)
class Choice:
    """made: names. before, after: the workload's cost. bytes: of what is made. rounds: how often the search began anew."""

    made: frozenset[str]
    before: float
    after: float
    bytes: int
    rounds: int


async def choose(
    costs: Costs,
    sizes: Mapping[str, int],
    bundles: Iterable[frozenset[str]],
    there: frozenset[str],
    budget: int,
    alike: Mapping[str, frozenset[str]],
    rivals: Mapping[str, frozenset[str]],
) -> Choice:
    """sizes: bytes of each candidate. bundles: sets that plans use together. there: indexes of the target. alike: to each candidate
    those of its table that may take its place. rivals: to each candidate the target's indexes of its table.
    """
    before = await costs.total(there)
    single = await costs.per_statement(there)
    # In an order of their own, so that the same question has the same answer.
    moves = list(dict.fromkeys([*(frozenset({name}) for name in sizes), *sorted(bundles, key=sorted)]))
    best, best_cost = frozenset[str](), before
    rounds = 0
    while rounds < ROUNDS_MAX:
        rounds += 1
        search = _Search(costs, sizes, there, budget)
        chosen = search.exchange(search.grow(best, moves, alike), moves, alike)
        chosen = await _without_regressions(costs, there, chosen, single)
        cost = await costs.total(there | chosen)
        if cost < best_cost:
            best, best_cost = chosen, cost
        asked = await _look_around(costs, there, best, sizes, budget)
        if chosen == best and not asked:
            break
    for name in sorted(best, key=lambda one: (-sizes[one], one)):
        with_it, without = there | best, there | (best - {name})
        least = EXCHANGE_MIN * before if await _only_exchanges(costs, name, without, rivals.get(name, frozenset())) else 0.0
        if await costs.total(without) - await costs.total(with_it) <= least:
            best -= {name}
    after = await costs.total(there | best)
    return Choice(made=best, before=before, after=after, bytes=sum(sizes[name] for name in best), rounds=rounds)


async def _look_around(
    costs: Costs, there: frozenset[str], chosen: frozenset[str], sizes: Mapping[str, int], budget: int
) -> bool:
    """Plans the choice with each one more that fits, where that might help. → whether some plan is better than was guessed."""
    news = False
    most = await costs.per_statement(there | sizes.keys())
    now = await costs.per_statement(there | chosen)
    room = budget - sum(sizes[name] for name in chosen)
    least = SAVES_MIN * await costs.total(there | chosen)
    for name in sorted(sizes.keys() - chosen):
        # What it could save at most: no statement gets cheaper than with every candidate at once.
        hope = sum((now[one.name] - most[one.name]) * one.calls for one in costs.concerned(name))
        if sizes[name] > room or hope < least:
            continue
        shown = there | chosen | {name}
        for one in costs.concerned(name):
            if (now[one.name] - most[one.name]) * one.calls >= least / 4:
                guessed = costs.guess(one, costs.bits(shown))
                news |= await costs.one(one, shown) < guessed * 0.99
    return news


async def _only_exchanges(costs: Costs, name: str, without: frozenset[str], rivals: frozenset[str]) -> bool:
    """Does each statement that an index helps make do without it by an index of the target, at less than twice the cost?"""
    for one in costs.concerned(name):
        dear, cheap = await costs.one(one, without), await costs.one(one, without | {name})
        if cheap < dear and (cheap <= dear / 2 or not rivals & await costs.used(one, without)):
            return False
    return True


async def _without_regressions(
    costs: Costs, there: frozenset[str], chosen: frozenset[str], before: Mapping[str, float]
) -> frozenset[str]:
    """Leaves out what a statement's plan uses that is dearer than without advice."""
    for statement in costs.workload:
        while await costs.one(statement, there | chosen) > before[statement.name] * DEARER_MAX:
            used = await costs.used(statement, there | chosen) & chosen
            if not used:
                break
            chosen -= used
    return chosen


@dataclass(frozen=True, kw_only=True)
class Step:
    """out, into: what goes and what comes. more: bytes that it takes."""

    out: frozenset[str]
    into: frozenset[str]
    more: int


class _Search:
    """On guesses alone."""

    def __init__(self, costs: Costs, sizes: Mapping[str, int], there: frozenset[str], budget: int) -> None:
        self._costs = costs
        self._sizes = sizes
        self._there = there
        self._budget = budget

    def bytes(self, chosen: frozenset[str]) -> int:
        return sum(self._sizes[name] for name in chosen)

    def total(self, chosen: frozenset[str]) -> float:
        shown = self._costs.bits(self._there | chosen)
        reads = sum(self._costs.guess(one, shown) * one.calls for one in self._costs.workload)
        return reads + self._costs.writing(self._there | chosen)

    def saved(self, old: frozenset[str], new: frozenset[str]) -> float:
        """What the workload saves by `new` over `old`."""
        was, now = self._costs.bits(self._there | old), self._costs.bits(self._there | new)
        statements = {one.name: one for name in old ^ new for one in self._costs.concerned(name)}
        saved = sum((self._costs.guess(one, was) - self._costs.guess(one, now)) * one.calls for one in statements.values())
        return saved + self._costs.writing(self._there | old) - self._costs.writing(self._there | new)

    def grow(self, chosen: frozenset[str], moves: list[frozenset[str]], alike: Mapping[str, frozenset[str]]) -> frozenset[str]:
        """Takes the step that saves most per byte, until nothing fits or helps.

        A step's saving mostly shrinks as others are taken, so steps are weighed in the order of what they last saved, and the first
        one that keeps its place is taken.
        """
        past: dict[Step, float] = {}
        while True:
            least = SAVES_MIN * self.total(chosen)
            steps = sorted(
                self._steps(chosen, moves, alike), key=lambda step: -past.get(step, float("inf")) / max(step.more, 1)
            )
            best, best_ratio = chosen, 0.0
            for step in steps:
                if past.get(step, float("inf")) / max(step.more, 1) <= best_ratio:
                    break
                new = (chosen - step.out) | step.into
                past[step] = self.saved(chosen, new)
                if past[step] >= least and past[step] / max(step.more, 1) > best_ratio:
                    best, best_ratio = new, past[step] / max(step.more, 1)
            if best == chosen:
                return self.prune(chosen)
            chosen = best

    def _steps(
        self, chosen: frozenset[str], moves: list[frozenset[str]], alike: Mapping[str, frozenset[str]]
    ) -> Iterable[Step]:
        room = self._budget - self.bytes(chosen)
        for move in moves:
            into = move - chosen
            if not into:
                continue
            more = self.bytes(into)
            if more <= room:
                yield Step(out=frozenset(), into=into, more=more)
            for old in sorted(frozenset[str]().union(*(alike.get(name, frozenset()) for name in into)) & chosen - into):
                if more - self._sizes[old] <= room:
                    yield Step(out=frozenset({old}), into=into, more=more - self._sizes[old])

    def prune(self, chosen: frozenset[str]) -> frozenset[str]:
        """Leaves out what later steps made needless, the one that saves least per byte first."""
        while True:
            least = SAVES_MIN / 4 * self.total(chosen)
            worth = {name: self.saved(chosen - {name}, chosen) for name in sorted(chosen)}
            needless = [name for name, saved in worth.items() if saved < least]
            if not needless:
                return chosen
            chosen -= {min(needless, key=lambda name: (worth[name] / self._sizes[name], name))}

    def exchange(
        self, chosen: frozenset[str], moves: list[frozenset[str]], alike: Mapping[str, frozenset[str]]
    ) -> frozenset[str]:
        """Tries the set without each index, grown again with others; what saves more in all is kept."""
        tried: set[frozenset[str]] = set()
        for _ in range(EXCHANGES_MAX):
            for name in sorted(chosen, key=lambda one: (-self._sizes[one], one)):
                without = chosen - {name}
                if without in tried:
                    continue
                tried.add(without)
                other = self.grow(without, [move for move in moves if name not in move], alike)
                if self.saved(chosen, other) > SAVES_MIN * self.total(chosen):
                    chosen = other
                    break
            else:
                return chosen
        return chosen
