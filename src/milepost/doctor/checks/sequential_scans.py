"""Large tables that statements read whole, again and again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen, said_bytes
from milepost.doctor.checks.cures import advise_index
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "sequential_scans.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            row["table"],
            "critical" if row["rows_per_s"] >= 1_000_000 else "warning",
            f"{row['table']} ({said_bytes(row['bytes'])}, {row['rows']} rows) was read whole {row['seq_scans']} times: "
            f"{row['rows_per_s']:.0f} rows a second.",
            advise_index(f"Index what the statements on {row['table']} ask for."),
            {
                "seq_scans": row["seq_scans"],
                "rows": row["rows"],
                "rows_read_per_s": round(row["rows_per_s"]),
                "bytes": row["bytes"],
            },
        )


CHECK = Check(
    name="sequential_scans",
    area="indexes",
    title="A large table is read whole, often",
    why="A statement that wants a few rows and reads all of them grows with the table, and pushes the rest out of memory.",
    cured="An index that serves the statement, proved by the advisor.",
    limits={
        "rows_min": Limit(value=50_000, unit="rows", why="Smaller tables are read in milliseconds."),
        "scans_min": Limit(value=100, unit="scans", why="Dumps and reports read tables whole, too, but not often."),
        "rows_per_s_min": Limit(value=10_000, unit="rows/s", why="About a core's hundredth."),
    },
    query=queries.rows,
    judge=judge,
)
