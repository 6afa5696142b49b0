"""The share of looks into large tables that go through an index, in the database as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.checks.cures import advise_index
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "index_usage.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        part = row["index_scans"] / (row["seq_scans"] + row["index_scans"])
        yield seen.finding(
            seen.target.dbname,
            "warning",
            f"Of all looks into large tables only {part:.0%} went through an index; most often read whole: "
            f"{', '.join(row['most_read_whole'])}.",
            advise_index("Index what the statements on these tables ask for."),
            {"index_scans": row["index_scans"], "seq_scans": row["seq_scans"], "index_part": round(part, 4)},
        )


CHECK = Check(
    name="index_usage",
    area="indexes",
    title="Large tables are seldom read through indexes",
    why="An application that looks up single rows should find nearly all of them through an index.",
    cured="Advice for the whole workload.",
    limits={
        "rows_min": Limit(value=50_000, unit="rows", why="Smaller tables are often best read whole."),
        "scans_min": Limit(value=10_000, unit="scans", why="Fewer say nothing about the workload."),
        "part_min": Limit(value=0.9, unit="of scans", why="Reports that read whole tables are a small part of all scans."),
    },
    query=queries.rows,
    judge=judge,
)
