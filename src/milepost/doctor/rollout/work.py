"""What an operation acts with: one connection, locks that are asked for briefly, builds that are checked, and a memory.

- `briefly` runs statements in one transaction under the timeouts of their lock class, again and again with growing random pauses until
  they are through or `give_up_s` is over.
- `build` runs a statement that can have no transaction (CREATE INDEX CONCURRENTLY and its like). After every attempt the catalogue is
  asked whether the thing is there and valid; what a failed attempt left is taken away first.
- `remember` writes to the journal; `step` passes a named point, at which a test may kill.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, LiteralString, TypeAlias

from milepost.doctor.rollout.journal import Journal
from milepost.doctor.rollout.names import Table, split_name
from milepost.doctor.rollout.waits import LockClass, Waits
from milepost.doctor.target import Target
from milepost.errors import DatabaseError, DatabaseUnavailable, MilepostError, NotFound, Timeout
from milepost.faults import reach
from milepost.postgres import Connection, backoff_s, dict_row, load_queries, sql, translated

__all__ = ["Event", "Statement", "Work"]

queries = load_queries(__package__, "work.sql")

# lock_not_available, deadlock_detected; query_canceled (our own hold_ms_max) is a lock held too long, and may be a busy moment.
TRIED_AGAIN = frozenset({"55P03", "40P01", "57014"})
PAUSE_S = 0.2
LOOK_S = 0.5
TABLES = ("r", "p")


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something to show: what happens, and how far it is (`done` of `total`, in `unit`), if that can be said."""

    text: str
    done: int | None = None
    total: int | None = None
    unit: str = ""


Say: TypeAlias = Callable[[Event], None]
Statement: TypeAlias = sql.Composed | sql.SQL | LiteralString


class Work:
    """For one operation of one rollout. memory: what it remembered, now and in earlier runs."""

    def __init__(
        self,
        connection: Connection,
        target: Target,
        waits: Waits,
        journal: Journal,
        position: int,
        memory: dict[str, Any],
        say: Say,
        coming: Mapping[int, Sequence[str]] | None = None,
    ) -> None:
        """coming: columns that tables, by their oid, do not have yet; where it is only planned."""
        self.connection = connection
        self.target = target
        self.waits = waits
        self.memory = memory
        self._journal = journal
        self._position = position
        self._say = say
        self._coming = coming or {}

    # ── Reading ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def rows(self, query: Statement, given: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        with translated(self.connection):
            return await (await self.connection.cursor(row_factory=dict_row).execute(query, given)).fetchall()

    async def row(self, query: Statement, given: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        found = await self.rows(query, given)
        return found[0] if found else None

    async def value(self, query: Statement, given: Mapping[str, Any] | None = None) -> Any:
        """The one column of the one row; None if there is no row."""
        found = await self.row(query, given)
        return None if found is None else next(iter(found.values()))

    async def table(self, name: str, kinds: Sequence[str] = TABLES) -> Table:
        """Raises `NotFound` if there is none of that name and kind."""
        schema, bare = split_name(name)
        found = await self.row(queries.table_named, {"schema": schema, "name": bare, "kinds": list(kinds)})
        if found is None:
            raise NotFound(f"There is no {'materialized view' if kinds == ('m',) else 'table'} {name} here.", table=name)
        return Table(**{**found, "columns": (*found["columns"], *self._coming.get(found["oid"], ()))})

    # ── Acting ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def step(self, name: str) -> None:
        """The journal knows how far it is; a test may kill here."""
        with translated(self.connection):
            await self._journal.remember(self._position, name, {})
        self.say(name)
        reach("rollout.step")

    async def remember(self, **facts: Any) -> None:
        self.memory |= facts
        with translated(self.connection):
            await self._journal.remember(self._position, None, facts)
        reach("rollout.step")

    def say(self, text: str, done: int | None = None, total: int | None = None, unit: str = "") -> None:
        self._say(Event(text=text, done=done, total=total, unit=unit))

    async def briefly(
        self, *statements: Statement, lock: LockClass, tables: Sequence[Table] = (), remember: Mapping[str, Any] | None = None
    ) -> int:
        """One transaction, tried until it is through → rows that its last statement changed. tables: whose holders are named when it gives up. remember: facts that it
        makes true. Raises `Timeout`, or at once what PostgreSQL refuses.
        """
        until = monotonic() + self.waits.give_up_s
        attempt = 0
        while True:
            attempt += 1
            try:
                changed = await self._once(statements, lock, remember)
                break
            except MilepostError as error:
                if self.connection.closed or error.facts.get("sqlstate") not in TRIED_AGAIN:
                    raise
                who = await self._holders(tables)
                if monotonic() > until:
                    raise Timeout(
                        f"No lock after {attempt} attempts in {self.waits.give_up_s:g} s{who}.", attempts=attempt
                    ) from error
                self.say(f"attempt {attempt} at a lock failed{who}: trying again")
                await asyncio.sleep(PAUSE_S + backoff_s(attempt, PAUSE_S, self.waits.pause_s_max))
        self.memory |= remember or {}
        reach("rollout.step")
        return changed

    async def build(
        self, statement: Statement, *, done: Callable[[], Awaitable[bool]], clear: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """A statement without a transaction, until `done` finds its result. clear: takes away what an attempt left.

        Raises `Timeout` after `build_attempts`, or what PostgreSQL refuses; what was left is taken away before.
        """
        for attempt in range(1, self.waits.build_attempts + 1):
            if clear is not None:
                await clear()
            reach("rollout.step")
            failure: MilepostError | None = None
            try:
                await self.alone(statement)
            except MilepostError as error:
                if self.connection.closed or isinstance(error, DatabaseUnavailable):
                    raise
                failure = error
            if await done():
                reach("rollout.step")
                return
            if failure is not None and failure.facts.get("sqlstate") not in TRIED_AGAIN:
                break
            self.say(f"attempt {attempt} at a concurrent build failed: trying again")
            await asyncio.sleep(PAUSE_S + backoff_s(attempt, PAUSE_S, self.waits.pause_s_max))
        if clear is not None:
            await clear()
        if failure is None:
            raise DatabaseError("PostgreSQL reported success, and the catalogue has no valid result.")
        raise failure

    async def alone(self, statement: Statement) -> None:
        """Outside a transaction, with no lock timeout but `build_timeout_s` for the whole; its progress is shown."""
        timeout = f"{self.waits.build_timeout_s * 1000:.0f}ms"
        with translated(self.connection):
            await self._set({"lock_timeout": "0", "statement_timeout": timeout}, local=False)
            looking = asyncio.create_task(self._look(self.connection.info.backend_pid))
            try:
                await self.connection.execute(statement)
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
                if not self.connection.closed:
                    await self._set({"lock_timeout": "1s", "statement_timeout": "0"}, local=False)

    # ── Parts ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _once(self, statements: Sequence[Statement], lock: LockClass, remember: Mapping[str, Any] | None) -> int:
        changed = 0
        with translated(self.connection):
            async with self.connection.transaction():
                await self._set(self.waits.session(lock), local=True)
                for statement in statements:
                    changed = (await self.connection.execute(statement)).rowcount
                if remember is not None:
                    await self._journal.remember(self._position, None, remember)
        return changed

    async def _set(self, settings: Mapping[str, str], *, local: bool) -> None:
        for name, value in settings.items():
            form = sql.SQL("SET LOCAL {} = {}" if local else "SET {} = {}")
            await self.connection.execute(form.format(sql.Identifier(name), sql.Literal(value)))

    async def _holders(self, tables: Sequence[Table]) -> str:
        found = await self.rows(queries.holders, {"tables": [table.oid for table in tables]})
        listed = ", ".join(
            f"process {row['pid']} ({' '.join(filter(None, (row['usename'], row['application'], row['state'])))}, open for {row['open_s']} s)"
            for row in found
        )
        return f", held by {listed}" if listed else ""

    async def _look(self, pid: int) -> None:
        """Shows progress from another session until it is cancelled. Only a show: losing it must not end the build."""
        async with self.target.reading() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            while True:
                await asyncio.sleep(LOOK_S)
                row = await (await cursor.execute(queries.building, {"pid": pid})).fetchone()
                if row is not None:
                    waits = f", waits for process {row['waits_for']}" if row["waits_for"] else ""
                    self.say(f"{row['phase']}{waits}", row["done"], row["total"], row["unit"])
