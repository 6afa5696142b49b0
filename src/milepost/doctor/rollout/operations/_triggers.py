"""What operations on triggers share: looking one up, switching it, making it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from milepost.doctor.rollout.names import Table
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict, NotFound
from milepost.postgres import load_queries, sql

__all__ = ["DISABLED", "Trigger", "made", "queries", "switched", "trigger_of"]

queries = load_queries(__package__, "triggers.sql")

DISABLED = "D"
# pg_trigger.tgenabled → the words of ALTER TABLE … TRIGGER
SWITCHES: Final = {"O": "ENABLE", "D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """As the catalogue has it. enabled: `O`, `D`, `R` or `A`. quoted: its name as SQL writes it, as in `definition`."""

    name: str
    enabled: str
    definition: str
    quoted: str
    of_constraint: bool
    of_parent: bool


async def trigger_of(work: Work, table: Table, name: str) -> Trigger:
    """Raises `NotFound`, or `Conflict` for one that belongs to a constraint or to the trigger of a parent."""
    found = await work.row(queries.trigger, {"table": table.oid, "trigger": name})
    if found is None:
        raise NotFound(f"{table} has no trigger {name}.", trigger=name)
    if found["of_constraint"] or found["of_parent"]:
        raise Conflict(f"The trigger {name} belongs to a {'constraint' if found['of_constraint'] else 'partitioned table'}.")
    return Trigger(**found)


def switched(table: Table, name: str, enabled: str) -> sql.Composed:
    """The statement that gives it that state."""
    return sql.SQL(queries.switch).format(
        table=table.identifier, switch=sql.SQL(SWITCHES[enabled]), trigger=sql.Identifier(name)
    )


def made(table: Table, name: str, definition: str, enabled: str) -> tuple[sql.Composed | sql.SQL, ...]:
    """The statements that make it as it was, over what is there now."""
    create = sql.SQL(definition.replace("CREATE TRIGGER", "CREATE OR REPLACE TRIGGER", 1))
    return (create,) if enabled == "O" else (create, switched(table, name, enabled))
