"""What `critical_statement` and `slow_statement` have in common: statements by their mean time, and what is told of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from milepost.doctor.checks.check import Row, Seen
from milepost.doctor.finding import Cure, Finding, Severity
from milepost.postgres import load_queries

__all__ = ["judged", "queries"]

queries = load_queries(__package__, "timed_statements.sql")


def judged(rows: Sequence[Row], seen: Seen, severity: Severity, detail: Callable[[Row], str]) -> Iterator[Finding]:
    """detail: one sentence of a row."""
    for row in rows:
        yield seen.finding(
            row["id"],
            severity,
            detail(row),
            Cure(
                text=f"`milepost doctor explain -- {row['id']}` shows where its time goes; `milepost doctor indexes` what would help it and all others.",
                by_hand="What helps depends on its plan; these two commands have findings of their own, which a rollout applies.",
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
