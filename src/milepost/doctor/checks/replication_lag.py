"""Replicas that are behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import MIB, Check, Limit, Row, Seen, said_bytes, said_s
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "replication_lag.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            row["name"],
            "critical" if row["lag_s"] >= 10 * seen.limits["lag_s_min"] else "warning",
            f"The replica {row['name']} is {said_s(row['lag_s'])} and {said_bytes(row['lag_bytes'])} behind.",
            Cure(
                text="Look what it waits for: a long query there (max_standby_streaming_delay), its disk, or the network; send reads that must be fresh "
                "to the primary meanwhile.",
                by_hand="The cause lies on the standby, or between the two.",
            ),
            {"lag_s": round(row["lag_s"], 1), "lag_bytes": int(row["lag_bytes"]), "state": row["state"]},
        )


CHECK = Check(
    name="replication_lag",
    area="server",
    title="A replica is behind",
    why="Who reads there reads the past; and after a failover that past is all there is.",
    cured="What it waits for.",
    limits={
        "lag_s_min": Limit(value=30, unit="s", why="A burst of writes is applied within seconds."),
        "lag_bytes_min": Limit(
            value=16 * MIB, unit="bytes", why="An idle primary's replica has an old time and nothing to do."
        ),
    },
    applies=lambda target: "" if target.monitor else "the user is not a member of pg_monitor",
    query=queries.rows,
    judge=judge,
)
