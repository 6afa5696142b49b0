"""The numbered tables of the queue, as queries see them.

Queries are written once, against `milepost.queue_template` and `milepost.queue_template_loaded`, so that every one of them is
SQL that the schema itself can check. `for_table` turns one into a query of queue_N; `for_every_table` unites it over queue_1
to queue_N, in place of the word `every_table` of a second query if there is one.

A query over every table is only true while N is: it must read `milepost.queue.tables` in the same snapshot and be thrown away
when the number has grown, or batches in a table made meanwhile would be passed over.
"""

from __future__ import annotations

from functools import lru_cache

__all__ = ["TABLES_MAX", "for_every_table", "for_new_table", "for_table", "table_number"]

TABLES_MAX = 64
TEMPLATE = "queue_template"


def for_table(query: str, table: int) -> bytes:
    """`query` on queue_`table` (and its marks) instead of the template."""
    assert 1 <= table <= TABLES_MAX, table
    return _on(query, table).encode()


@lru_cache(maxsize=256)
def for_every_table(query: str, tables: int, around: str | None = None) -> bytes:
    """`query` over queue_1 to queue_`tables`, united; `around` is the query that reads it as `every_table`."""
    assert 1 <= tables <= TABLES_MAX, tables
    union = " UNION ALL ".join(f"({_on(query, table)})" for table in range(1, tables + 1))
    if around is None:
        return union.encode()
    assert around.count("every_table") == 1, around
    return around.replace("every_table", f"({union})").encode()


def for_new_table(query: str, table: int) -> bytes:
    """A statement that makes queue_`table`: written against `queue_number`, since it names the template itself."""
    assert 1 <= table <= TABLES_MAX, table
    assert "queue_number" in query, query
    return query.replace("queue_number", f"queue_{table}").encode()


def table_number(name: str) -> int:
    """The number in a name that a query gave as the literal 'queue_template'."""
    return int(name.removeprefix("queue_"))


def _on(query: str, table: int) -> str:
    assert TEMPLATE in query, query
    return query.replace(TEMPLATE, f"queue_{table}")
