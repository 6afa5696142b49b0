"""Asks the server how it runs one statement, with what parameters it takes, and never longer than allowed.

A read is run (EXPLAIN ANALYZE) in a transaction that may not write; the server itself refuses what writes behind a function. A
write is only planned, unless `analyze` asks for more: then it runs in a transaction that is rolled back, and takes its locks until
then; what does not roll back (sequences, what a foreign server did) stays done.

Parameters ($1, …) get what `given` says, else the column's most common value by the server's statistics; without either, the
generic plan is shown where the version has it (16 and later), which is not run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from milepost.doctor.normalized import plannable
from milepost.doctor.plans.node import Plan
from milepost.doctor.plans.parameters import Value, values_of
from milepost.doctor.statements import Statement, parse_one
from milepost.doctor.target import Target
from milepost.errors import InvalidInput, NotFound
from milepost.postgres import Connection, load_queries, sql

__all__ = ["Explained", "explain", "explain_in", "statement_of"]

GENERIC_MAJOR = 16
EXPLAINED = frozenset({"select", "insert", "update", "delete", "merge", "create_table_as"})

queries = load_queries(__package__, "plans.sql")


@dataclass(frozen=True, kw_only=True)
class Explained:
    """A statement and its plan. parameters: in their order, with where each came from. generic: planned for no values."""

    statement: Statement
    plan: Plan
    parameters: tuple[Value, ...]
    generic: bool


async def statement_of(target: Target, text: str) -> str:
    """The text itself, or, of a number, that statement's in pg_stat_statements. Raises `NotFound`."""
    if not text.strip().lstrip("-").isdigit():
        return text
    async with target.reading() as connection:
        row = await (await connection.execute(queries.statements_view)).fetchone()
        if row is None:
            raise NotFound("A statement's id is one of pg_stat_statements, which is not installed in this database.")
        view = sql.SQL(queries.statement_text).format(view=sql.Identifier(row[0], "pg_stat_statements"))
        found = await (await connection.execute(view, {"id": int(text)})).fetchone()
    if found is None:
        raise NotFound(f"pg_stat_statements has no statement {text} in {target.dbname}.")
    return str(found[0])


async def explain(
    target: Target,
    text: str,
    *,
    analyze: bool | None = None,
    given: Mapping[int, str] | None = None,
    statement_timeout_ms: int = 30_000,
) -> Explained:
    """analyze: run it; None: if it only reads. given: parameters by number. Raises `InvalidInput`, `Timeout`, `DatabaseError`."""
    statement = parse_one(plannable(await statement_of(target, text)))
    if statement.kind not in EXPLAINED:
        raise InvalidInput(f"Only reads and writes have a plan; this is a {statement.kind}.")
    writes = statement.writes or statement.kind == "create_table_as"
    run = not writes if analyze is None else analyze
    async with _session(target, statement_timeout_ms, writing=writes and run) as connection:
        return await explain_in(connection, statement, major=target.major, run=run, given=given or {})


async def explain_in(
    connection: Connection, statement: Statement, *, major: int, run: bool, given: Mapping[int, str]
) -> Explained:
    """On a connection that is in a transaction, if what it does shall be undone."""
    explained = sql.SQL(queries.explain_analyze if run else queries.explain)
    body: sql.Composable = sql.SQL(statement.text)  # the user's own statement
    values: tuple[Value, ...] = ()
    if statement.placeholders:
        found = await values_of(connection, statement, body, given)
        if found is None:
            if major < GENERIC_MAJOR:
                raise InvalidInput("No statistics give values for the parameters: give them by --param, such as --param 1=42.")
            row = await (await connection.execute(sql.SQL(queries.explain_generic).format(statement=body))).fetchone()
            assert row is not None
            return Explained(statement=statement, plan=Plan.read(row[0][0]), parameters=(), generic=True)
        values = found
        literals = sql.SQL(", ").join(sql.Literal(one.value) for one in values)
        body = sql.SQL(queries.execute).format(values=literals)
    row = await (await connection.execute(explained.format(statement=body))).fetchone()
    assert row is not None
    return Explained(statement=statement, plan=Plan.read(row[0][0]), parameters=values, generic=False)


@asynccontextmanager
async def _session(target: Target, statement_timeout_ms: int, *, writing: bool) -> AsyncIterator[Connection]:
    if not writing:
        async with target.reading(statement_timeout_ms=statement_timeout_ms) as connection:
            await connection.execute("SET plan_cache_mode = force_custom_plan")
            yield connection
        return
    settings = {"statement_timeout": f"{statement_timeout_ms}ms", "plan_cache_mode": "force_custom_plan"}
    async with target.writing(settings=settings) as connection:
        await connection.execute("BEGIN")
        try:
            yield connection
        finally:
            if not connection.closed:
                await connection.execute("ROLLBACK")
