"""The counters of statements, without which much cannot be seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import MIB, Check, Limit, Row, Seen
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "missing_extension.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        steps = []
        if not row["preloaded"]:
            listed = ", ".join(filter(None, [row["libraries"], "pg_stat_statements"]))
            steps.append(
                f"ALTER SYSTEM SET shared_preload_libraries = {', '.join(repr(one.strip()) for one in listed.split(','))}"
            )
        steps.append("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        restart = "" if row["preloaded"] else " The server is started again in between."
        yield seen.finding(
            "pg_stat_statements",
            "notice",
            "pg_stat_statements is not installed in this database: which statements take the time is not known.",
            Cure(text=f"Install it; it costs about one percent.{restart}", statements=tuple(steps)),
            {"preloaded": row["preloaded"], "shared_preload_libraries": row["libraries"]},
        )


CHECK = Check(
    name="missing_extension",
    area="settings",
    title="Statements are not counted",
    why="Slow, frequent and spilling statements are found by their counters.",
    cured="pg_stat_statements.",
    limits={"database_bytes_min": Limit(value=100 * MIB, unit="bytes", why="A small database has nothing to count.")},
    applies=lambda target: "" if "pg_stat_statements" in target.available else "this server has no pg_stat_statements",
    query=queries.rows,
    judge=judge,
)
