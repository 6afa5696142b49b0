"""Twins of a column's indexes: the same index on another column, built beside it, that takes its place in one transaction."""

from __future__ import annotations

import re
from dataclasses import dataclass

from milepost.doctor.rollout.names import Table, fitted, quoted
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict
from milepost.postgres import load_queries, sql

__all__ = ["Twin", "twins_of"]

queries = load_queries(__package__, "change_type.sql")

KINDS = {"p": "PRIMARY KEY", "u": "UNIQUE"}


@dataclass(frozen=True, kw_only=True)
class Twin:
    """name: its own, until it takes over `of`. definition: builds it concurrently. constraint: what rests on `of`, and its kind."""

    schema: str
    name: str
    of: str
    definition: str
    constraint: str | None
    kind: str | None
    deferrable: bool

    def drop(self, table: Table) -> sql.Composed:
        """The statement that takes away the one it is a twin of."""
        if self.constraint is not None:
            return sql.SQL(queries.drop_constraint).format(table=table.identifier, name=sql.Identifier(self.constraint))
        return sql.SQL(queries.drop_index).format(index=sql.Identifier(self.schema, self.of))

    def take_over(self, table: Table) -> sql.Composed:
        if self.constraint is None:
            index = sql.Identifier(self.schema, self.name)
            return sql.SQL(queries.rename_index).format(index=index, name=sql.Identifier(self.of))
        return sql.SQL(queries.add_unique).format(
            table=table.identifier,
            name=sql.Identifier(self.constraint),
            kind=sql.SQL(KINDS[self.kind or ""]),
            index=sql.Identifier(self.name),
            deferrable=sql.SQL("DEFERRABLE" if self.deferrable else ""),
        )


async def twins_of(work: Work, table: Table, column: str, to: str, attnum: int) -> list[Twin]:
    """One for each index on `column`, on `to`. Raises `Conflict` for an index that has the column in an expression or a condition."""
    twins = []
    for row in await work.rows(queries.indexes, {"table": table.oid, "attnum": attnum}):
        if re.search(rf"(?<![\w$]){re.escape(quoted(column))}(?![\w$])", row["expressions"]):
            raise Conflict(
                f"The index {row['name']} has {column} in an expression or a condition: drop it first.", index=row["name"]
            )
        if row["marked"] or row["kind"] == "x":
            raise Conflict(f"The index {row['name']} is clustered on, a replica identity or an exclusion: drop that first.")
        name = fitted(f"{row['name']}_{'new' if to.endswith('_new') else 'old'}")
        twins.append(
            Twin(
                schema=row["schema"],
                name=name,
                of=row["name"],
                definition=_with(row["definition"], row["name"], name, column, to),
                constraint=row["constraint"],
                kind=row["kind"],
                deferrable=bool(row["deferrable"]),
            )
        )
    return twins


def _with(definition: str, of: str, name: str, column: str, to: str) -> str:
    """`CREATE [UNIQUE] INDEX of ON table USING method (element, …) [INCLUDE (…)] …`, with another name and column, concurrently."""
    head, method, rest = definition.partition(" USING ")
    head = head.replace(f" INDEX {quoted(of)} ON ", f" INDEX CONCURRENTLY {quoted(name)} ON ", 1)
    # An element begins behind a bracket or a comma; elsewhere the column is not (it was looked for in expressions and conditions).
    element = re.compile(rf"([(,] ?){re.escape(quoted(column))}(?=[ ,)])")
    return head + method + element.sub(lambda found: f"{found[1]}{quoted(to)}", rest)
