"""The shapes in which a table is written: which columns, how many rows a statement, how often.

From pg_stat_statements where it is (what applications sent, by their own words); else one of each kind that the table's triggers
fire for. The rows written are made from rows that are there, on a scratch copy, so that types, references and triggers' own
conditions meet what they meet in life: an update gives each row another row's values, an insert repeats rows with fresh values
where they must be unique.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from milepost.doctor.statements import nodes, parse
from milepost.doctor.target import Target
from milepost.doctor.triggers.inventory import Trigger
from milepost.errors import InvalidInput
from milepost.postgres import Connection, dict_row, load_queries, sql

__all__ = ["Shape", "read_shapes", "statement_of"]

ROWS = 100  # a statement, where nothing says how many
ROWS_MAX = 1_000
SHAPES_MAX = 3  # of one kind and table
FRESH, FRESH_SMALL = 2_000_000_000, 32_000  # from where fresh numbers go down: far from those in use, and within the type

queries = load_queries(__package__, "triggers.sql")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """kind: insert, update or delete. columns: written, in order; empty: all that can be. source: `pg_stat_statements`, or `made`."""

    kind: str
    columns: tuple[str, ...]
    rows: int
    calls: int
    source: str

    def __str__(self) -> str:
        of = f" of {', '.join(self.columns)}" if self.columns and self.kind == "update" else ""
        return f"{self.kind}{of}, {self.rows} {'row' if self.rows == 1 else 'rows'}"


async def read_shapes(target: Target, triggers: Iterable[Trigger]) -> dict[str, list[Shape]]:
    """By table. Made ones for kinds of which none was seen."""
    by_table: dict[str, list[Trigger]] = {}
    for one in triggers:
        by_table.setdefault(one.table, []).append(one)
    seen = await _seen(target)
    found = {}
    for table, its in by_table.items():
        names = {its[0].relation, f"{its[0].schema}.{its[0].relation}"}
        shapes: list[Shape] = []
        for kind in dict.fromkeys(event for one in its for event in one.events if event != "truncate"):
            of_kind = [shape for name, shape in seen if name in names and shape.kind == kind][:SHAPES_MAX]
            shapes += of_kind or [Shape(kind=kind, columns=(), rows=ROWS, calls=0, source="made")]
        found[table] = shapes
    return found


async def _seen(target: Target) -> list[tuple[str, Shape]]:
    """(table as written, shape) of what pg_stat_statements has, the busiest first."""
    if "pg_stat_statements" not in target.extensions or not target.monitor:
        return []
    async with target.reading() as connection:
        row = await (await connection.execute(queries.statements_view)).fetchone()
        assert row is not None
        view = sql.SQL(queries.writes).format(view=sql.Identifier(row[0], "pg_stat_statements"))
        rows = await (await connection.execute(view)).fetchall()
    merged: dict[tuple[str, str, tuple[str, ...]], tuple[int, int]] = {}
    for text, calls, written in rows:
        try:
            statements = parse(text)
        except InvalidInput:
            continue  # cut off, or of a newer grammar
        for one in statements:
            if one.kind not in ("insert", "update", "delete"):
                continue
            key = (one.written[0][1], one.kind, _columns(one.tree, one.kind))
            before = merged.get(key, (0, 0))
            merged[key] = (before[0] + calls, before[1] + written)
    return [
        (
            table,
            Shape(
                kind=kind,
                columns=columns,
                rows=min(ROWS_MAX, max(1, round(rows / calls))),
                calls=calls,
                source="pg_stat_statements",
            ),
        )
        for (table, kind, columns), (calls, rows) in sorted(merged.items(), key=lambda item: -item[1][0])
    ]


def _columns(tree: Any, kind: str) -> tuple[str, ...]:
    targets = tree.target_list if kind == "update" else tree.cols if kind == "insert" else ()
    return tuple(next(nodes(one, "ResTarget")).name for one in targets)


async def statement_of(connection: Connection, table: str, name: sql.Identifier, shape: Shape) -> sql.Composed | None:
    """The shape as a statement on rows that are there; None if none of its columns can be written."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(queries.columns, {"table": table})
        columns = await cursor.fetchall()
    parts: dict[str, sql.Composable] = {"table": name, "rows": sql.Literal(shape.rows), "twice": sql.Literal(2 * shape.rows)}
    if shape.kind == "delete":
        return sql.SQL(queries.delete_rows).format(**parts)
    wanted = set(shape.columns)
    if shape.kind == "update":
        free = [one for one in columns if not (one["is_unique"] or one["generated"] or one["always"])]
        chosen = [one["name"] for one in free if not wanted or one["name"] in wanted]
        if not chosen:
            return None
        sets = sql.SQL(", ").join(sql.SQL("{0} = donor.{0}").format(sql.Identifier(one)) for one in chosen)
        return sql.SQL(queries.update_rows).format(sets=sets, **parts)
    written = [one for one in columns if not wanted or one["name"] in wanted]
    made = [(one["name"], value) for one in written if (value := _fresh(one, columns)) is not None]
    names = sql.SQL(", ").join(sql.Identifier(one) for one, _ in made)
    values = sql.SQL(", ").join(value for _, value in made)
    return sql.SQL(queries.insert_rows).format(columns=names, values=values, **parts)


def _fresh(column: Mapping[str, Any], columns: Sequence[Mapping[str, Any]]) -> sql.Composable | None:
    """The value of a new row, as SQL over row r; None: left to its default."""
    if column["generated"] or column["always"] or (column["is_unique"] and column["has_default"]):
        return None
    here = sql.SQL("r.{}").format(sql.Identifier(column["name"]))
    # Of a key of several columns one fresh value is enough, and a reference must stay one.
    others = [one for one in columns if one["is_unique"] and not one["is_foreign"]]
    if not column["is_unique"] or column["is_foreign"] or (others and column["name"] != others[-1]["name"]):
        return here
    match column["category"]:
        case "N":
            return sql.SQL("{} - r.milepost_n").format(sql.Literal(FRESH_SMALL if column["type"] == "smallint" else FRESH))
        case "S":
            return sql.SQL("left(md5(r.milepost_n::text || clock_timestamp()::text), 32)").format()
        case "D":
            return sql.SQL("{} + r.milepost_n * interval '1 microsecond' + interval '400 days'").format(here)
        case _ if column["type"] == "uuid":
            return sql.SQL("gen_random_uuid()").format()
        case _:
            return here
