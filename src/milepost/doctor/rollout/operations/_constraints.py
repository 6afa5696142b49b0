"""Constraints that come in two steps: NOT VALID under a short lock, then validated while reads and writes go on."""

from __future__ import annotations

from milepost.doctor.rollout.names import Table
from milepost.doctor.rollout.waits import LockClass
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict
from milepost.postgres import load_queries, sql

__all__ = ["add_validated", "drop_constraint", "queries", "refuse_taken"]

queries = load_queries(__package__, "tables.sql")


async def refuse_taken(work: Work, table: Table, name: str) -> None:
    """Raises `Conflict` if the table has a constraint of that name."""
    if await work.row(queries.constraint, {"table": table.oid, "name": name}) is not None:
        raise Conflict(f"{table} has a constraint {name} already.", constraint=name)


async def add_validated(
    work: Work,
    table: Table,
    name: str,
    definition: sql.Composable,
    *,
    lock: LockClass = "access_exclusive",
    others: tuple[Table, ...] = (),
) -> None:
    """Until it is there and valid. Raises what PostgreSQL says of a row that violates it. others: tables that are locked as well."""
    given = {"table": table.oid, "name": name}
    parts = {"table": table.identifier, "name": sql.Identifier(name)}
    found = await work.row(queries.constraint, given)
    if found is None:
        statement = sql.SQL(queries.add_constraint).format(definition=definition, **parts)
        await work.briefly(statement, lock=lock, tables=(table, *others), remember={"constraint": name})
    if found is None or not found["valid"]:
        await work.step(f"validating {name}")
        statement = sql.SQL(queries.validate_constraint).format(**parts)
        await work.briefly(statement, lock="share_update_exclusive", tables=(table, *others))
    await work.step(f"validated {name}")


async def drop_constraint(work: Work, table: Table, name: str, others: tuple[Table, ...] = ()) -> None:
    """Nothing happens if there is none."""
    if await work.row(queries.constraint, {"table": table.oid, "name": name}) is not None:
        statement = sql.SQL(queries.drop_constraint).format(table=table.identifier, name=sql.Identifier(name))
        await work.briefly(statement, lock="access_exclusive", tables=(table, *others))
