"""What cures need to know of the tables in a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from milepost.postgres import Connection, dict_row, load_queries

__all__ = ["Table", "read_tables"]

queries = load_queries(__package__, "plans.sql")


@dataclass(frozen=True, kw_only=True)
class Table:
    """name: quoted, for SQL. columns: types by name. indexes: `name`, `method`, `columns` in order, `valid`. modified: rows changed
    since the last analyze.
    """

    name: str
    rows: int
    bytes: int
    columns: Mapping[str, str]
    indexes: tuple[Mapping[str, Any], ...]
    modified: int
    analyzed: bool

    def has_index_on(self, columns: Sequence[str]) -> str | None:
        """A valid btree whose first columns are these, in any order."""
        wanted = set(columns)
        for one in self.indexes:
            if one["method"] == "btree" and one["valid"] and set(one["columns"][: len(wanted)]) == wanted:
                return str(one["name"])
        return None


async def read_tables(connection: Connection, names: Sequence[str]) -> dict[str, Table]:
    """By schema and name with a dot between, unquoted, as plans have them."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(queries.table_facts, {"tables": list(names)})
        return {
            row["plain"]: Table(
                name=row["name"],
                rows=row["rows"],
                bytes=row["bytes"],
                columns=row["columns"] or {},
                indexes=tuple(row["indexes"] or ()),
                modified=row["modified"] or 0,
                analyzed=bool(row["analyzed"]),
            )
            for row in await cursor.fetchall()
        }
