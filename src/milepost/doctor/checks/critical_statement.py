"""Statements that people wait for, often, for more than a tenth of a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "critical_statement.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            row["id"],
            "critical",
            f"{row['per_min']:.1f} times a minute, {row['mean_ms']:.0f} ms each, {row['part']:.0%} of all time: {row['query']}.",
            Cure(
                text=f"`milepost doctor explain {row['id']}` shows where its time goes; `milepost doctor indexes` what would help it and all others."
            ),
            {
                "mean_ms": round(row["mean_ms"], 2),
                "calls": row["calls"],
                "calls_per_min": round(row["per_min"], 2),
                "time_part": round(row["part"], 4),
                "rows_per_call": round(row["rows_per_call"], 1),
                "read_from_disk_part": round(row["read_part"], 4),
            },
        )


CHECK = Check(
    name="critical_statement",
    area="statements",
    title="A frequent statement over 100 ms",
    why="A page asks several statements: one that takes 100 ms is felt, and what is asked often fills the machine.",
    cured="Its plan, explained; an index, proved.",
    limits={
        "mean_ms_min": Limit(value=100, unit="ms", why="A tenth of a second is felt."),
        "per_min": Limit(value=1, unit="calls a minute", why="What is asked less often is a report: `slow_statement`."),
        "calls_min": Limit(value=50, unit="calls", why="Fewer say nothing about its mean."),
        "total_ms_min": Limit(value=10_000, unit="ms in all", why="Less is not felt by the server."),
    },
    needs="pg_stat_statements",
    query=queries.rows,
    judge=judge,
)
