"""Tables whose autovacuum somebody has turned off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen
from milepost.doctor.checks.cures import set_options
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "autovacuum_disabled.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        yield seen.finding(
            row["table"],
            "warning",
            f"Autovacuum is off for {row['table']}, which has had {row['writes']} updates and deletes.",
            set_options(f"Let autovacuum look after {row['table']} again.", row["table"], {"autovacuum_enabled": True}),
            {"updates_and_deletes": row["writes"], "dead_rows": row["dead"], "bytes": row["bytes"]},
        )


CHECK = Check(
    name="autovacuum_disabled",
    area="tables",
    title="Autovacuum is off for a table",
    why="It bloats, its statistics grow old, and in the end a vacuum against wraparound comes when it suits nobody.",
    cured="Turn it on again; a bulk load that wanted quiet is over.",
    limits={"writes_min": Limit(value=10_000, unit="updates and deletes", why="What hardly changes needs little vacuum.")},
    query=queries.rows,
    judge=judge,
)
