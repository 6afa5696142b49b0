"""WAL that is written faster than replicas and archives are made for, most of it whole pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import MIB, Check, Limit, Row, Seen, said_bytes
from milepost.doctor.checks.cures import set_setting
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "wal_rate.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            "wal",
            "notice",
            f"{said_bytes(row['bytes_per_s'])} of WAL a second; {row['images']} of {row['records']} records carried whole pages.",
            set_setting(
                seen,
                "Have fewer checkpoints, so that fewer changes write a whole page; drop unused indexes, too.",
                "checkpoint_timeout",
                "30min",
            ),
            {"wal_bytes_per_s": round(row["bytes_per_s"]), "full_page_images": row["images"], "records": row["records"]},
        )


CHECK = Check(
    name="wal_rate",
    area="server",
    title="Much WAL, most of it whole pages",
    why="WAL is written, sent to replicas and archived: it bounds what a server can take.",
    cured="Longer between checkpoints, fewer indexes.",
    limits={
        "bytes_per_s_min": Limit(value=5 * MIB, unit="bytes/s", why="Less is 400 GiB a day."),
        "age_s_min": Limit(
            value=3600, unit="s", why="A server that was just made or reset has written little but its beginning."
        ),
        "images_part_min": Limit(
            value=0.1, unit="of records", why="With room between checkpoints, a page is written whole once for many changes."
        ),
    },
    query=queries.rows,
    judge=judge,
)
