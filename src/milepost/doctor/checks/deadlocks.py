"""Deadlocks: transactions that waited for each other until one was thrown away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen, said_s
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "deadlocks.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            seen.target.dbname,
            "warning",
            f"{row['deadlocks']} deadlocks in {said_s(seen.facts['stats_age_s'])}: {row['per_day']:.1f} a day, each a transaction that failed after "
            f"{row['timeout']}.",
            Cure(
                text="Take locks in one order everywhere: sort rows before a batch of updates, lock parents before children; the server's log names the "
                "statements of each.",
                by_hand="The order of locks is in the application's code.",
            ),
            {"deadlocks": row["deadlocks"], "per_day": round(row["per_day"], 2)},
        )


CHECK = Check(
    name="deadlocks",
    area="sessions",
    title="Deadlocks",
    why="Each throws away a transaction's work, after deadlock_timeout of waiting.",
    cured="One order of locking.",
    limits={
        "count_min": Limit(value=5, unit="deadlocks", why="A handful in a lifetime is chance."),
        "per_day_min": Limit(value=1, unit="a day", why="Fewer are cheaper to retry than to remove."),
    },
    query=queries.rows,
    judge=judge,
)
