"""Refreshes that lock readers out though they need not, or that take long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "view_refresh.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        blocking = not row["online"]
        view = row["view"]
        yield seen.finding(
            view,
            "warning",
            f"{row['calls']} refreshes of {view} took {row['mean_ms'] / 1000:.2f} s each, the slowest {row['slowest_ms'] / 1000:.2f} s"
            + (", and locked its readers out." if blocking else "."),
            Cure(
                text=f"Let the job that refreshes {view} say CONCURRENTLY: its readers go on, and its unique index is there.",
                statements=(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {view}",),
                by_hand="The statement is of a job of the application's.",
            )
            if blocking and row["unique"]
            else Cure(
                text=f"Keep a rollup as data comes in, instead of computing all of {view} again; or refresh only when its sources changed.",
                by_hand="What fills the view, and how often, is a job of the application's.",
            ),
            {
                "refreshes": row["calls"],
                "mean_ms": round(row["mean_ms"], 1),
                "slowest_ms": round(row["slowest_ms"], 1),
                "blocking": blocking,
            },
        )


CHECK = Check(
    name="view_refresh",
    area="views",
    title="A refresh that blocks, or takes long",
    why="A view is computed anew as a whole, however little changed: the time grows with its sources.",
    cured="CONCURRENTLY, or a rollup instead.",
    limits={
        "blocking_ms_min": Limit(value=1000, unit="ms while readers wait", why="A second's wait is felt."),
        "long_ms_min": Limit(value=60_000, unit="ms", why="Refreshing in the background may take a while."),
        "calls_min": Limit(value=3, unit="refreshes", why="The first fills it."),
    },
    needs="pg_stat_statements",
    query=queries.rows,
    judge=judge,
)
