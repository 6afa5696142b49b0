"""Statements that have become slower since the last look; refreshes of views, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "degraded_statement.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        before = seen.since.get(row["id"])
        if before is None:
            continue
        calls = row["calls"] - before["calls"]
        if before["calls"] < seen.limits["calls_min"] or calls < seen.limits["calls_min"]:
            continue
        was_ms, is_ms = before["total_ms"] / before["calls"], (row["total_ms"] - before["total_ms"]) / calls
        if is_ms < seen.limits["mean_ms_min"] or is_ms < seen.limits["times_min"] * was_ms:
            continue
        yield seen.finding(
            row["id"],
            "critical" if is_ms >= 10 * was_ms else "warning",
            f"It took {was_ms:.1f} ms until the last look, and {is_ms:.1f} ms since: {row['query']}.",
            Cure(
                text=f"`milepost doctor explain -- {row['id']}`: a plan that changed, a table that grew or bloated, an index that is gone.",
                by_hand="Its plan has to be looked at first.",
            ),
            {
                "mean_ms_before": round(was_ms, 2),
                "mean_ms": round(is_ms, 2),
                "calls": calls,
                "times": round(is_ms / max(was_ms, 0.001), 2),
            },
        )


CHECK = Check(
    name="degraded_statement",
    area="statements",
    title="A statement has become slower",
    why="A plan that changed overnight is the commonest cause of an outage that nobody deployed.",
    cured="Its plan, explained.",
    limits={
        "times_min": Limit(value=2, unit="times as slow", why="Caches and load account for less."),
        "mean_ms_min": Limit(value=10, unit="ms", why="What is fast still does not matter."),
        "calls_min": Limit(value=20, unit="calls before and since", why="Fewer say nothing about a mean."),
    },
    needs="pg_stat_statements",
    query=queries.rows,
    judge=judge,
)
