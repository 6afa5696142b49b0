"""What a clone has at one moment, so that two moments can be compared: relations, columns, and what belongs to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString, TypeAlias

from milepost.postgres import Connection, dict_row, load_queries

__all__ = ["Differences", "Row", "Shape", "differences", "shape_of"]

queries = load_queries(__package__, "shape.sql")

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """relations, partitions (of what, and where), partitioned (by what) and sequences by oid; columns by table and number; indexes by
    name with schema; constraints and triggers by table and name. PostgreSQL makes some anew under the same name (of a column whose type
    changes), so an oid would not tell.
    """

    relations: Mapping[int, Row]
    columns: Mapping[tuple[int, int], Row]
    indexes: Mapping[str, Row]
    constraints: Mapping[tuple[int, str], Row]
    triggers: Mapping[tuple[int, str], Row]
    partitions: Mapping[int, Row]
    partitioned: Mapping[int, Row]
    sequences: Mapping[int, Row]

    def columns_of(self, table: int) -> dict[int, Row]:
        return {number: row for (oid, number), row in self.columns.items() if oid == table}


@dataclass(frozen=True, kw_only=True)
class Differences:
    """What clients would notice, of relations that were there before the file. lost: tables and columns that are gone under their name.
    retyped, tightened: columns with another type, or that are not null now. added: new columns as `table.column` and their types.
    """

    lost: tuple[str, ...]
    retyped: tuple[str, ...]
    tightened: tuple[str, ...]
    added: Mapping[str, str]


async def shape_of(connection: Connection) -> Shape:
    async def rows(query: LiteralString, key: Callable[[Row], Any]) -> dict[Any, Row]:
        cursor = connection.cursor(row_factory=dict_row)
        return {key(row): row for row in await (await cursor.execute(query)).fetchall()}

    def of_table(row: Row) -> tuple[int, str]:
        return row["table_oid"], row["name"]

    return Shape(
        relations=await rows(queries.relations, lambda row: row["oid"]),
        columns=await rows(queries.columns, lambda row: (row["table_oid"], row["attnum"])),
        indexes=await rows(queries.indexes, lambda row: row["full_name"]),
        constraints=await rows(queries.constraints, of_table),
        triggers=await rows(queries.triggers, of_table),
        partitions=await rows(queries.partitions, lambda row: row["oid"]),
        partitioned=await rows(queries.partitioned, lambda row: row["oid"]),
        sequences=await rows(queries.sequences, lambda row: row["oid"]),
    )


def differences(known: Mapping[int, Row], before: Shape, after: Shape) -> Differences:
    """known: relations that were there before the file, as they are called before the statement."""
    lost = [
        row["name"]
        for oid, row in known.items()
        if row["kind"] not in "iIS" and after.relations.get(oid, {}).get("name") != row["name"]
    ]
    retyped, tightened = [], []
    for key, row in before.columns.items():
        if key[0] not in known or key[0] not in after.relations:
            continue
        name = f"{known[key[0]]['name']}.{row['name']}"
        now = after.columns.get(key)
        if now is None or now["name"] != row["name"]:
            lost.append(name)
        elif now["type"] != row["type"]:
            retyped.append(name)
        elif now["not_null"] and not row["not_null"]:
            tightened.append(name)
    added = {
        f"{after.relations[key[0]]['name']}.{row['name']}": row["type"]
        for key, row in after.columns.items()
        if key not in before.columns and key[0] in after.relations and after.relations[key[0]]["kind"] in "rp"
    }
    return Differences(lost=tuple(lost), retyped=tuple(retyped), tightened=tuple(tightened), added=added)
