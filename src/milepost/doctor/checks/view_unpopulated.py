"""Materialized views that cannot be read, because they were never filled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Row, Seen
from milepost.doctor.checks.cures import refresh_view
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "view_unpopulated.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            row["view"],
            "critical",
            f"{row['view']} was created WITH NO DATA, or its first refresh failed: whoever reads it gets an error.",
            refresh_view(f"Refresh {row['view']}.", row["view"], concurrently=False),
            {"populated": False},
        )


CHECK = Check(
    name="view_unpopulated",
    area="views",
    title="A materialized view that was never filled",
    why="Each read of it is an error.",
    cured="Refresh it.",
    query=queries.rows,
    judge=judge,
)
