"""Statements that people wait for, often, for more than a tenth of a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.checks.timed_statements import judged, queries
from milepost.doctor.finding import Finding

__all__ = ["CHECK"]


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    return judged(rows, seen, "critical", _detail)


def _detail(row: Row) -> str:
    return f"{row['per_min']:.1f} times a minute, {row['mean_ms']:.0f} ms each, {row['part']:.0%} of all time: {row['query']}."


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
    query=queries.rows.replace("{often}", queries.often),
    judge=judge,
)
