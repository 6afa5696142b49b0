"""Tables in which many rows are dead: deleted or updated, and not vacuumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.checks.cures import vacuum_table
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "dead_rows.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        part = row["dead"] / (row["dead"] + row["rows"])
        yield seen.finding(
            row["table"],
            "critical" if part >= 0.5 and row["dead"] >= 1_000_000 else "warning",
            f"{part:.0%} of the rows in {row['table']} are dead ({row['dead']}); last vacuumed {row['vacuumed'] or 'never'}.",
            vacuum_table(f"Vacuum {row['table']}. If they stay, an old transaction or slot still needs them.", row["table"]),
            {"dead_rows": row["dead"], "rows": row["rows"], "last_vacuum": row["vacuumed"], "bytes": row["bytes"]},
        )


CHECK = Check(
    name="dead_rows",
    area="tables",
    title="Many dead rows",
    why="Every scan passes over them, and their places cannot be used again.",
    cured="Vacuum.",
    limits={
        "dead_min": Limit(value=50_000, unit="rows", why="Fewer are passed over quickly."),
        "part_min": Limit(value=0.3, unit="of all rows", why="Autovacuum comes at 20 % by default: that much is normal."),
    },
    query=queries.rows,
    judge=judge,
)
