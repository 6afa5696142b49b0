"""Autovacuum that does not get round: tables wait for it that are long due."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen, said_s
from milepost.doctor.checks.cures import set_setting
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "autovacuum_behind.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            seen.target.dbname,
            "warning",
            f"{row['overdue']} tables are due for vacuum twice over, the oldest for {said_s(row['waiting_s'])}; {row['running']} of {row['workers']} "
            f"workers are at work: {', '.join(row['tables'])}.",
            set_setting(
                seen,
                "Let each round of autovacuum do more before it rests; the workers share one budget, so more of them alone do not help.",
                "autovacuum_vacuum_cost_limit",
                str(max(1000, 2 * row["cost_limit"])),
            ),
            {
                "overdue_tables": row["overdue"],
                "workers": row["workers"],
                "running": row["running"],
                "waiting_s": row["waiting_s"],
            },
        )


CHECK = Check(
    name="autovacuum_behind",
    area="tables",
    title="Autovacuum does not get round",
    why="Its default budget is some 8 MB of changes a second over all tables; past it, tables bloat one by one.",
    cured="A larger budget.",
    limits={
        "dead_min": Limit(value=50_000, unit="rows of a table", why="Fewer are vacuumed in a moment."),
        "tables_min": Limit(value=3, unit="tables", why="One that is late may be large, or held back by an old transaction."),
        "waiting_s_min": Limit(value=1800, unit="s", why="A round over all tables may take that long."),
    },
    query=queries.rows,
    judge=judge,
)
