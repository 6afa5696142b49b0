"""Constraints that were added NOT VALID, and never validated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "unvalidated_constraint.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            f"{row['table']}.{row['name']}",
            "notice",
            f"The constraint {row['name']} of {row['table']} holds for new rows only: nobody has looked at the {row['rows']} that were there.",
            Cure(
                text=f"Validate {row['name']}: it reads the table, and reads and writes go on.",
                statements=(f"ALTER TABLE {row['table']} VALIDATE CONSTRAINT {row['name']}",),
                operation={"operation": "validate_constraint", "table": row["table"], "constraint": row["bare"]},
            ),
            {"rows": row["rows"], "kind": row["kind"]},
        )


CHECK = Check(
    name="unvalidated_constraint",
    area="tables",
    title="A constraint that was never validated",
    why="The planner may not rely on it, and the second half of a safe migration has been forgotten.",
    cured="Validate it.",
    limits={"rows_min": Limit(value=1, unit="rows", why="An empty table has nothing to look at.")},
    query=queries.rows,
    judge=judge,
)
