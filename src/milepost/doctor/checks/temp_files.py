"""Sorts and hashes that do not fit into work_mem and go to disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import GIB, MIB, Check, Limit, Row, Seen, said_bytes, said_s
from milepost.doctor.checks.cures import set_setting
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "temp_files.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        needed = max(16 * MIB, 3 * row["file_bytes"])
        room = seen.machine.memory_bytes // (4 * row["connections"]) if seen.machine.memory_bytes else 64 * MIB
        value = f"{max(row['work_mem_bytes'], min(needed, max(room, 16 * MIB), GIB)) // MIB}MB"
        yield seen.finding(
            seen.target.dbname,
            "warning",
            f"{row['files']} temporary files with {said_bytes(row['bytes'])} in {said_s(seen.facts['stats_age_s'])}, {said_bytes(row['file_bytes'])} each.",
            set_setting(
                seen,
                "Let sorts and hashes have more memory; large reports rather by SET in their own session.",
                "work_mem",
                value,
            ),
            {
                "files": row["files"],
                "bytes": row["bytes"],
                "bytes_per_file": row["file_bytes"],
                "work_mem_bytes": row["work_mem_bytes"],
            },
        )


CHECK = Check(
    name="temp_files",
    area="server",
    title="Sorts and hashes go to disk",
    why="A sort on disk takes several times as long, and the files push other pages out of memory.",
    cured="More work_mem, or an index in the order asked for.",
    limits={
        "bytes_per_hour_min": Limit(value=GIB, unit="bytes an hour", why="Index builds and reports write some."),
        "files_min": Limit(value=100, unit="files", why="A few are of maintenance."),
    },
    query=queries.rows,
    judge=judge,
)
