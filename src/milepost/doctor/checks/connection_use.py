"""Connections that are nearly used up, or that idle in large numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "connection_use.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        part = row["used"] / row["most"]
        pool = max(4, 2 * (seen.machine.cores or 4) + 1)
        yield seen.finding(
            "max_connections",
            "critical" if part >= 0.95 else "warning",
            f"{row['used']} of {row['most']} connections are taken ({part:.0%}), {row['active']} of them at work, {row['idle']} idle.",
            Cure(
                text=f"Put a pool before the server, with about {pool} connections in all: more than two for each core only wait for one another. "
                "Let the applications' own pools sum up to less than max_connections.",
                by_hand="A pool stands between the applications and the server, where no statement reaches.",
            ),
            {"used": row["used"], "most": row["most"], "active": row["active"], "idle": row["idle"], "pool": pool},
        )


CHECK = Check(
    name="connection_use",
    area="sessions",
    title="Connections run out",
    why="The one after the last is refused; and each idle one takes megabytes and slows every snapshot.",
    cured="A pool of the right size.",
    limits={
        "part_min": Limit(value=0.8, unit="of max_connections", why="Up to there is room for a peak."),
        "used_min": Limit(value=10, unit="connections", why="A server for a few has few."),
    },
    applies=lambda target: "" if target.monitor else "the user is not a member of pg_monitor",
    query=queries.rows,
    judge=judge,
)
