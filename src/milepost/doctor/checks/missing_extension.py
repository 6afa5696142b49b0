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
        make = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"
        cure = Cure(
            text="Install it; it costs about one percent.",
            statements=(make,),
            operation={"operation": "create_extension", "extension": "pg_stat_statements"},
        )
        if not row["preloaded"]:
            listed = [*(one.strip() for one in row["libraries"].split(",") if one.strip()), "pg_stat_statements"]
            load = f"ALTER SYSTEM SET shared_preload_libraries = {', '.join(map(repr, listed))}"
            cure = Cure(
                text="Install it; it costs about one percent. First it is loaded: the server is started again, and then this finding's cure makes it.",
                statements=(load, make),
                operation={"operation": "set_setting", "setting": "shared_preload_libraries", "value": listed},
            )
        yield seen.finding(
            "pg_stat_statements",
            "notice",
            "pg_stat_statements is not installed in this database: which statements take the time is not known.",
            cure,
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
