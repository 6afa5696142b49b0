"""Tables whose oldest transaction is so old that the server will stop taking writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.checks.cures import vacuum_table
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "wraparound.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        age = max(row["age"], row["members_age"])
        yield seen.finding(
            row["table"],
            "critical" if age >= 2 * seen.limits["age_min"] else "warning",
            f"{row['table']} has rows {age} transactions old; at 2.1 billion the server takes no more writes.",
            vacuum_table(
                f"Freeze {row['table']}; and end what holds vacuum back: old transactions, slots, prepared ones.",
                row["table"],
                freeze=True,
            ),
            {"age_transactions": row["age"], "multixact_age": row["members_age"], "bytes": row["bytes"]},
        )


CHECK = Check(
    name="wraparound",
    area="tables",
    title="Transaction ids run out",
    why="Ids are 32 bits wide. What is not frozen in time stops the whole server.",
    cured="Vacuum with FREEZE.",
    limits={
        "age_min": Limit(
            value=700_000_000,
            unit="transactions",
            why="Autovacuum freezes at 200 million: what is far past it has not been done.",
        )
    },
    query=queries.rows,
    judge=judge,
)
