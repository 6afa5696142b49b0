"""Sessions that have begun a transaction and do nothing in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen, said_s
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "idle_in_transaction.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            row["who"],
            "critical" if row["idle_s"] >= 10 * seen.limits["idle_s_min"] else "warning",
            f"{row['sessions']} sessions of {row['who']} have been idle in a transaction for up to {said_s(row['idle_s'])}: their locks stay, and no dead "
            "row of that time can be vacuumed, anywhere.",
            Cure(
                text="End them, find where the application forgets its COMMIT, and let the server end such sessions by itself.",
                statements=(
                    *(f"SELECT pg_terminate_backend({pid})" for pid in row["pids"]),
                    "ALTER SYSTEM SET idle_in_transaction_session_timeout = '60s'",
                    "SELECT pg_reload_conf()",
                ),
                operation={"operation": "set_setting", "setting": "idle_in_transaction_session_timeout", "value": "60s"},
            ),
            {
                "sessions": row["sessions"],
                "idle_s": round(row["idle_s"], 1),
                "pids": row["pids"],
                "last_statement": row["query"],
            },
        )


CHECK = Check(
    name="idle_in_transaction",
    area="sessions",
    title="Idle in a transaction",
    why="One forgotten COMMIT holds row locks and keeps vacuum from cleaning the whole server.",
    cured="End it; idle_in_transaction_session_timeout.",
    limits={
        "idle_s_min": Limit(
            value=60, unit="s", why="An application that waits for something else within a transaction is back by then."
        )
    },
    applies=lambda target: "" if target.monitor else "the user is not a member of pg_monitor",
    query=queries.rows,
    judge=judge,
)
