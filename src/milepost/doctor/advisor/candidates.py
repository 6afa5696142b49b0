"""Which indexes might help a workload: per mention of a table, what its lookups, bounds, orders and reads could use.

Columns compared by equality come first (those that most statements compare with in front, so that statements share a prefix), then
one bound or an order; joins give the rest. Each of these also with the other columns that are read (`INCLUDE`), so that the table
need not be visited, and, under a condition with constants, for those rows alone. A candidate is only a question to the planner:
what no plan uses is dropped after one look.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations

from milepost.doctor.advisor.index import Index, plain_key
from milepost.doctor.advisor.relations import Relations, Table
from milepost.doctor.advisor.shapes import Access, Shape

__all__ = ["candidates_of"]

KEYS_MAX = 4
INCLUDED_MAX = 8
INCLUDED_BYTES_MAX = 96
ROWS_MIN = 200  # below, a table is read faster than an index is opened
KINDS_MAX = 32  # values of a column that partial indexes are made for
BRIN_PAGES_MIN = 1024
BRIN_CORRELATION_MIN = 0.9
BRIN_TYPES = frozenset({"D", "N", "T"})  # typcategory: times, numbers, intervals
TEXT = "S"


def candidates_of(shapes: Iterable[Shape], relations: Relations, *, trigrams: bool) -> dict[Index, None]:
    """In the order of their making. trigrams: whether the target has pg_trgm."""
    accesses = [access for shape in shapes for access in shape.accesses if access.table.size.rows >= ROWS_MIN]
    often = Counter((access.table.name, key) for access in accesses for key in (*access.equal, *access.joined))
    there = {one.index.same() for one in relations.existing.values()}
    found: dict[Index, None] = {}
    for access in accesses:
        for index in _of(access, often, trigrams=trigrams):
            if index not in there and _sound(index, access.table):
                found[index] = None
    return found


def _of(access: Access, often: Counter[tuple[str, str]], *, trigrams: bool) -> Iterator[Index]:
    table = access.table.name
    sequences = dict.fromkeys(_sequences(access, often))
    conditions = [(sql, key) for sql, key in access.conditions if _is_kind(access.table, key)]
    for keys in sequences:
        yield Index(table=table, keys=keys)
        if (rest := _rest(access, keys)) is not None:
            yield Index(table=table, keys=keys, include=rest)
        for sql, key in conditions:
            # A column that has one value there orders nothing; alone, it is what is left to be looked up.
            left = tuple(one for one in keys if one != key)
            if left or len(keys) == 1:
                bare = left or keys
                yield Index(table=table, keys=bare, where=sql)
                if (rest := _rest(access, bare)) is not None:
                    yield Index(table=table, keys=bare, include=tuple(one for one in rest if one != key), where=sql)
    for key in access.bounded:
        column = access.table.columns.get(key)
        if (
            column is not None
            and column.category in BRIN_TYPES
            and abs(column.correlation) >= BRIN_CORRELATION_MIN
            and access.table.size.pages >= BRIN_PAGES_MIN
        ):
            yield Index(table=table, keys=(key,), method="brin")
    for key in access.contained:
        yield Index(table=table, keys=(key,), method="gin")
    for key in access.searched if trigrams else ():
        yield Index(table=table, keys=(f"{key} gin_trgm_ops",), method="gin")


def _sequences(access: Access, often: Counter[tuple[str, str]]) -> Iterator[tuple[str, ...]]:
    """Keys in order, the most plain first."""

    def ranked(keys: Iterable[str]) -> list[str]:
        return sorted(keys, key=lambda key: (-often[access.table.name, key], key))

    equal = ranked(access.equal)[:KEYS_MAX]
    joined = ranked(access.joined)
    bounded = [*access.bounded, *(f"{key} text_pattern_ops" for key in access.patterns)]
    for key in (*equal, *joined, *bounded):
        yield (key,)
    tails: list[tuple[str, ...]] = [(key,) for key in bounded]
    tails += [tuple(access.order[:n]) for n in range(1, min(3, len(access.order)) + 1)]
    tails += [tuple(access.grouped[:KEYS_MAX])] if access.grouped else []
    heads: list[tuple[str, ...]] = [(), *((key,) for key in equal), *combinations(equal, 2), tuple(equal)]
    heads += [pair for head in combinations(equal, 2) if (pair := head[::-1])]
    for key in joined:
        heads += [(key,), *((key, one) for one in equal), *((one, key) for one in equal)]
        heads += [(*equal, key), (key, *equal)] if len(equal) > 1 else []
    heads += list(combinations(joined, 2)) + [pair[::-1] for pair in combinations(joined, 2)]
    for head in heads:
        for tail in ((), *tails):
            # An order after its own column is none.
            keys = (*head, *(one for one in tail if plain_key(one) not in head))
            if 0 < len(keys) <= KEYS_MAX:
                yield keys


def _rest(access: Access, keys: tuple[str, ...]) -> tuple[str, ...] | None:
    """What is read beside the keys; None if that is nothing, all, or too much to be kept twice."""
    if access.read is None:
        return None
    plain = {plain_key(key) for key in keys}
    rest = tuple(sorted(name for name in access.read if name not in plain))
    columns = [column for column in access.table.columns.values() if column.quoted in rest]
    if not rest or len(rest) > INCLUDED_MAX or sum(column.width for column in columns) > INCLUDED_BYTES_MAX:
        return None
    return rest


def _is_kind(table: Table, key: str) -> bool:
    """Whether a value of it is a kind of row that will be asked for again, and not one row's own."""
    column = next((one for one in table.columns.values() if one.quoted == key), None)
    return column is not None and (column.distinct <= KINDS_MAX or column.null_frac > 0.5)


def _sound(index: Index, table: Table) -> bool:
    """Whether its columns have an order at all; whether an expression may be indexed, PostgreSQL says when it makes it."""
    if index.method != "btree":
        return True
    known = {column.quoted: column for column in table.columns.values()}
    return all(known[key].sorts for key in (plain_key(k) for k in index.keys) if key in known)
