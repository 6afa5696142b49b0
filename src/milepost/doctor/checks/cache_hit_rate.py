"""Pages that statements need and that are not in shared memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import GIB, MIB, Check, Limit, Row, Seen, said_bytes
from milepost.doctor.checks.cures import advise_index, set_setting
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "cache_hit_rate.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        memory = seen.machine.memory_bytes
        better = min(memory // 4, 16 * GIB) if memory else 2 * row["buffers_bytes"]
        more = better > 1.2 * row["buffers_bytes"]
        yield seen.finding(
            seen.target.dbname,
            "warning",
            f"Only {row['part']:.1%} of pages were found in shared memory; {said_bytes(row['read_bytes'])} were asked of the system.",
            set_setting(
                seen,
                "Give shared memory a quarter of the machine; then index what reads whole tables.",
                "shared_buffers",
                f"{better // MIB}MB",
                restart=True,
            )
            if more
            else advise_index("Shared memory has its quarter of the machine: find the statements that read too much."),
            {"hit_part": round(row["part"], 4), "read_bytes": row["read_bytes"], "shared_buffers_bytes": row["buffers_bytes"]},
        )


CHECK = Check(
    name="cache_hit_rate",
    area="server",
    title="Pages are not in memory",
    why="A page from the system costs ten times one in shared memory, and one from the disk a thousand times.",
    cured="More shared_buffers, or statements that read less.",
    limits={
        "part_min": Limit(value=0.95, unit="of pages", why="An application's working set should be in memory."),
        "read_bytes_min": Limit(value=50 * GIB, unit="bytes read", why="A server that was started lately has to read once."),
    },
    query=queries.rows,
    judge=judge,
)
