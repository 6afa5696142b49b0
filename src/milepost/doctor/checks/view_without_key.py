"""Materialized views that can be refreshed only while nobody reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.checks.cures import create_index
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "view_without_key.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        text = f"Give {row['view']} a unique index; then REFRESH … CONCURRENTLY lets readers go on."
        yield seen.finding(
            row["view"],
            "warning",
            f"{row['view']} ({row['rows']} rows) has no unique index: each refresh locks its readers out.",
            create_index(text, row["view"], [row["column"]], unique=True)
            if row["column"]
            else Cure(text=text, by_hand="No column tells its rows apart by the statistics: its key is for a person to say."),
            {"rows": row["rows"], "bytes": row["bytes"], "column": row["column"]},
        )


CHECK = Check(
    name="view_without_key",
    area="views",
    title="A materialized view without a unique index",
    why="REFRESH takes an ACCESS EXCLUSIVE lock unless it is CONCURRENTLY, which needs a unique index.",
    cured="A unique index.",
    limits={"rows_min": Limit(value=5_000, unit="rows", why="A small one is refreshed in an instant.")},
    query=queries.rows,
    judge=judge,
)
