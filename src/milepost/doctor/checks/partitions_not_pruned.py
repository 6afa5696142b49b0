"""Partitioned tables of which every statement reads all partitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "partitions_not_pruned.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            row["table"],
            "warning",
            f"Statements look into all {row['partitions']} partitions of {row['table']} alike: even the one least looked into had {row['least']} scans, "
            f"the busiest {row['most']}.",
            Cure(
                text=f"Let statements on {row['table']} name the partition key ({row['key']}) with values of its own type, and without a function over "
                "it; `milepost doctor explain` shows what is pruned. If they cannot, another key fits better.",
                by_hand="The statements are the application's.",
            ),
            {"partitions": row["partitions"], "scans_least": row["least"], "scans_most": row["most"], "key": row["key"]},
        )


CHECK = Check(
    name="partitions_not_pruned",
    area="partitions",
    title="Partitions that are never pruned",
    why="A statement without the partition key looks into every partition: it costs more with each month.",
    cured="The partition key in the statements' conditions.",
    limits={
        "partitions_min": Limit(value=4, unit="partitions", why="Of two or three, many statements need all."),
        "scans_min": Limit(value=5_000, unit="scans of each", why="Fewer may be maintenance, dumps and reports."),
        "part_min": Limit(
            value=0.8,
            unit="of the busiest's scans",
            why="Where statements are pruned, old partitions are looked into far less.",
        ),
    },
    query=queries.rows,
    judge=judge,
)
