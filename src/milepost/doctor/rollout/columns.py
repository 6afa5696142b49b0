"""Columns that an operation names, looked up in their table before anything is touched; by themselves, or within SQL.

What cannot be parsed here is left to PostgreSQL, which may know more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Final

from milepost.doctor.rollout.names import Table
from milepost.doctor.statements import nodes, parse_one
from milepost.errors import InvalidInput, NotFound
from milepost.postgres import load_queries

__all__ = ["require_columns"]

queries = load_queries(__package__, "columns.sql")

OF_ALL_TABLES: Final = frozenset({"tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"})


def require_columns(
    table: Table, names: Iterable[str] = (), *, elements: Iterable[str] = (), conditions: Iterable[str] = ()
) -> None:
    """elements: of an index or of statistics, each a column's name or SQL. conditions: SQL. Raises `NotFound` with the nearest known name."""
    wanted = list(names)
    for element in elements:
        wanted += [] if element in table.columns else _within(element)
    for condition in conditions:
        wanted += _within(f"({condition})")
    # A whole row goes by its table's name.
    unknown = next((name for name in wanted if name not in {*table.columns, table.name}), None)
    if unknown is not None:
        near = get_close_matches(unknown, table.columns, n=1)
        raise NotFound(f"{table} has no column {unknown}.{f' Did you mean {near[0]}?' if near else ''}", column=unknown)


def _within(element: str) -> Iterator[str]:
    try:
        tree = parse_one(queries.element.replace("{element}", element)).tree
    except InvalidInput:
        return
    yield from (node.name for node in nodes(tree, "IndexElem") if node.name)
    for node in nodes(tree, "ColumnRef"):
        name = node.fields[-1].string.sval
        if name and name not in OF_ALL_TABLES:
            yield name
