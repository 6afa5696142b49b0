"""Indexes that are there twice under two names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import MIB, Check, Limit, Row, Seen, said_bytes
from milepost.doctor.checks.cures import drop_index
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "duplicate_index.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            row["index"],
            "warning",
            f"{row['index']} ({said_bytes(row['bytes'])}) is the same as {row['kept']}.",
            drop_index(f"Drop {row['index']}: {row['kept']} serves the same statements.", row["index"]),
            {"bytes": row["bytes"], "same_as": row["kept"], "table": row["table"]},
        )


CHECK = Check(
    name="duplicate_index",
    area="indexes",
    title="The same index twice",
    why="Both are written, and only one is ever needed. Migrations by hand beside an ORM's make them.",
    cured="Drop concurrently the one that no constraint needs.",
    limits={"bytes_min": Limit(value=MIB, unit="bytes", why="A smaller one costs next to nothing.")},
    query=queries.rows,
    judge=judge,
)
