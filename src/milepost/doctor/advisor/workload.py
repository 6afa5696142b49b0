"""What a database is asked, and how often.

A file holds SQL statements, each ended by a semicolon; a line `-- calls: 120` before one says how often it runs (1 without), a
line `-- name: checkout` what to call it. The target's own is read from pg_stat_statements, whose constants are `$1`, `$2`: such a
statement is planned for any value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import postgast

from milepost.doctor.normalized import plannable
from milepost.doctor.target import Target
from milepost.errors import InvalidInput
from milepost.postgres import dict_row, load_queries

__all__ = ["Statement", "Workload", "read_statements", "read_target"]

Workload = tuple["Statement", ...]

queries = load_queries(__package__, "workload.sql")

STATEMENTS_MAX = 500
NOTE = re.compile(r"^\s*--\s*(calls|name)\s*:\s*(\S+)\s*$", re.MULTILINE)
PLANNED = frozenset({"select_stmt", "insert_stmt", "update_stmt", "delete_stmt", "merge_stmt"})


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One shape of statement. name: unique in its workload. calls: how often it runs, against the others. rows: that one call
    returns or changes on average; None where nobody knows.
    """

    name: str
    sql: str
    calls: float = 1.0
    rows: float | None = None

    @property
    def parameters(self) -> bool:
        return re.search(r"\$\d", self.sql) is not None


def read_statements(file: Path) -> Workload:
    """Raises `InvalidInput` with the statement that cannot be read."""
    found: list[Statement] = []
    for number, piece in enumerate(_split(file.read_text(encoding="utf-8")), start=1):
        notes = dict(NOTE.findall(piece))
        try:
            calls = float(notes.get("calls", 1))
        except ValueError:
            raise InvalidInput(f"Statement {number} of {file} has calls: {notes['calls']}, which is no number.") from None
        text = "\n".join(line for line in piece.splitlines() if not NOTE.match(line)).strip()
        found.append(Statement(name=notes.get("name", f"s{number}"), sql=plannable(text), calls=calls))
    if len({one.name for one in found}) < len(found):
        raise InvalidInput(f"Two statements of {file} have the same name.")
    if not found:
        raise InvalidInput(f"There is no statement in {file}.")
    return tuple(found)


def _split(text: str) -> list[str]:
    """Its statements, each with the comments before it; what follows the last one is none."""
    try:
        postgast.parse(text)  # splitting passes over what is no SQL
        return [piece for piece in postgast.split(text, method="scanner") if postgast.parse(piece).stmts]
    except postgast.PgQueryError as error:
        raise InvalidInput(f"The workload's SQL cannot be read: {error}") from error


async def read_target(target: Target) -> Workload:
    """The statements of this database that took the most time, since pg_stat_statements was reset."""
    if "pg_stat_statements" not in target.extensions:
        raise InvalidInput(
            "This database has no pg_stat_statements, which says what it is asked: CREATE EXTENSION pg_stat_statements (the "
            "server must preload it), or give the statements with --workload FILE."
        )
    async with target.reading() as connection:
        cursor = connection.cursor(row_factory=dict_row)
        rows = await (await cursor.execute(queries.statements, {"limit": STATEMENTS_MAX})).fetchall()
    return tuple(Statement(**{**row, "sql": plannable(row["sql"])}) for row in rows if _planned(row["sql"]))


def _planned(sql: str) -> bool:
    """Whether it is one that has a plan; what cannot be parsed (a text that was cut off) has none."""
    try:
        found = postgast.parse(sql).stmts
    except postgast.PgQueryError:
        return False
    return len(found) == 1 and found[0].stmt.WhichOneof("node") in PLANNED
