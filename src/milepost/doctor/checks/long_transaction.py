"""Transactions at work for so long that vacuum waits for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen, said_s
from milepost.doctor.checks.cures import terminate
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "long_transaction.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            row["who"],
            "critical" if row["open_s"] >= 12 * seen.limits["open_s_min"] else "warning",
            f"{row['sessions']} transactions of {row['who']} have been at work for up to {said_s(row['open_s'])}: vacuum can clean nothing that died since.",
            terminate("Split it into batches, give it a replica, or a statement_timeout. To end it now:", row["pids"]),
            {"sessions": row["sessions"], "open_s": round(row["open_s"], 1), "pids": row["pids"], "statement": row["query"]},
        )


CHECK = Check(
    name="long_transaction",
    area="sessions",
    title="A long transaction",
    why="Its snapshot keeps every dead row since it began, in every table.",
    cured="Batches, a replica for reports, timeouts.",
    limits={"open_s_min": Limit(value=1800, unit="s", why="A backup or a nightly report may take that long.")},
    applies=lambda target: "" if target.monitor else "the user is not a member of pg_monitor",
    query=queries.rows,
    judge=judge,
)
