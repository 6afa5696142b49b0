"""WAL that cannot be archived."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "archive_failing.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            "archive_command",
            "critical",
            f"Archiving has failed {row['failed']} times, last at {row['last_failed']} for {row['last_wal']}; nothing was archived since.",
            Cure(
                text="See the server's log for what archive_command said. WAL is kept until it works, and fills the disk meanwhile.",
                by_hand="Only the log of the server and the archive itself tell what is wrong.",
            ),
            {"failed": row["failed"], "last_failed_wal": row["last_wal"], "last_archived": row["last_archived"]},
        )


CHECK = Check(
    name="archive_failing",
    area="server",
    title="WAL is not archived",
    why="A backup is worth nothing past the last archived file; and the disk fills.",
    cured="What archive_command says in the log.",
    limits={"failed_min": Limit(value=3, unit="failures", why="The server tries three times before it rests.")},
    query=queries.rows,
    judge=judge,
)
