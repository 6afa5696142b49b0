"""Tables that have changed much since the planner last looked at them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.checks.cures import analyze_table
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "stale_statistics.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        when = f"since {row['analyzed']}" if row["analyzed"] else "and it was never analyzed"
        yield seen.finding(
            row["table"],
            "warning",
            f"{row['changed']} rows of {row['table']} ({row['rows']} rows) changed {when}: the planner works with what was there before.",
            analyze_table(f"Analyze {row['table']}.", row["table"]),
            {"changed_rows": row["changed"], "rows": row["rows"], "last_analyze": row["analyzed"]},
        )


CHECK = Check(
    name="stale_statistics",
    area="tables",
    title="Statistics of what was there before",
    why="A planner that expects ten rows where there are a million takes a nested loop.",
    cured="Analyze.",
    limits={
        "changed_min": Limit(value=50_000, unit="rows", why="Fewer change no plan."),
        "part_min": Limit(value=0.5, unit="of the rows", why="Autovacuum analyzes at 10 % by default; half is long past it."),
        "waiting_s_min": Limit(
            value=300, unit="s", why="Autovacuum looks once a minute, and analyzes one table after the other."
        ),
    },
    query=queries.rows,
    judge=judge,
)
