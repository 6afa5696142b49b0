"""What is told of matches beside themselves: where the words were found, how well they fit, and how many there are of each kind."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, LiteralString
from uuid import UUID

from milepost.access.actors import actor_names
from milepost.postgres import Connection, JsonText, load_queries
from milepost.rollups.read import put_words
from milepost.schema.compile import EVERYTHING_IN_DATA, CompiledSearch
from milepost.search.query import Query

__all__ = ["FACETS", "facets", "highlights", "ranks"]

_queries = load_queries(__package__, "shown.sql")

FACETS: tuple[LiteralString, ...] = ("verb", "source", "status", "actor")
COLUMNS: dict[str, LiteralString] = {"actor": "actor_id"}
FACET_VALUES_MAX = 20  # of each: those with most matches
BEGIN, END = "\ue000", "\ue001"  # what ts_headline puts around a word (`schema/compile/_search.py`)


async def facets(
    conn: Connection, tenant_id: int, ids: Sequence[UUID], names: Sequence[str], cold: Sequence[bytes] = ()
) -> dict[str, list[dict[str, Any]]]:
    """Of these activities, by facet: each value with how many have it, the most frequent first. What has none is not counted. cold: the
    rows of those that are archived.
    """
    counted: dict[str, Counter[Any]] = {name: Counter() for name in names}
    columns: tuple[LiteralString, ...] = tuple(f"s.{COLUMNS.get(name, name)}" for name in FACETS if name in names)
    asked = [name for name in FACETS if name in names]
    # A row of one facet has a one for each of the others.
    of_bits = {(1 << len(asked)) - 1 - (1 << place): name for place, name in enumerate(reversed(asked))}
    words: dict[str, LiteralString] = {"columns": ", ".join(columns), "sets": ", ".join(f"({one})" for one in columns)}
    statement = put_words(_queries.of_facets, **words)
    for others, times, *values in await _of_both(conn, tenant_id, statement, ids, cold, {}) if asked else ():
        name = of_bits[others]
        if (value := values[asked.index(name)]) != "":
            counted[name][value] += times
    most = {
        name: sorted(count.items(), key=lambda one: (-one[1], one[0]))[:FACET_VALUES_MAX] for name, count in counted.items()
    }
    if "actor" in most:
        known = await actor_names(conn, tenant_id, [number for number, _ in most["actor"]])
        most["actor"] = [(known[number], times) for number, times in most["actor"]]
    return {name: [{"value": value, "count": times} for value, times in found] for name, found in most.items()}


async def ranks(conn: Connection, tenant_id: int, ids: Sequence[UUID], query: Query) -> dict[UUID, float]:
    """How well each fits: its words' weight and nearness, and less the longer its text is."""
    values = {"tenant_id": tenant_id, "ids": list(ids), "query": query.text}
    return dict(await (await conn.execute(_queries.ranks, values)).fetchall())


async def highlights(
    conn: Connection,
    tenant_id: int,
    ids: Sequence[UUID],
    query: Query,
    search: CompiledSearch,
    cold: Sequence[bytes] = (),
) -> dict[UUID, dict[str, str]]:
    """id → field → HTML: its text around what was found, escaped, with the words in <mark>. Fields without any are left out. cold: the
    rows of those that are archived.
    """
    values: dict[str, Any] = {f"query_{name}": text for name, text in query.by_configuration.items()}
    statement = put_words(_queries.headlines, headlines=search.headlines)
    found = {}
    for id_, shown in await _of_both(conn, tenant_id, statement, ids, cold, values):
        everything = shown.pop(EVERYTHING_IN_DATA, None)
        fields = {name: text for path, text in _texts(everything) if BEGIN in text for name in [".".join(path)]}
        fields |= {name: text for name, text in shown.items() if text is not None and BEGIN in text}
        found[id_] = {name: _marked(text) for name, text in fields.items()}
    return found


async def _of_both(
    conn: Connection,
    tenant_id: int,
    statement: LiteralString,
    ids: Sequence[UUID],
    cold: Sequence[bytes],
    values: dict[str, Any],
) -> list[tuple[Any, ...]]:
    """The statement's rows of these activities, wherever they are."""
    rows: list[tuple[Any, ...]] = []
    if ids:
        span = {"tenant_id": tenant_id, "ids": list(ids), "first": min(ids), "last": max(ids)}
        rows += await (await conn.execute(put_words(statement, activities=_queries.hot), values | span)).fetchall()
    if cold:
        given = values | {"cold_rows": JsonText(b"[" + b",".join(cold) + b"]")}
        rows += await (await conn.execute(put_words(statement, activities=_queries.cold), given)).fetchall()
    return rows


def _texts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    match value:
        case str():
            yield path, value
        case dict():
            for name, inner in value.items():
                yield from _texts(inner, (*path, name))
        case list():
            for number, inner in enumerate(value):
                yield from _texts(inner, (*path, str(number)))


def _marked(text: str) -> str:
    return html.escape(text, quote=False).replace(BEGIN, "<mark>").replace(END, "</mark>")
