"""Checkpoints that come because WAL has filled up, before their time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import LiteralString

from milepost.doctor.checks.check import MIB, Check, Limit, Row, Seen, said_bytes
from milepost.doctor.checks.cures import set_setting
from milepost.doctor.finding import Finding
from milepost.doctor.target import Target
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "checkpoint_pressure.sql")


def _query(target: Target) -> LiteralString:
    return queries.rows_17 if target.major >= 17 else queries.rows


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            "max_wal_size",
            "warning",
            f"{row['requested']} of {row['requested'] + row['timed']} checkpoints came because WAL had reached max_wal_size ({said_bytes(row['size_bytes'])}), "
            "or were asked for.",
            set_setting(
                seen,
                "Give WAL room for a checkpoint's whole time.",
                "max_wal_size",
                f"{max(4 * 1024, 4 * row['size_bytes'] // MIB)}MB",
            ),
            {"requested": row["requested"], "timed": row["timed"], "max_wal_size_bytes": row["size_bytes"]},
        )


CHECK = Check(
    name="checkpoint_pressure",
    area="server",
    title="Checkpoints come too early",
    why="After each, the first change of a page writes the whole page to WAL; and all dirty pages are written at once.",
    cured="A larger max_wal_size.",
    limits={
        "count_min": Limit(value=20, unit="requested checkpoints", why="Backups and bulk loads ask for some."),
        "part_min": Limit(value=0.5, unit="of checkpoints", why="Most should come by the clock."),
    },
    query=_query,
    judge=judge,
)
