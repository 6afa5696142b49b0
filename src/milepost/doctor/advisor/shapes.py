"""What a statement asks of each table: by which columns it looks up, joins, bounds, orders and groups, and which it reads."""

from __future__ import annotations

from dataclasses import dataclass, field

from milepost.doctor.advisor.index import Index, plain_key
from milepost.doctor.advisor.relations import Table

__all__ = ["Access", "Shape"]


@dataclass(kw_only=True)
class Access:
    """One mention of a table. Each list holds SQL of columns (quoted) or of expressions (in parentheses), without repeats.

    order: the columns of an ORDER BY that is this table's alone, with their order. conditions: comparisons with constants, as SQL,
    and the columns in them. read: every column that is needed; None: all. patterns: columns under LIKE with a known beginning.
    """

    table: Table
    equal: list[str] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)
    bounded: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    grouped: list[str] = field(default_factory=list)
    conditions: list[tuple[str, str]] = field(default_factory=list)
    contained: list[str] = field(default_factory=list)
    searched: list[str] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)
    read: set[str] | None = field(default_factory=set)

    def may_use(self, index: Index) -> bool:
        """Whether a plan could: it begins with a key that is asked for, or has all that is read, and holds the rows that are. Of an
        index that is there, PostgreSQL words keys and conditions in its own way: it always could.
        """
        if index.existing is not None:
            return index.table == self.table.name
        if index.table != self.table.name or (
            index.where is not None and all(index.where != sql for sql, _ in self.conditions)
        ):
            return False
        asked = (self.equal, self.joined, self.bounded, self.order, self.grouped, self.contained, self.searched, self.patterns)
        first = plain_key(index.keys[0])
        if any(plain_key(key) == first for keys in asked for key in keys):
            return True
        return index.where is not None or (self.read is not None and self.read <= {plain_key(key) for key in index.columns})


@dataclass(kw_only=True)
class Shape:
    """written: the table that is changed, with `insert`, `update` or `delete`, and the columns that an update sets."""

    accesses: list[Access] = field(default_factory=list)
    written: tuple[str, str, frozenset[str]] | None = None

    @property
    def tables(self) -> frozenset[str]:
        names = {access.table.name for access in self.accesses}
        return frozenset(names | ({self.written[0]} if self.written else set()))

    def may_use(self, index: Index) -> bool:
        return any(access.may_use(index) for access in self.accesses)
