"""What indexes cost those who write, in the planner's units, so that it can be weighed against what they save.

A row that goes into a table goes into each of its indexes. An update whose columns no index holds leaves all of them alone (HOT);
one that sets a column of a single index writes to every index of the table. That is the price of an index on what changes often,
and the planner knows nothing of it.

ROW_COST is what one entry costs in each kind of index: an estimate, with a B-tree's as the unit. GIN takes one for each of its entries.
`--prove` measures what writes really cost, on a copy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from milepost.doctor.advisor.index import Index

__all__ = ["Write", "Writes"]

ROW_COST = {"btree": 1.0, "gin": 8.0, "brin": 0.02, "hash": 1.0, "gist": 2.0, "spgist": 2.0}


@dataclass(frozen=True, kw_only=True)
class Write:
    """rows: in all calls. sets: the columns of an update, as their names are; of what inserts or deletes, nothing."""

    table: str
    verb: str
    rows: float
    sets: frozenset[str]


class Writes:
    """indexes: by name, those made later included."""

    def __init__(self, writes: tuple[Write, ...], indexes: Mapping[str, Index], fixed: Mapping[str, Index]) -> None:
        """fixed: indexes that are there whatever is shown."""
        self._writes = writes
        self._indexes = indexes
        self._fixed = tuple(fixed.values())
        self._entries: dict[Index, list[tuple[float, bool]]] = {}  # of each write: what one entry costs, whether it makes one

    def cost(self, shown: frozenset[str]) -> float:
        """Of all writes of the workload, in the planner's units."""
        return self.cost_of(self._indexes[name] for name in shown)

    def cost_of(self, indexes: Iterable[Index]) -> float:
        """The same of indexes themselves, which none of those by name need to be."""
        sums = [0.0] * len(self._writes)
        changed = [False] * len(self._writes)
        for index in (*indexes, *self._fixed):
            for at, (cost, made) in enumerate(self._entries_of(index)):
                sums[at] += cost
                changed[at] |= made
        return sum(total for total, one in zip(sums, changed, strict=True) if one)

    def _entries_of(self, index: Index) -> list[tuple[float, bool]]:
        if index not in self._entries:
            self._entries[index] = [
                # Entries of rows that are deleted are left to vacuum.
                (write.rows * ROW_COST.get(index.method, 1.0), write.verb != "update" or _holds(index, write.sets))
                if write.table == index.table and write.verb != "delete"
                else (0.0, False)
                for write in self._writes
            ]
        return self._entries[index]


def _holds(index: Index, columns: frozenset[str]) -> bool:
    """Whether an update of these makes new entries. BRIN keeps updates HOT (since PostgreSQL 16)."""
    words = set(re.findall(r"\w+", " ".join((*index.columns, index.where or ""))))
    return index.method != "brin" and any(set(re.findall(r"\w+", column)) <= words for column in columns)
