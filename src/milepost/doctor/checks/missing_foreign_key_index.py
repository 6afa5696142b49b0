"""Foreign keys that no index serves: every delete in the parent, and every change of its key, reads the whole child."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from milepost.doctor.checks.check import Check, Limit, Row, Seen, said_bytes
from milepost.doctor.checks.cures import create_index
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "missing_foreign_key_index.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        columns = ", ".join(row["columns"])
        cure = create_index(f"Index {row['table']} by ({columns}).", row["table"], row["columns"])
        if row["kind"] == "p":
            # No CREATE INDEX CONCURRENTLY there: each partition gets its own first.
            text = f"{cure.text} Build it concurrently on each partition, then on the table: it attaches what is there."
            cure = replace(cure, text=text, statements=())
        yield seen.finding(
            f"{row['table']}.{row['name']}",
            "warning" if row["parent_writes"] > 0 else "notice",
            f"No index serves the foreign key {row['name']} ({columns}) to {row['parent']}: a delete there, or a join, reads all "
            f"{said_bytes(row['bytes'])} of {row['table']}.",
            cure,
            {"rows": row["rows"], "table_bytes": row["bytes"], "parent_deletes_and_updates": row["parent_writes"]},
        )


CHECK = Check(
    name="missing_foreign_key_index",
    area="indexes",
    title="A foreign key without an index",
    why="PostgreSQL indexes the parent's key and not the child's column: each delete in the parent scans the child while it holds locks.",
    cured="An index by the key's columns, built concurrently.",
    limits={"rows_min": Limit(value=10_000, unit="rows of the child", why="A smaller table is read in about a millisecond.")},
    query=queries.rows,
    judge=judge,
)
