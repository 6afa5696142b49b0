"""The candidates that some plan really uses, and what the search needs to know of them.

Every statement is planned with many candidates at once: all of them, those that hold all rows, those that do not cover, single columns
alone; and again without what each of those plans used. What no plan used then is left out. So the number of looks grows with the
statements, and not with the candidates.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from milepost.doctor.advisor.candidates import candidates_of
from milepost.doctor.advisor.costs import Costs
from milepost.doctor.advisor.index import Index
from milepost.doctor.advisor.planning import PlanningCopy, Size
from milepost.doctor.advisor.relations import Relations
from milepost.doctor.advisor.shapes import Shape
from milepost.doctor.advisor.sizes import estimated_size
from milepost.doctor.advisor.workload import Statement
from milepost.errors import MilepostError
from milepost.postgres import load_queries

__all__ = ["Pool", "find_useful", "make_candidates"]

queries = load_queries(__package__, "pool.sql")

MADE_MAX = 2000  # indexes in the copy
DEPTH_MAX = 4
SINGLE_DEPTH = 1
PREFIX = "milepost_candidate_"


@dataclass(kw_only=True)
class Pool:
    """indexes, sizes: of candidates by their name in the copy. bundles: sets that a plan used together."""

    indexes: dict[str, Index] = field(default_factory=dict)
    sizes: dict[str, Size] = field(default_factory=dict)
    bundles: set[frozenset[str]] = field(default_factory=set)

    def alike(self) -> dict[str, frozenset[str]]:
        """Of each, the others of its table that have a column with it: one may take the other's place."""
        return {
            name: frozenset(
                other
                for other, there in self.indexes.items()
                if other != name and there.table == index.table and set(there.columns) & set(index.columns)
            )
            for name, index in self.indexes.items()
        }


async def make_candidates(copy: PlanningCopy, shapes: Iterable[Shape], relations: Relations, *, trigrams: bool) -> Pool:
    """All that the shapes suggest, made in the copy. What cannot be indexed (an expression that is not immutable) is left out."""
    pool = Pool()
    found = _bounded(candidates_of(shapes, relations, trigrams=trigrams), relations)
    shares: dict[tuple[str, str], float] = {}
    for number, index in enumerate(found, start=1):
        if index.where is not None and (index.table, index.where) not in shares:
            shares[index.table, index.where] = await _share(copy, index, relations)
        share = shares[index.table, index.where] if index.where is not None else 1.0
        if share <= 0.5 or index.where is None:
            name = f"{PREFIX}{number}"
            pool.indexes[name] = index
            pool.sizes[name] = estimated_size(index, relations.tables[index.table], share)
    failed = await copy.make({name: (index, pool.sizes[name]) for name, index in pool.indexes.items()})
    for name in failed.keys() | await _there_already(copy, relations):
        del pool.indexes[name], pool.sizes[name]
    await copy.describe(_expressions(pool, relations))
    return pool


def _bounded(candidates: Iterable[Index], relations: Relations) -> list[Index]:
    """As many as may be made: an index of a partitioned table is one for each of its leaves."""
    found, made = [], 0
    for index in candidates:
        made += max(1, relations.tables[index.table].leaves)
        if made > MADE_MAX:
            break
        found.append(index)
    return found


async def _there_already(copy: PlanningCopy, relations: Relations) -> set[str]:
    """Candidates that PostgreSQL words as an index of the target: only it can tell, once both are made."""
    there = {one.index.same() for one in relations.existing.values()}
    now = (await Relations.read(copy)).existing.values()
    return {one.index.name for one in now if one.index.name.startswith(PREFIX) and one.index.same() in there}


def _expressions(pool: Pool, relations: Relations) -> Iterator[dict[str, Any]]:
    """Of each key that is an expression: what is known of the first column in it."""
    for name, index in pool.indexes.items():
        columns = relations.tables[index.table].columns.values()
        for number, key in enumerate(index.keys, start=1):
            words = re.findall(r"\w+", key) if key.startswith("(") else ()
            column = next((one for word in words for one in columns if one.name == word), None)
            if column is not None:
                known = {"null_frac": column.null_frac, "width": column.width, "n_distinct": column.distinct}
                yield {"relation": name, "key": number, **known}


async def find_useful(pool: Pool, costs: Costs, there: frozenset[str]) -> Pool:
    """The part of the pool that plans use."""
    known = {index: name for name, index in pool.indexes.items()}
    useful: set[str] = set()
    bundles: set[frozenset[str]] = set()
    for statement in costs.workload:
        mine = costs.may_use(statement) & pool.indexes.keys()
        sets = [used async for used in _used_sets(pool, costs, statement, there, mine)]
        bundles.update(one for one in sets if len(one) > 1)
        # What a useful index would also be without its rest: narrower, and good for more statements.
        used = frozenset[str]().union(*sets)
        narrower = {known[less] for name in used for less in _narrower(pool.indexes[name]) if less in known}
        for name in sorted(used | narrower):
            await costs.one(statement, there | {name})
        useful |= used | narrower
    return Pool(
        indexes={name: index for name, index in pool.indexes.items() if name in useful},
        sizes={name: size for name, size in pool.sizes.items() if name in useful},
        bundles=bundles,
    )


def _narrower(index: Index) -> Iterator[Index]:
    for n in range(1, len(index.keys) + 1):
        yield Index(table=index.table, keys=index.keys[:n], where=index.where, method=index.method)


async def _used_sets(
    pool: Pool, costs: Costs, statement: Statement, there: frozenset[str], mine: frozenset[str]
) -> AsyncIterator[frozenset[str]]:
    """What a statement's plans use: with many candidates, and then with each that was used taken away."""
    await costs.one(statement, there)
    seen: set[frozenset[str]] = set()
    for tier in _tiers(pool, mine):
        left = [tier]
        for depth in range(DEPTH_MAX):
            deeper: list[frozenset[str]] = []
            for shown in left:
                used = await costs.used(statement, there | shown) & mine
                if used in seen or not used:
                    continue
                seen.add(used)
                yield used
                # Without all of it at once where the way is long, else without each.
                deeper += [shown - {name} for name in sorted(used)] if depth < SINGLE_DEPTH else [shown - used]
            left = deeper


def _tiers(pool: Pool, mine: frozenset[str]) -> Iterator[frozenset[str]]:
    whole = {name for name in mine if pool.indexes[name].where is None}
    bare = {name for name in whole if not pool.indexes[name].include}
    yield mine
    yield frozenset(whole)
    yield frozenset(bare)
    yield frozenset(name for name in bare if len(pool.indexes[name].keys) == 1)


async def _share(copy: PlanningCopy, index: Index, relations: Relations) -> float:
    """Of the table's rows, those for which the condition holds, as the planner expects."""
    rows = relations.tables[index.table].size.rows
    looked = Statement(name="share", sql=f"{'SELECT'} FROM {index.table} WHERE {index.where}")
    try:
        return (await copy.explain(looked)).rows / max(rows, 1.0)
    except MilepostError:
        return 1.0  # the planner does not take the condition by itself: no index on it
