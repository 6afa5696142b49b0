"""A table and its twin: what is called how, what keeps the two in step, and the statements by which they change names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from milepost.doctor.rollout.names import Table, fitted, quoted
from milepost.doctor.rollout.operations._triggers import switched
from milepost.doctor.rollout.work import Statement, Work
from milepost.postgres import load_queries, sql

__all__ = ["NEW", "OLD", "Names", "index_definition", "names", "queries", "swap", "widened"]

queries = load_queries(__package__, "twin_table.sql")

NEW: Final = "_milepost_new"
OLD: Final = "_milepost_old"


@dataclass(frozen=True, kw_only=True)
class Names:
    """What is called how, for one table and its twin."""

    schema: str
    table: str

    def beside(self, suffix: str) -> sql.Identifier:
        """The twin, while it bears that name."""
        return sql.Identifier(self.schema, fitted(self.table + suffix))

    @property
    def trigger(self) -> sql.Identifier:
        return sql.Identifier("zzz_milepost_twin")

    @property
    def truncate_trigger(self) -> sql.Identifier:
        return sql.Identifier("zzz_milepost_twin_truncate")

    @property
    def ours(self) -> list[str]:
        return ["zzz_milepost_twin", "zzz_milepost_twin_truncate"]

    @property
    def function(self) -> sql.Identifier:
        return sql.Identifier("milepost_doctor", fitted(f"twin_{self.schema}_{self.table}"))

    @property
    def missed(self) -> sql.Identifier:
        return sql.Identifier("milepost_doctor", fitted(f"missed_{self.schema}_{self.table}"))

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.table)

    def in_step(
        self, source: sql.Identifier, to: sql.Identifier, columns: Sequence[str], key: Sequence[str]
    ) -> list[Statement]:
        """Triggers on `source` that write the same to `to`."""
        body = sql.SQL(queries.body).format(
            to=to,
            missed=self.missed,
            key=names(key),
            old=sql.SQL(", ").join(sql.SQL("OLD.{}").format(sql.Identifier(one)) for one in key),
            columns=names(columns),
            new=sql.SQL(", ").join(sql.SQL("NEW.{}").format(sql.Identifier(one)) for one in columns),
        )
        parts = {"function": self.function, "table": source}
        return [
            sql.SQL(queries.make_function).format(body=sql.Literal(body.as_string()), **parts),
            sql.SQL(queries.make_trigger).format(trigger=self.trigger, **parts),
            sql.SQL(queries.make_truncate_trigger).format(trigger=self.truncate_trigger, **parts),
            sql.SQL(queries.always).format(trigger=self.trigger, table=source),
            sql.SQL(queries.always).format(trigger=self.truncate_trigger, table=source),
        ]

    def out_of_step(self, source: sql.Identifier) -> list[Statement]:
        return [
            sql.SQL(queries.drop_trigger).format(trigger=trigger, table=source)
            for trigger in (self.trigger, self.truncate_trigger)
        ]


def names(columns: Sequence[str], of: str | None = None) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(*([of] if of else []), one) for one in columns)


def widened(definition: str, column: str | None) -> str:
    """With the column behind those in the first brackets: `PRIMARY KEY (a)` → `PRIMARY KEY (a, column)`."""
    if column is None:
        return definition
    depth = 0
    for place in range(definition.index("("), len(definition)):
        depth += {"(": 1, ")": -1}.get(definition[place], 0)
        if depth == 0:
            return f"{definition[:place]}, {quoted(column)}{definition[place:]}"
    raise AssertionError(f"brackets of {definition}")


def index_definition(definition: str, unique: bool, name: str, on: sql.Identifier, column: str | None) -> sql.Composed:
    """The same index on another table, with another name. column: that it must have besides."""
    rest = widened(definition.partition(" USING ")[2], column)
    kind = sql.SQL("UNIQUE" if unique else "")
    return sql.SQL(queries.make_index).format(unique=kind, name=sql.Identifier(name), table=on, rest=sql.SQL(rest))


async def swap(
    work: Work, called: Names, table: Table, incoming: str, outgoing: str, indexes: Sequence[str]
) -> tuple[list[Statement], list[dict[str, Any]]]:
    """→ statements of one transaction after which the twin that was called with `incoming` has the table's name, and the table the one
    with `outgoing`; and the foreign keys that refer to it now, to be validated.
    """
    twin, given = called.beside(incoming), {"table": table.oid}
    referring = await work.rows(queries.referring, given)
    locked = [called.identifier, twin, *(sql.Identifier(one["schema"], one["table"]) for one in referring)]
    views = await work.rows(queries.views, given)
    statements: list[Statement] = [sql.SQL(one["lock"]) for one in views]
    statements.append(sql.SQL(queries.lock).format(tables=sql.SQL(", ").join(locked)))
    statements += [sql.SQL(query).format(missed=called.missed) for query in (queries.none_missed, queries.may_miss)]
    statements += called.out_of_step(called.identifier)
    for one in referring:
        statements.append(_on(queries.drop_constraint, one))
    sequences = await work.rows(queries.sequences, given)
    for one in sequences:
        if one["kind"] == "i":
            to = sql.Literal(f"{quoted(called.schema)}.{quoted(fitted(called.table + incoming))}")
            number = sql.Identifier(one["schema"], one["name"])
            statements.append(sql.SQL(queries.count_on).format(to=to, column=sql.Literal(one["column"]), sequence=number))
    belongings: list[Statement] = []
    if incoming == NEW:
        belongings = await _belongings(work, called, table)
        statements.append(sql.SQL(queries.quiet_triggers).format(table=called.identifier))
    statements += [
        sql.SQL(queries.rename).format(table=called.identifier, name=sql.Identifier(fitted(called.table + outgoing))),
        sql.SQL(queries.rename).format(table=twin, name=sql.Identifier(called.table)),
    ]
    for name in indexes:
        for bears, gets in ((name, name + outgoing), (name + incoming, name)):
            index = sql.Identifier(called.schema, fitted(bears))
            statements.append(sql.SQL(queries.rename_index).format(index=index, name=sql.Identifier(fitted(gets))))
    for one in sequences:
        if one["kind"] == "a":
            number = sql.Identifier(one["schema"], one["name"])
            owner = sql.Identifier(called.schema, called.table, one["column"])
            statements.append(sql.SQL(queries.own_from_now).format(sequence=number, column=owner))
    statements += belongings
    statements += [sql.SQL(one["bind"]) for one in views]
    for one in referring:
        definition = sql.SQL(one["definition"].removesuffix(" NOT VALID"))
        statements.append(_on(queries.add_later, one, definition=definition))
    return statements, [one for one in referring if one["valid"]]


async def _belongings(work: Work, called: Names, table: Table) -> list[Statement]:
    """Rights, policies, triggers: they name the table, so that they are the twin's once it bears the name."""
    made: list[Statement] = [sql.SQL(one["statement"]) for one in await work.rows(queries.belongings, {"table": table.oid})]
    for one in await work.rows(queries.triggers, {"table": table.oid, "ours": called.ours}):
        made.append(sql.SQL(one["definition"]))
        if one["enabled"] != "O":
            made.append(switched(table, one["name"], one["enabled"]))
    return made


def _on(query: Any, foreign_key: dict[str, Any], **parts: sql.Composable) -> sql.Composed:
    table = sql.Identifier(foreign_key["schema"], foreign_key["table"])
    return sql.SQL(query).format(table=table, name=sql.Identifier(foreign_key["name"]), **parts)
