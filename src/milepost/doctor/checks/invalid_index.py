"""Indexes that are written and never read, because their build failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Row, Seen
from milepost.doctor.checks.cures import drop_index, reindex_index
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "invalid_index.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        if row["leftover"]:
            cure = drop_index(f"Drop {row['index']}, which a REINDEX CONCURRENTLY left behind.", row["index"])
        elif row["unique"]:
            text = f"Drop {row['index']}: rows that are there twice end each build of a unique index. Then remove those, and create it again."
            cure = drop_index(text, row["index"])
        else:
            cure = reindex_index(f"Build {row['index']} again, concurrently; or drop it.", row["index"])
        yield seen.finding(
            row["index"],
            "warning",
            f"The build of {row['index']} failed: no statement reads it"
            + (", and each write of " + row["table"] + " pays for it." if row["written"] else "."),
            cure,
            {"bytes": row["bytes"], "written": row["written"], "table": row["table"]},
        )


CHECK = Check(
    name="invalid_index",
    area="indexes",
    title="An index whose build failed",
    why="CREATE INDEX CONCURRENTLY that is cancelled leaves an index that is written, is not read, and blocks IF NOT EXISTS.",
    cured="Reindex it concurrently, or drop it.",
    query=queries.rows,
    judge=judge,
)
