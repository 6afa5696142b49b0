"""Tables in which a row cannot be told from another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "missing_primary_key.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            row["table"],
            "notice",
            f"{row['table']} ({row['rows']} rows) has neither a primary key nor a unique index without NULL: rows can be there twice, and logical "
            "replication cannot update them.",
            Cure(
                text="Give it a primary key: the operation `add_key` of a rollout builds it while the table is used.",
                by_hand="Which columns tell rows apart is for a person to say.",
            ),
            {"rows": row["rows"], "bytes": row["bytes"]},
        )


CHECK = Check(
    name="missing_primary_key",
    area="tables",
    title="A table without a key",
    why="Duplicates go unnoticed, tools cannot name a row, and logical replication sends no updates of it.",
    cured="A primary key.",
    limits={"rows_min": Limit(value=10_000, unit="rows", why="Small tables are often lists or stages.")},
    query=queries.rows,
    judge=judge,
)
