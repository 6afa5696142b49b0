"""Indexes that no statement has read since the counters began: each write pays for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import MIB, Check, Limit, Row, Seen, said_bytes, said_s
from milepost.doctor.checks.cures import drop_index
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "unused_index.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    age = said_s(seen.facts["stats_age_s"])
    for row in rows:
        text = f"Drop {row['index']}, unless a standby's statements read it: each server counts its own."
        if row["kind"] == "I":  # a partitioned index cannot be dropped concurrently
            cure = Cure(
                text=text,
                statements=(f"SET lock_timeout = '1s'; DROP INDEX {row['index']}",),
                by_hand="It goes under a lock of all partitions at once, and is not built again as easily.",
            )
        else:
            cure = drop_index(text, row["index"])
        yield seen.finding(
            row["index"],
            "warning",
            f"Nothing has read {row['index']} ({said_bytes(row['bytes'])}) for {age}, and {row['writes']} writes of {row['table']} "
            "kept it.",
            cure,
            {"bytes": row["bytes"], "writes": row["writes"], "scans": 0, "counted_s": seen.facts["stats_age_s"]},
        )


CHECK = Check(
    name="unused_index",
    area="indexes",
    title="An index that nothing reads",
    why="Each insert, and each update that is not HOT, writes to every index of its table; and memory holds their pages.",
    cured="Drop it concurrently. A standby counts its own reads: ask it first.",
    limits={
        "bytes_min": Limit(value=10 * MIB, unit="bytes", why="A smaller index costs little."),
        "writes_min": Limit(value=1000, unit="writes of the table", why="An index on what is never written costs no write."),
        "age_s_min": Limit(value=7 * 86_400, unit="s", why="A weekly report may need it: counters must be a week old."),
    },
    query=queries.rows,
    judge=judge,
)
