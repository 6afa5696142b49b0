"""The advice: which indexes to make, which to drop, what that saves, as findings with cures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

import structlog

from milepost.doctor.advisor.choose import choose
from milepost.doctor.advisor.costs import Costs, Unplannable
from milepost.doctor.advisor.index import Index
from milepost.doctor.advisor.planning import PlanningCopy, Size
from milepost.doctor.advisor.pool import Pool, find_useful, make_candidates
from milepost.doctor.advisor.relations import Existing, Relations
from milepost.doctor.advisor.shape_reader import read_shape
from milepost.doctor.advisor.shapes import Shape
from milepost.doctor.advisor.workload import Statement, Workload
from milepost.doctor.advisor.writes import Write, Writes
from milepost.doctor.target import Target
from milepost.errors import MilepostError
from milepost.postgres import EmbeddedServer, dict_row, load_queries

__all__ = ["Advice", "Drop", "Make", "advise", "read_shapes"]

log = structlog.get_logger(__name__)
queries = load_queries(__package__, "advice.sql")


@dataclass(frozen=True, kw_only=True)
class Make:
    """An index to make. size: estimated. leaves: how many partitions get a part of it; 0 if the table has none. helps: what one call of each
    statement costs without and with it, where it saves. saves: of the workload's cost, in the planner's units.
    """

    index: Index
    size: Size
    leaves: int
    helps: Mapping[str, tuple[float, float]]
    saves: float


@dataclass(frozen=True, kw_only=True)
class Drop:
    """An index to drop. instead: the one that does its work, or None if nothing uses it."""

    existing: Existing
    bytes: int
    instead: Index | None


@dataclass(kw_only=True)
class Advice:
    """before, after: the workload's cost in the planner's units. statements: the same of one call of each. skipped: those that have
    no plan in the copy, and why. tables: that the workload
    names. calls: of the planner. asked: costs that were wanted, most of them known already.
    """

    make: tuple[Make, ...] = ()
    drop: tuple[Drop, ...] = ()
    before: float = 0.0
    after: float = 0.0
    statements: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    tables: frozenset[str] = frozenset()
    candidates: int = 0
    useful: int = 0
    calls: int = 0
    asked: int = 0
    seconds: float = 0.0

    @property
    def bytes(self) -> int:
        return sum(one.size.bytes for one in self.make)


async def advise(target: Target, server: EmbeddedServer, workload: Workload, *, budget: int) -> Advice:
    """budget: bytes that new indexes may take. server: where the planning copy lives meanwhile."""
    failed: dict[str, str] = {}
    while True:
        try:
            found = await _advised(target, server, [one for one in workload if one.name not in failed], budget)
        except Unplannable as error:
            # The search began with its cost: what the others are advised must not rest on that.
            failed[str(error.facts["statement"])] = str(error)
        else:
            return replace(found, skipped={**found.skipped, **failed})


async def _advised(target: Target, server: EmbeddedServer, workload: Sequence[Statement], budget: int) -> Advice:
    """Raises `Unplannable` for a statement that fails later than the rest of those that have no plan."""
    began = perf_counter()
    async with PlanningCopy.open(target, server) as copy:
        relations = await Relations.read(copy)
        usage = await _usage(target)
        planned, shapes, skipped, writes = await read_shapes(copy, relations, workload)
        pool = await make_candidates(copy, shapes.values(), relations, trigrams="pg_trgm" in target.extensions)
        known = dict(pool.indexes)
        there = _droppable(relations)
        known |= {name: one.index for name, one in there.items()}
        copy.toggle({name: one.index.existing or "" for name, one in there.items()})
        fixed = {name: one.index for name, one in relations.existing.items() if one.needed}
        costs = Costs(copy, planned, shapes, known, Writes(writes, known, fixed))
        useful = await find_useful(pool, costs, frozenset(there))
        await copy.forget(pool.indexes.keys() - useful.indexes.keys())
        sizes = {name: size.bytes for name, size in useful.sizes.items()}
        rivals = {
            name: frozenset(other for other, one in there.items() if one.index.table == index.table)
            for name, index in useful.indexes.items()
        }
        choice = await choose(costs, sizes, useful.bundles, frozenset(there), budget, useful.alike(), rivals)
        before = await costs.per_statement(frozenset(there))
        dropped = await _drops(costs, there, {name: pool.indexes[name] for name in choice.made}, usage)
        after_set = (frozenset(there) - dropped.keys()) | choice.made
        after = await costs.per_statement(after_set)
        made = [await _make(costs, relations, pool, name, after_set) for name in sorted(choice.made)]
        return Advice(
            make=tuple(made),
            drop=tuple(dropped.values()),
            before=choice.before,
            after=await costs.total(after_set),
            statements={name: (before[name], after[name]) for name in before},
            skipped=skipped,
            missing=copy.missing,
            tables=frozenset[str]().union(*(shape.tables for shape in shapes.values())),
            candidates=len(pool.indexes),
            useful=len(useful.indexes),
            calls=copy.calls,
            asked=costs.asked,
            seconds=perf_counter() - began,
        )


async def read_shapes(
    copy: PlanningCopy, relations: Relations, workload: Sequence[Statement]
) -> tuple[Workload, dict[str, Shape], dict[str, str], tuple[Write, ...]]:
    """The statements that have a plan, what they ask, those that have none and why, and what is written."""
    planned: list[Statement] = []
    shapes: dict[str, Shape] = {}
    skipped: dict[str, str] = {}
    writes: list[Write] = []
    for statement in workload:
        try:
            plan = await copy.explain(statement)
        except MilepostError as error:
            skipped[statement.name] = str(error)
            continue
        shape = read_shape(statement.sql, relations)
        planned.append(statement)
        shapes[statement.name] = shape
        if shape.written is not None:
            table, verb, sets = shape.written
            below = plan.root.get("Plans", [{"Plan Rows": 1}])[0]["Plan Rows"]
            rows = statement.rows if statement.rows is not None else below
            writes.append(Write(table=table, verb=verb, rows=rows * statement.calls, sets=sets))
    return tuple(planned), shapes, skipped, tuple(writes)


def _droppable(relations: Relations) -> dict[str, Existing]:
    """The target's indexes that keep no promise, by the name that plans call them by; two of one name are both kept."""
    by_name: dict[str, list[Existing]] = {}
    for one in relations.existing.values():
        by_name.setdefault(one.index.name.strip('"'), []).append(one)
    return {name: ones[0] for name, ones in by_name.items() if len(ones) == 1 and not ones[0].needed}


async def _usage(target: Target) -> dict[str, int]:
    """How often each index was scanned since the statistics were reset."""
    async with target.reading() as connection:
        await connection.execute("SET search_path = ''")
        cursor = connection.cursor(row_factory=dict_row)
        rows = await (await cursor.execute(queries.usage)).fetchall()
    return {row["name"]: row["scans"] for row in rows}


async def _drops(
    costs: Costs, there: Mapping[str, Existing], made: Mapping[str, Index], usage: Mapping[str, int]
) -> dict[str, Drop]:
    """Those whose work another one does, and those that nobody used; each only if no statement gets dearer without it."""
    shown = frozenset(there) | made.keys()
    now = await costs.per_statement(shown)
    dropped: dict[str, Drop] = {}
    for name, one in sorted(there.items()):
        others = [index for other, index in made.items()]
        others += [other.index for key, other in there.items() if key != name and key not in dropped]
        instead = next((index for index in others if index.serves(one.index)), None)
        if instead is None and usage.get(one.index.existing or "", 1) > 0:
            continue
        without = await costs.per_statement(shown - {name})
        if all(without[statement] <= now[statement] * 1.01 for statement in now):
            shown, now = shown - {name}, without
            dropped[name] = Drop(existing=one, bytes=one.size.bytes, instead=instead)
    return dropped


async def _make(costs: Costs, relations: Relations, pool: Pool, name: str, shown: frozenset[str]) -> Make:
    helps, saves = {}, 0.0
    for statement in costs.concerned(name):
        without = await costs.one(statement, shown - {name})
        cost = await costs.one(statement, shown)
        if cost < without * 0.99:
            helps[statement.name] = (without, cost)
            saves += (without - cost) * statement.calls
    index = pool.indexes[name]
    table = relations.tables[index.table]
    leaves = table.leaves if table.partitioned else 0
    return Make(index=index, size=pool.sizes[name], leaves=leaves, helps=helps, saves=saves)
