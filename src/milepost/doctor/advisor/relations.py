"""The tables and indexes of a planning copy, with what the statistics say of each column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from milepost.doctor.advisor.index import Index
from milepost.doctor.advisor.planning import PlanningCopy, Size
from milepost.postgres import dict_row, load_queries

__all__ = ["Column", "Existing", "Relations", "Table"]

queries = load_queries(__package__, "relations.sql")

DESCENDING, NULLS_FIRST = 1, 2  # bits of pg_index.indoption


@dataclass(frozen=True, kw_only=True)
class Column:
    """width: bytes on average where it is not null. distinct: values among the table's rows. length: as pg_type's typlen."""

    name: str
    quoted: str
    type: str
    category: str
    width: int
    length: int
    align: str
    distinct: float
    null_frac: float
    correlation: float
    dedups: bool
    sorts: bool


@dataclass(frozen=True, kw_only=True)
class Table:
    """name: qualified and quoted, as PostgreSQL prints it. leaves: how many tables hold its rows."""

    name: str
    schema: str
    relname: str
    partitioned: bool
    leaves: int
    size: Size
    columns: Mapping[str, Column] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Existing:
    """An index of the target. needed: it keeps a promise, and is never dropped. definition: the statement that makes it again."""

    index: Index
    pages: int
    needed: bool
    definition: str

    @property
    def size(self) -> Size:
        return Size(pages=self.pages, rows=0)


class Relations:
    """tables: by qualified name. existing: the target's indexes by qualified name."""

    def __init__(self, tables: Mapping[str, Table], existing: Mapping[str, Existing]) -> None:
        self.tables = tables
        self.existing = existing
        self._by_name: dict[str, list[Table]] = {}
        for table in tables.values():
            self._by_name.setdefault(table.relname, []).append(table)

    def find(self, schema: str, relname: str) -> Table | None:
        """The table that a statement names; without a schema that of `public`, or the only one of that name."""
        named = [table for table in self._by_name.get(relname, ()) if not schema or table.schema == schema]
        if len(named) > 1:
            named = [table for table in named if table.schema == "public"]
        return named[0] if named else None

    @classmethod
    async def read(cls, copy: PlanningCopy) -> Relations:
        async with copy.catalogue() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            tables = await (await cursor.execute(queries.tables)).fetchall()
            columns = await (await cursor.execute(queries.columns)).fetchall()
            indexes = await (await cursor.execute(queries.indexes)).fetchall()
        rows_of = {row["name"]: row["rows"] for row in tables}
        known: dict[str, dict[str, Column]] = {}
        for row in columns:
            table, share = row.pop("table_name"), row.pop("n_distinct")
            rows = rows_of.get(table, 0.0)
            # As in pg_stats: below zero it is a share of the rows; 0 is not known.
            distinct = -share * rows if share < 0 else share or max(1.0, rows / 10)
            known.setdefault(table, {})[row["name"]] = Column(**row, distinct=max(1.0, distinct))
        return cls(
            {
                row["name"]: Table(
                    name=row["name"],
                    schema=row["schema"],
                    relname=row["relname"],
                    partitioned=row["partitioned"],
                    leaves=row["leaves"],
                    size=Size(pages=row["pages"], rows=row["rows"]),
                    columns=known.get(row["name"], {}),
                )
                for row in tables
            },
            {
                row["name"]: Existing(
                    index=Index(
                        table=row["table_name"],
                        keys=tuple(key + _order(bits) for key, bits in zip(row["keys"], row["options"], strict=True)),
                        include=tuple(row["include"]),
                        where=row["predicate"],
                        method=row["method"],
                        existing=row["name"],
                    ),
                    pages=row["pages"],
                    needed=row["needed"],
                    definition=row["definition"],
                )
                for row in indexes
            },
        )


def _order(bits: int) -> str:
    """As it follows a key in a definition; what is usual is left out."""
    if bits & DESCENDING:
        return " DESC" if bits & NULLS_FIRST else " DESC NULLS LAST"
    return " NULLS FIRST" if bits & NULLS_FIRST else ""
