"""Values for $1, $2, … of a statement: typical ones, from the server's statistics of the columns that they are compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from milepost.doctor.statements import Node, Statement, nodes
from milepost.errors import InvalidInput
from milepost.postgres import Connection, load_queries, sql

__all__ = ["Value", "values_of"]

LIMIT = "100"  # rows that a page usually asks for

queries = load_queries(__package__, "plans.sql")


@dataclass(frozen=True, kw_only=True)
class Value:
    """Of one parameter, as text. source: `given`, `statistics of COLUMN`, or `assumed`."""

    number: int
    value: str
    type: str
    source: str


async def values_of(
    connection: Connection, statement: Statement, body: sql.Composable, given: Mapping[int, str]
) -> tuple[Value, ...] | None:
    """One for each, with the statement prepared as `milepost_explain`; None if one has neither a column nor a value given."""
    if unknown := sorted(set(given) - set(range(1, statement.placeholders + 1))):
        raise InvalidInput(f"There is no ${unknown[0]} in the statement: it has {statement.placeholders}.")
    await connection.execute(sql.SQL(queries.prepare).format(statement=body))
    row = await (await connection.execute(queries.parameter_types)).fetchone()
    assert row is not None
    columns, limits = dict(_compared(statement.tree)), dict(_limits(statement.tree))
    tables = _tables(statement)
    found = []
    for number, kind in enumerate(row[0], start=1):
        if number in given:
            found.append(Value(number=number, value=given[number], type=kind, source="given"))
        elif number in limits:
            found.append(Value(number=number, value=limits[number], type=kind, source="assumed"))
        elif number in columns:
            alias, column = columns[number]
            among = [tables[alias]] if alias in tables else list(tables.values())
            given_to = {"tables": among, "column": column, "type": kind, "element": kind.removesuffix("[]")}
            value = await (await connection.execute(queries.common_value, given_to)).fetchone()
            if value is None or value[0] is None:
                return None
            text = f"{{{_quoted(value[0])}}}" if value[1] else str(value[0])
            found.append(Value(number=number, value=text, type=kind, source=f"statistics of {column}"))
        else:
            return None
    return tuple(found)


def _quoted(element: str) -> str:
    escaped = element.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _tables(statement: Statement) -> dict[str, str]:
    """Its relations by alias, else by name."""
    found = {}
    for node in nodes(statement.tree, "RangeVar"):
        name = ".".join(f'"{part}"' for part in (node.schemaname, node.relname) if part)
        found[node.alias.aliasname if node.HasField("alias") else node.relname] = name
    return found


def _compared(tree: Node) -> Iterator[tuple[int, tuple[str, str]]]:
    """Each parameter's column as (alias or nothing, name): what it is compared with, or written into."""
    for node in nodes(tree, "A_Expr"):
        sides = [list(nodes(side, "ColumnRef")) for side in (node.lexpr, node.rexpr)]
        for parameters, columns in ((node.rexpr, sides[0]), (node.lexpr, sides[1])):
            names = [_column(one) for one in columns]
            for one in nodes(parameters, "ParamRef"):
                if names and names[0] is not None:
                    yield one.number, names[0]
    for node in nodes(tree, "UpdateStmt"):
        for target in node.target_list:
            for one in nodes(target.res_target.val, "ParamRef"):
                yield one.number, (node.relation.relname, target.res_target.name)
    for node in nodes(tree, "InsertStmt"):
        names_in = [one.res_target.name for one in node.cols]
        for row in node.select_stmt.select_stmt.values_lists:
            for name, item in zip(names_in, row.list.items, strict=False):
                for one in nodes(item, "ParamRef"):
                    yield one.number, (node.relation.relname, name)


def _limits(tree: Node) -> Iterator[tuple[int, str]]:
    for node in nodes(tree, "SelectStmt"):
        for below, value in ((node.limit_count, LIMIT), (node.limit_offset, "0")):
            for one in nodes(below, "ParamRef"):
                yield one.number, value


def _column(node: Node) -> tuple[str, str] | None:
    names = [field.string.sval for field in node.fields if field.HasField("string")]
    return (names[-2] if len(names) > 1 else "", names[-1]) if names else None
