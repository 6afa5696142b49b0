"""DEFAULT partitions that hold rows, which were meant for others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "default_partition.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            row["partition"],
            "warning",
            f"The DEFAULT partition of {row['table']} holds {row['rows']} rows: a partition for their range cannot be attached while they are there.",
            Cure(
                text="Make the missing partitions and move the rows into them, in batches; then make partitions ahead, and watch that this stays empty.",
                by_hand="A row is in two partitions for no moment, so that moving many takes a lock for as long as it takes.",
            ),
            {"rows": row["rows"], "bytes": row["bytes"], "partitions": row["partitions"]},
        )


CHECK = Check(
    name="default_partition",
    area="partitions",
    title="Rows in a DEFAULT partition",
    why="It hides that a partition is missing; and adding that one later scans it under a lock, and fails.",
    cured="Move the rows to partitions of their own.",
    limits={"rows_min": Limit(value=1000, unit="rows", why="A few strays are what it is for.")},
    query=queries.rows,
    judge=judge,
)
