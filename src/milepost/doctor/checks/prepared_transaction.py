"""Transactions prepared for two-phase commit that nobody ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen, said_s
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "prepared_transaction.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            f"{row['database']}.{row['gid']}",
            "critical",
            f"The transaction {row['gid']} of {row['owner']} was prepared {said_s(row['age_s'])} ago and neither committed nor rolled back: it holds its "
            "locks, and vacuum back, through restarts.",
            Cure(
                text="Ask its coordinator what became of it; then end it.",
                statements=(f"ROLLBACK PREPARED '{row['quoted']}'",),
                by_hand="Only its coordinator knows whether it was to be committed.",
            ),
            {"age_s": round(row["age_s"], 1), "owner": row["owner"]},
        )


CHECK = Check(
    name="prepared_transaction",
    area="sessions",
    title="A prepared transaction that was forgotten",
    why="No session shows it, and a restart does not end it.",
    cured="Commit or roll it back.",
    limits={"age_s_min": Limit(value=600, unit="s", why="A coordinator ends what it prepared within seconds.")},
    query=queries.rows,
    judge=judge,
)
