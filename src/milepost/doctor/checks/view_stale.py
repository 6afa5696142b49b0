"""Materialized views that are older than what they are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen, said_s
from milepost.doctor.checks.cures import refresh_view
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "view_stale.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            row["view"],
            "notice",
            f"{row['view']} was last written {said_s(row['age_s'])} ago; {row['source']} has changed since ({row['changed']} rows written).",
            refresh_view(
                f"Refresh {row['view']}, by a job that says when it fails; or keep a rollup instead.",
                row["view"],
                concurrently=row["unique"],
                by_hand="" if row["unique"] else "It has no unique index, so that a refresh locks its readers out.",
            ),
            {"age_s": round(row["age_s"]), "source": row["source"], "rows_written": row["changed"], "bytes": row["bytes"]},
        )


CHECK = Check(
    name="view_stale",
    area="views",
    title="A materialized view that is out of date",
    why="PostgreSQL refreshes none by itself: when the job that did it fails, numbers stand still and nobody is told.",
    cured="Refresh it, by a job that tells.",
    limits={
        "age_s_min": Limit(value=26 * 3600, unit="s", why="Many are refreshed once a night."),
        "changed_min": Limit(value=1000, unit="rows written to a source", why="What hardly changes need not be refreshed."),
    },
    applies=lambda target: "" if target.superuser else "only a superuser may ask when a file was written",
    query=queries.rows,
    judge=judge,
)
