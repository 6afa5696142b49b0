"""Rows of chosen tables, streamed from one database into another: all, or a sample, and then what these refer to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from milepost.doctor.target import Target
from milepost.errors import InvalidInput
from milepost.postgres import Connection, dict_row, load_queries, sql

__all__ = ["Copied", "copy_rows"]

SAMPLE_ROOM = 1.3  # pages drawn, over the share that would just do: estimates and fill vary
PERCENT_MIN = 0.0001
KEYS_AT_ONCE = 2_000
ROUNDS_MAX = 8  # how far references of references are followed
COPY_TIMEOUT_MS = 600_000

queries = load_queries(__package__, "scratch.sql")


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What was copied of a table. rows: how many; of_rows: about how many it has. sampled: not all. note: what is not as it was."""

    name: str
    rows: int
    of_rows: int
    sampled: bool
    note: str | None = None

    @property
    def share(self) -> float:
        """Of the table's rows, between 0 and 1."""
        return min(1.0, self.rows / self.of_rows) if self.sampled and self.of_rows else 1.0


async def copy_rows(target: Target, to: Connection, names: Sequence[str], rows_max: int) -> dict[str, Copied]:
    """Into tables that are there and empty, on a connection for which no trigger fires. By name, those that only others referred to as well."""
    if rows_max < 1:
        raise InvalidInput("rows_max must be at least 1.")
    async with target.reading(statement_timeout_ms=COPY_TIMEOUT_MS) as source:
        known = await _tables(source, names)
        copied = {name: await _copy_table(source, to, table, rows_max) for name, table in known.items() if table["has_rows"]}
        for _ in range(ROUNDS_MAX):
            if not await _follow(source, to, known, copied, rows_max):
                break
        await _set_sequences(source, to)
    if copied:
        listed = sql.SQL(", ").join(_table(known[name]) for name in copied)
        await to.execute(sql.SQL(queries.analyze).format(tables=listed))
    return copied


async def _tables(source: Connection, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    async with source.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(queries.tables_of, {"tables": list(names)})
        return {str(row["name"]): row for row in await cursor.fetchall()}


async def _copy_table(source: Connection, to: Connection, table: Mapping[str, Any], rows_max: int) -> Copied:
    sampled = table["rows"] > rows_max
    parts = _parts(table)
    if sampled:
        percent = min(100.0, max(PERCENT_MIN, 100 * SAMPLE_ROOM * rows_max / table["rows"]))
        statement = sql.SQL(queries.copy_out_sample).format(percent=sql.Literal(percent), rows=sql.Literal(rows_max), **parts)
    else:
        statement = sql.SQL(queries.copy_out_all).format(**parts)
    rows = await _stream(source, to, table, statement)
    return Copied(name=table["name"], rows=rows, of_rows=max(rows, table["rows"]), sampled=sampled)


async def _stream(source: Connection, to: Connection, table: Mapping[str, Any], statement: sql.Composed) -> int:
    cursor = to.cursor()
    async with source.cursor().copy(statement) as out, cursor.copy(sql.SQL(queries.copy_in).format(**_parts(table))) as into:
        async for block in out:
            await into.write(block)
    return cursor.rowcount


async def _follow(
    source: Connection, to: Connection, known: dict[str, dict[str, Any]], copied: dict[str, Copied], rows_max: int
) -> bool:
    """Copies what the rows here refer to and what is not here. Whether anything came, so that it may refer to more."""
    async with to.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(queries.foreign_keys, {"tables": list(copied)})
        keys = await cursor.fetchall()
    came = False
    for key in keys:
        before = copied.get(key["parent"])
        if before is not None and not before.sampled:
            continue  # it is here whole
        missing = await _missing(to, key, rows_max)
        if not missing:
            continue
        if key["parent"] not in known:
            known |= await _tables(source, [key["parent"]])
        table = known[key["parent"]]
        rows = 0
        for start in range(0, len(missing), KEYS_AT_ONCE):
            values = sql.SQL(", ").join(
                sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, one)))
                for one in missing[start : start + KEYS_AT_ONCE]
            )
            columns = sql.SQL(", ").join(map(sql.Identifier, key["parent_columns"]))
            statement = sql.SQL(queries.copy_out_keys).format(keys=columns, values=values, **_parts(table))
            rows += await _stream(source, to, table, statement)
        came = came or rows > 0
        made = before or Copied(name=table["name"], rows=0, of_rows=table["rows"], sampled=True)
        copied[table["name"]] = replace(made, rows=made.rows + rows, of_rows=max(made.of_rows, made.rows + rows))
    return came


async def _missing(to: Connection, key: Mapping[str, Any], rows: int) -> list[tuple[str, ...]]:
    pairs = list(zip(key["child_columns"], key["parent_columns"], strict=True))
    child = [sql.SQL("c.{}").format(sql.Identifier(column)) for column, _ in pairs]
    statement = sql.SQL(queries.missing_keys).format(
        keys=sql.SQL(", ").join(sql.SQL("{}::text").format(one) for one in child),
        child=sql.Identifier(key["child_schema"], key["child_relation"]),
        parent=sql.Identifier(key["parent_schema"], key["parent_relation"]),
        present=sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(one) for one in child),
        equal=sql.SQL(" AND ").join(
            sql.SQL("p.{} = {}").format(sql.Identifier(column), one) for one, (_, column) in zip(child, pairs, strict=True)
        ),
        rows=sql.Literal(rows),
    )
    return [tuple(map(str, row)) for row in await (await to.execute(statement)).fetchall()]


async def _set_sequences(source: Connection, to: Connection) -> None:
    found = await (await source.execute(queries.sequences)).fetchall()
    given = {"names": [name for name, _ in found], "values": [value for _, value in found]}
    await to.execute(queries.set_sequences, given)


def _parts(table: Mapping[str, Any]) -> dict[str, sql.Composable]:
    return {"table": _table(table), "columns": sql.SQL(", ").join(map(sql.Identifier, table["columns"]))}


def _table(table: Mapping[str, Any]) -> sql.Identifier:
    return sql.Identifier(table["schema"], table["relation"])
