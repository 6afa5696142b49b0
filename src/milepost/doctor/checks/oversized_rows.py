"""Tables whose rows carry large documents: JSON, text or bytes of many kilobytes each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import GIB, KIB, Check, Limit, Row, Seen, said_bytes
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "oversized_rows.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        columns = ", ".join(row["columns"])
        yield seen.finding(
            row["table"],
            "warning" if row["updates"] >= row["rows"] * 0.1 else "notice",
            f"A row of {row['table']} has {said_bytes(row['toast_bytes'] / row['rows'])} outside the table, {said_bytes(row['toast_bytes'])} in all "
            f"({columns}); {row['updates']} updates.",
            Cure(
                text=f"Keep large content ({columns}) in a table or object store of its own, and name only the columns that are needed: each SELECT * "
                "fetches it all, and a change of one key writes the whole value again.",
                by_hand="The application has to read and write it elsewhere.",
            ),
            {
                "rows": row["rows"],
                "bytes": row["toast_bytes"],
                "bytes_per_row": round(row["toast_bytes"] / row["rows"]),
                "updates": row["updates"],
            },
        )


CHECK = Check(
    name="oversized_rows",
    area="tables",
    title="Rows with large documents in them",
    why="A large value is kept in pieces outside the row: reading it takes many looks, changing one key in it writes all of it.",
    cured="Large content apart from what is searched and changed.",
    limits={
        "bytes_min": Limit(value=GIB, unit="bytes outside the table", why="Less fits into memory."),
        "row_bytes_min": Limit(value=16 * KIB, unit="bytes a row", why="Smaller values are some pieces each."),
    },
    query=queries.rows,
    judge=judge,
)
