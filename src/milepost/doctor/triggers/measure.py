"""What a trigger costs a write, measured on a scratch copy: with it and without it, in turn.

Each round runs the same write twice, on the same rows, each in a transaction that is rolled back: once as the table is, once with the
one trigger disabled; which comes first alternates. Before each measured run the write runs once unmeasured in the same transaction,
so that caches and plans are warm on both sides. Compared are whole statements (EXPLAIN ANALYZE's execution time), and beside that
stands what EXPLAIN says of the trigger itself; the interval is of the median of the rounds' differences, by the sign test, at least
95 % sure. WAL is the server's own count; extra statements are pg_stat_statements', with `track = all`; locks are what only the run
with the trigger held.

On the database itself no trigger is disabled (that locks out writers): there, only what EXPLAIN says of each trigger is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median
from time import perf_counter
from typing import Any

from milepost.doctor.triggers.inventory import Trigger
from milepost.doctor.triggers.shapes import Shape, statement_of
from milepost.errors import DatabaseError
from milepost.postgres import Connection, load_queries, sql, translated

__all__ = ["SESSION", "Cost", "measure"]

ROUNDS, ROUNDS_MIN = 11, 6  # six are the fewest that can be 95 % sure
BUDGET_S = 3.0  # for one trigger and shape: a slow write gets fewer rounds
SURE = 0.95
# Every run in the same way: no JIT, no background surprise, statements of functions counted.
SESSION = {"jit": "off", "synchronous_commit": "off", "statement_timeout": "120s"}

queries = load_queries(__package__, "triggers.sql")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one trigger in one shape, for each row written unless it says otherwise. ms, ms_low, ms_high: what the statement took
    longer; None where it was not run without the trigger. own_ms: what EXPLAIN says the trigger took. share: of the write's
    time with this trigger alone. calls: a statement. statements and wal_bytes: extra, a row; None if not counted. locks: taken only
    with it. error: why it could not be measured.
    """

    trigger: str
    shape: Shape
    rows: int = 0
    ms: float | None = None
    ms_low: float | None = None
    ms_high: float | None = None
    own_ms: float = 0.0
    share: float = 0.0
    calls: int = 0
    statements: float | None = None
    wal_bytes: float | None = None
    locks: tuple[str, ...] = ()
    error: str | None = None

    @property
    def proven(self) -> bool:
        """Whether it certainly costs time."""
        return self.ms_low is not None and self.ms_low > 0


@dataclass(frozen=True, kw_only=True)
class Run:
    """One statement, run once."""

    ms: float
    rows: int
    own_ms: dict[str, float]
    calls: dict[str, int]
    wal_bytes: int
    statements: int | None
    locks: frozenset[str]


async def measure(connection: Connection, trigger: Trigger, shape: Shape, *, scratch: bool, rounds: int = ROUNDS) -> Cost:
    """On a connection (autocommit) to a scratch copy with rows in the table, or to the database itself. Leaves nothing changed."""
    table = sql.Identifier(trigger.schema, trigger.relation)
    statement = await statement_of(connection, trigger.table, table, shape)
    if statement is None:
        return Cost(trigger=trigger.id, shape=shape, error="it writes no column that can be changed freely")
    counted = scratch and await _counts(connection)
    disable = sql.SQL(queries.disable).format(table=table, name=sql.Identifier(trigger.name))
    on: list[Run] = []
    off: list[Run] = []
    try:
        ends = perf_counter() + BUDGET_S
        for number in range(rounds):
            if number >= ROUNDS_MIN and perf_counter() > ends:
                break
            sides = (
                [(on, None)]
                if not scratch
                else [(on, None), (off, disable)]
                if number % 2 == 0
                else [(off, disable), (on, None)]
            )
            for side, before in sides:
                side.append(await _run(connection, statement, before, counted=counted))
    except DatabaseError as error:
        return Cost(trigger=trigger.id, shape=shape, error=str(error))
    rows = max(1, on[0].rows)
    own = median(one.own_ms.get(trigger.name, 0.0) for one in on)
    # With this trigger alone: beside a slow one, everything else would look cheap.
    alone = median(one.ms - sum(ms for name, ms in one.own_ms.items() if name != trigger.name) for one in on)
    plain = Cost(
        trigger=trigger.id,
        shape=shape,
        rows=on[0].rows,
        own_ms=own / rows,
        share=min(1.0, own / max(alone, own, 1e-9)),
        calls=on[0].calls.get(trigger.name, 0),
    )
    if not off:
        return plain
    differences = sorted(with_it.ms - without.ms for with_it, without in zip(on, off, strict=True))
    low, high = interval(differences)
    extra = [
        a.statements - b.statements
        for a, b in zip(on, off, strict=True)
        if a.statements is not None and b.statements is not None
    ]
    return Cost(
        **{name: getattr(plain, name) for name in ("trigger", "shape", "rows", "own_ms", "share", "calls")},
        ms=median(differences) / rows,
        ms_low=low / rows,
        ms_high=high / rows,
        statements=median(extra) / rows if extra else None,
        wal_bytes=median(a.wal_bytes - b.wal_bytes for a, b in zip(on, off, strict=True)) / rows,
        locks=tuple(sorted(on[0].locks - off[0].locks)),
    )


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Of the median, from sorted values: the narrowest pair of order statistics that holds it with `SURE` (sign test); all of
    them if there are too few.
    """
    n = len(differences)
    for drop in range((n - 1) // 2, 0, -1):
        outside = 2 * sum(comb(n, k) for k in range(drop + 1)) / 2**n
        if 1 - outside >= SURE:
            return differences[drop], differences[n - 1 - drop]
    return differences[0], differences[-1]


async def _run(connection: Connection, statement: sql.Composed, before: sql.Composed | None, *, counted: bool) -> Run:
    explained = sql.SQL(queries.explain).format(statement=statement)
    with translated(connection):
        await connection.execute("BEGIN")
        try:
            if before is not None:
                await connection.execute(before)
            await connection.execute("SAVEPOINT warm")
            await connection.execute(explained)
            await connection.execute("ROLLBACK TO warm")
            calls = await _number(connection, queries.nested_calls) if counted else None
            position = await _number(connection, queries.position)
            row = await (await connection.execute(explained)).fetchone()
            # What is deferred to the commit is part of the cost.
            await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            wal = await _number(connection, queries.position) - position
            more = await _number(connection, queries.nested_calls) - calls if calls is not None else None
            locks = await (await connection.execute(queries.locks)).fetchall()
        finally:
            if not connection.closed:
                await connection.execute("ROLLBACK")
    assert row is not None
    plan: dict[str, Any] = row[0][0]
    fired = {one["Trigger Name"]: one for one in plan.get("Triggers", ())}
    return Run(
        ms=float(plan["Execution Time"]),
        rows=_written(plan["Plan"]),
        own_ms={name: float(one["Time"]) for name, one in fired.items()},
        calls={name: int(one["Calls"]) for name, one in fired.items()},
        wal_bytes=wal,
        statements=more,
        locks=frozenset(f"{mode} on {relation}" for mode, relation in locks),
    )


def _written(plan: dict[str, Any]) -> int:
    """Rows that came to be written: those that the part below ModifyTable gave."""
    return round(sum(float(one.get("Actual Rows", 0)) * int(one.get("Actual Loops", 1)) for one in plan.get("Plans", ())[:1]))


async def _counts(connection: Connection) -> bool:
    """Makes pg_stat_statements count what functions run, where the scratch server has it loaded."""
    row = await (await connection.execute("SHOW shared_preload_libraries")).fetchone()
    if row is None or "pg_stat_statements" not in row[0]:
        return False
    await connection.execute(queries.count_statements)
    await connection.execute("SET pg_stat_statements.track = 'all'")
    return True


async def _number(connection: Connection, text: Any) -> int:
    row = await (await connection.execute(text)).fetchone()
    assert row is not None
    return int(row[0])
