"""Partitioned tables with a range that no partition takes, or whose last one ends soon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.checks.cures import create_partitions
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "partition_gap.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        ends = row["kind"] == "end"
        yield seen.finding(
            f"{row['table']} {'end' if ends else row['upper']}",
            "critical" if ends and row["left_s"] <= 0 else "warning",
            f"The last partition of {row['table']} ends at {row['upper']}: inserts after that fail."
            if ends
            else f"{row['table']} has no partition from {row['upper']} to {row['lower']}: inserts there fail.",
            create_partitions(
                f"Make the partitions ahead, by a job that also says when it fails: now from {row['bounds'][0]} to {row['bounds'][-1]}.",
                row["table"],
                row["bounds"],
            ),
            {"from": row["upper"], "to": row["lower"], "partitions": row["partitions"], "left_s": row["left_s"]},
        )


CHECK = Check(
    name="partition_gap",
    area="partitions",
    title="A range without a partition",
    why="A row that fits no partition is refused. It happens at midnight on the first of a month.",
    cured="Partitions made ahead.",
    limits={"ahead_s_min": Limit(value=3 * 86_400, unit="s", why="A job that failed on Friday must be seen before it hurts.")},
    query=queries.rows,
    judge=judge,
)
