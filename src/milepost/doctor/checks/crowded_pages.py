"""Tables whose updates find no room in their page, and so write to every index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.checks.cures import set_options
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "crowded_pages.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        moved = row["moved"] / row["updates"]
        yield seen.finding(
            row["table"],
            "notice",
            f"{moved:.0%} of {row['updates']} updates of {row['table']} moved the row to another page, for want of room in its own: each wrote to all "
            f"{row['indexes']} indexes.",
            set_options(
                f"Leave a tenth of each page of {row['table']} free; it takes effect as pages are written.",
                row["table"],
                {"fillfactor": 90},
            ),
            {"updates": row["updates"], "moved": row["moved"], "hot": row["hot"], "indexes": row["indexes"]},
        )


CHECK = Check(
    name="crowded_pages",
    area="tables",
    title="Updates find no room in their page",
    why="An update that stays in its page (HOT) touches no index. In a full page it cannot.",
    cured="A fillfactor that leaves room.",
    limits={
        "updates_min": Limit(value=100_000, unit="updates", why="Fewer cost little."),
        "part_min": Limit(value=0.5, unit="of updates", why="A full page that is vacuumed has room again: some always move."),
    },
    applies=lambda target: "" if target.major >= 16 else "PostgreSQL 15 does not count rows that move",
    query=queries.rows,
    judge=judge,
)
