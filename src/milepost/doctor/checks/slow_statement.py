"""Statements that take long, and are asked now and then: reports, batches, what grows unseen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.checks.timed_statements import judged, queries
from milepost.doctor.finding import Finding

__all__ = ["CHECK"]


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    return judged(rows, seen, "warning", _detail)


def _detail(row: Row) -> str:
    return f"{row['calls']} calls of {row['mean_ms'] / 1000:.1f} s, {row['part']:.0%} of all time: {row['query']}."


CHECK = Check(
    name="slow_statement",
    area="statements",
    title="A slow statement",
    why="It grows with its tables, takes memory from the others, and holds back vacuum while it runs.",
    cured="Its plan, explained; an index, proved; or a rollup kept as data comes in.",
    limits={
        "mean_ms_min": Limit(value=1000, unit="ms", why="A report may take a second."),
        "per_min": Limit(value=1, unit="calls a minute", why="What is asked more often is `critical_statement`'s."),
        "calls_min": Limit(value=5, unit="calls", why="What was asked by hand is nobody's fault."),
        "total_ms_min": Limit(value=60_000, unit="ms in all", why="Less is not felt by the server."),
    },
    needs="pg_stat_statements",
    query=queries.rows.replace("{often}", queries.seldom),
    judge=judge,
)
