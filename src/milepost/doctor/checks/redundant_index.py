"""Indexes whose columns are the first columns of a longer one, which serves their statements too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import MIB, Check, Limit, Row, Seen, said_bytes
from milepost.doctor.checks.cures import drop_index
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "redundant_index.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            row["index"],
            "notice",
            f"{row['index']} ({said_bytes(row['bytes'])}) is the beginning of {row['longer']} ({said_bytes(row['longer_bytes'])}).",
            drop_index(f"Drop {row['index']}: {row['longer']} begins with the same columns.", row["index"]),
            {"bytes": row["bytes"], "longer": row["longer"], "longer_bytes": row["longer_bytes"], "table": row["table"]},
        )


CHECK = Check(
    name="redundant_index",
    area="indexes",
    title="An index that is another's beginning",
    why="An index by (a, b) finds by a as well; one by (a) alone beside it is written for nothing.",
    cured="Drop the shorter one concurrently.",
    limits={
        "bytes_min": Limit(value=10 * MIB, unit="bytes", why="A smaller one costs little."),
        "times_max": Limit(
            value=3, unit="times the size", why="Beside one that is much larger, the short one may earn its place in memory."
        ),
    },
    query=queries.rows,
    judge=judge,
)
