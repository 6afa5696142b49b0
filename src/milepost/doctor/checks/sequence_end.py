"""Sequences that are near the end of their numbers, or of their column's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.checks.cures import alter_sequence
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "sequence_end.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        part = row["last"] / row["most"]
        if row["column_type"] in ("integer", "smallint"):
            cure = Cure(
                text=f"Make {row['column']} of {row['table']} a bigint, by a shadow column: a plain change of the type rewrites the table under a lock.",
                operation={"operation": "change_type", "table": row["table"], "column": row["column"], "type": "bigint"},
            )
        else:
            cure = alter_sequence(f"Let {row['sequence']} count further.", row["sequence"], type="bigint", maximum=2**63 - 1)
        yield seen.finding(
            row["sequence"],
            "critical" if part >= 0.9 else "warning",
            f"{row['sequence']} is at {row['last']} of {row['most']} ({part:.0%}): at the end, inserts fail.",
            cure,
            {
                "last": row["last"],
                "most": row["most"],
                "used_part": round(part, 4),
                "column": row["column"],
                "column_type": row["column_type"],
            },
        )


CHECK = Check(
    name="sequence_end",
    area="tables",
    title="A sequence near its end",
    why="An integer key ends at 2,147,483,647. The insert after that fails, and so do all others.",
    cured="A wider column, or a wider sequence.",
    limits={
        "part_min": Limit(value=0.7, unit="of its numbers", why="Widening a large table takes weeks to plan: start in time.")
    },
    query=queries.rows,
    judge=judge,
)
