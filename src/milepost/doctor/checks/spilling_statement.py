"""Statements whose sorts and hashes go to disk at each call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import MIB, Check, Limit, Row, Seen, said_bytes
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "spilling_statement.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        mib = max(8, 3 * int(row["bytes_per_call"]) // MIB)
        yield seen.finding(
            row["id"],
            "warning",
            f"Each of {row['calls']} calls writes {said_bytes(row['bytes_per_call'])} to temporary files: {row['query']}.",
            Cure(
                text=f"An index in the order it asks for, or fewer columns and rows to sort; else SET LOCAL work_mem = '{mib}MB' before it.",
                statements=(f"SET LOCAL work_mem = '{mib}MB'",),
                by_hand="It is set in the transaction of this statement alone, which the application begins.",
            ),
            {"calls": row["calls"], "bytes_per_call": int(row["bytes_per_call"]), "mean_ms": round(row["mean_ms"], 2)},
        )


CHECK = Check(
    name="spilling_statement",
    area="statements",
    title="A statement sorts on disk",
    why="What does not fit into work_mem is written and read again, once or more.",
    cured="An index in that order, or work_mem for this statement.",
    limits={
        "bytes_per_call_min": Limit(value=8 * MIB, unit="bytes a call", why="Less is in the system's cache."),
        "calls_min": Limit(value=20, unit="calls", why="Reports by hand may spill."),
    },
    needs="pg_stat_statements",
    query=queries.rows,
    judge=judge,
)
