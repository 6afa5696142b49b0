"""Indexes that are much larger than their rows need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import GIB, MIB, Check, Limit, Row, Seen, said_bytes
from milepost.doctor.checks.cures import reindex_index
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "bloated_index.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            row["index"],
            "warning" if row["wasted_bytes"] >= GIB else "notice",
            f"{row['index']} takes {said_bytes(row['bytes'])}; built anew it would take about {said_bytes(row['expected_bytes'])}.",
            reindex_index(f"Build {row['index']} anew, concurrently.", row["index"]),
            {name: row[name] for name in ("bytes", "expected_bytes", "wasted_bytes", "table")},
        )


CHECK = Check(
    name="bloated_index",
    area="indexes",
    title="An index that is mostly empty",
    why="Pages that deletes and updates emptied stay in the index: they take memory, and range scans read them.",
    cured="Reindex it concurrently.",
    limits={
        "wasted_bytes_min": Limit(value=100 * MIB, unit="bytes", why="Less is not worth a rebuild."),
        "wasted_part_min": Limit(
            value=0.5,
            unit="of its size",
            why="The estimate is good to some 20 %, and a B-tree in random order is at home at 70 % full.",
        ),
    },
    query=queries.rows,
    judge=judge,
)
