"""Tables that are much larger than their rows need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import GIB, MIB, Check, Limit, Row, Seen, said_bytes
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "bloated_table.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            row["table"],
            "warning" if row["wasted_bytes"] >= GIB else "notice",
            f"{row['table']} takes {said_bytes(row['bytes'])} for {row['rows']} rows that need about {said_bytes(row['expected_bytes'])}.",
            _cure(row["table"], row["keyed"]),
            {name: row[name] for name in ("bytes", "expected_bytes", "wasted_bytes", "rows")},
        )


def _cure(table: str, keyed: bool) -> Cure:
    if keyed:
        return Cure(
            text=f"Write it anew while it is used; VACUUM FULL does the same, and locks {table} for as long as it takes. Let autovacuum come earlier "
            "(autovacuum_vacuum_scale_factor), so that it does not grow so far again.",
            statements=(f"VACUUM (FULL, ANALYZE) {table}",),
            operation={"operation": "rewrite_table", "table": table},
        )
    return Cure(
        text=f"New rows will fill it. To give the room back: VACUUM FULL in a quiet window (it locks {table}; without a primary key no rollout writes "
        "it anew); and let autovacuum come earlier, so that it does not grow so far again.",
        statements=(f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.02)",),
        operation={"operation": "set_options", "table": table, "options": {"autovacuum_vacuum_scale_factor": 0.02}},
    )


CHECK = Check(
    name="bloated_table",
    area="tables",
    title="A table that is mostly empty",
    why="What deletes and updates left is read by every scan of the whole table, and held in memory.",
    cured="A rewrite while it is used, and autovacuum earlier.",
    limits={
        "wasted_bytes_min": Limit(value=200 * MIB, unit="bytes", why="Less is not worth a rewrite."),
        "wasted_part_min": Limit(value=0.4, unit="of its size", why="The estimate is good to some 20 %, and 20 % is normal."),
    },
    query=queries.rows,
    judge=judge,
)
