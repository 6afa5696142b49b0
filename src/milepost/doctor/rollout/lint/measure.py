"""Each statement of a file, executed on an empty clone: what it locked, rewrote, scanned, and took away.

One that can be in a transaction is looked at from inside, before it commits. One that cannot (CONCURRENTLY, VACUUM) is held: first where it
asks for its first lock, by a session that has every table to itself; then, let go, in each of its waits, by transactions that wrote and have
an old snapshot, one after the other, while a second session reads its locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from milepost.doctor.rollout.lint.shape import Row, Shape, differences, shape_of
from milepost.doctor.rollout.lint.suggest import Outcome, Suggested, suggested
from milepost.doctor.rollout.lint.whole import seen_whole
from milepost.doctor.rollout.names import split_name
from milepost.doctor.scratch import Scratch
from milepost.doctor.statements import Statement, nodes, parse
from milepost.errors import MilepostError, Timeout
from milepost.postgres import Connection, load_queries, sql, translated

__all__ = ["STRENGTH", "Measured", "measured"]

queries = load_queries(__package__, "measure.sql")

# Weakest first.
STRENGTH: Final = (
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
NOT_IN_TRANSACTION = "25001"  # active_sql_transaction
WAITS_MAX = 10  # of one statement
STATEMENT_S = 60.0
LOOK_S = 0.01


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one statement did to what was there before the file. locks: the strongest, by relation. rewrites, scans: relations. lost:
    tables and columns that are gone under their name. retyped, tightened: columns with another type, or that are not null now. added:
    new columns as `table.column` and their types. whole: tables of which it changes every row, and whether it is an `update` or a
    `delete`; that shows on rows alone, so it is read from the statement. operations: of `milepost rollout` that have the same outcome, or, if `precedes`, after which
    the statement does no harm. error: what PostgreSQL said, if it failed. alone: it can have no transaction.
    """

    line: int
    text: str
    kind: str
    locks: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    rewrites: tuple[str, ...] = ()
    scans: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()
    tightened: tuple[str, ...] = ()
    added: Mapping[str, str] = field(default_factory=dict)
    whole: Mapping[str, str] = field(default_factory=dict)
    operations: Suggested = ()
    precedes: bool = False
    error: str | None = None
    alone: bool = False
    in_transaction: bool = False
    lock_timeout: str = "0"


async def measured(scratch: Scratch, text: str) -> list[Measured]:
    """In the order of the file; the clone is changed by it. Raises `InvalidInput` where the text is not SQL."""
    found: list[Measured] = []
    at, in_transaction = 0, False
    async with scratch.connect() as acting, scratch.connect() as watching:
        for (view,) in await (await acting.execute(queries.unfilled)).fetchall():
            await acting.execute(sql.SQL(queries.fill).format(view=sql.SQL(view)))
        first = await shape_of(watching)
        for statement in parse(text):
            at = max(at, text.find(statement.text.strip(), at))
            line = text.count("\n", 0, at) + 1
            at += len(statement.text.strip())
            if statement.kind == "transaction_stmt":
                in_transaction = statement.text.split()[0].lower().rstrip(";") in ("begin", "start")
                continue
            found.append(await _one(scratch, acting, watching, first, statement, line, in_transaction))
        return seen_whole(found, first, await shape_of(watching))


async def _one(
    scratch: Scratch,
    acting: Connection,
    watching: Connection,
    first: Shape,
    statement: Statement,
    line: int,
    in_transaction: bool,
) -> Measured:
    before = await shape_of(watching)
    timeout = (await (await acting.execute(queries.lock_timeout)).fetchall())[0][0]
    plain: dict[str, Any] = {
        "line": line,
        "text": " ".join(statement.text.split()),
        "kind": statement.kind,
        "lock_timeout": timeout,
    }
    plain["in_transaction"] = in_transaction
    scans: set[int] = set()
    try:
        locks, scans = await _inside(acting, statement.text)
    except MilepostError as error:
        if error.facts.get("sqlstate") != NOT_IN_TRANSACTION:
            return Measured(**plain, error=str(error))
        if in_transaction:
            return Measured(**plain, error=str(error), alone=True)
        plain["alone"] = True
        try:
            locks = await _alone(scratch, watching, acting, before, statement.text)
        except MilepostError as second:
            return Measured(**plain, error=str(second))
    after = await shape_of(watching)
    known = {oid: row for oid, row in before.relations.items() if oid in first.relations}
    rewritten = [oid for oid, row in known.items() if oid in after.relations and after.relations[oid]["file"] != row["file"]]
    outcome = Outcome(statement=statement, known=known, before=before, after=after, rewritten=frozenset(rewritten))
    operations, precedes = suggested(outcome)
    return Measured(
        **plain,
        locks={known[oid]["name"]: mode for oid, mode in locks.items() if oid in known},
        kinds={known[oid]["name"]: known[oid]["kind"] for oid in locks if oid in known},
        # A sequence is a page.
        rewrites=tuple(known[oid]["name"] for oid in rewritten if known[oid]["kind"] != "S"),
        scans=tuple(known[oid]["name"] for oid in scans if oid in known),
        whole={known[oid]["name"]: verb for oid in locks if oid in known and (verb := _all_rows(statement, known[oid]))},
        operations=operations,
        precedes=precedes,
        **vars(differences(known, before, after)),
    )


async def _inside(acting: Connection, text: str) -> tuple[dict[int, str], set[int]]:
    """In a transaction of its own, which commits. → locks, and relations that it read."""
    with translated(acting):
        async with acting.transaction():
            # What earlier transactions counted may still be there: PostgreSQL passes it on once a second.
            before: dict[int, int] = dict(await (await acting.execute(queries.scans)).fetchall())
            await acting.execute(text.encode())
            locks = await _locks(acting, acting.info.backend_pid)
            after: dict[int, int] = dict(await (await acting.execute(queries.scans)).fetchall())
    return locks, {oid for oid, scans in after.items() if scans > before.get(oid, 0)}


async def _alone(scratch: Scratch, watching: Connection, acting: Connection, before: Shape, text: str) -> dict[int, str]:
    """Once only to see which lock it asks for first, then to its end, looked at in each of its waits."""
    tables = [row["name"] for row in before.relations.values() if row["kind"] in "rpm"]
    pid = acting.info.backend_pid
    seen: dict[int, str] = {}
    if tables:
        async with _holding(scratch, [name for name in tables if _kind(before, name) != "m"], "ACCESS EXCLUSIVE"):
            running = asyncio.create_task(_execute(acting, text))
            if await _waits(watching, pid, running):
                _stronger(seen, await _locks(watching, pid))
                await watching.execute(queries.cancel, {"pid": pid})
        cancelled = (await asyncio.gather(running, return_exceptions=True))[0]
        if not isinstance(cancelled, Timeout):  # it ran to its end, or failed by itself
            if isinstance(cancelled, BaseException):
                raise cancelled
            return seen
    held = [name for name in tables if _kind(before, name) != "m"]
    holder = _Holder(scratch, held)
    await holder.take()
    running = asyncio.create_task(_execute(acting, text))
    try:
        for _ in range(WAITS_MAX):
            waits_for = await _waits(watching, pid, running)
            if waits_for is not None:
                _stronger(seen, await _locks(watching, pid))
            if waits_for != "virtualxid":
                break  # a younger holder would queue behind a lock that is asked for
            await holder.relay()
    finally:
        await holder.let_go()
        outcome = (await asyncio.gather(running, return_exceptions=True))[0]
    if isinstance(outcome, BaseException):
        raise outcome
    return seen


def _all_rows(statement: Statement, relation: Row) -> str | None:
    """`update` or `delete`, where one of the relation has no WHERE. It is among those that were locked, so its bare name says which it is."""
    bare = split_name(relation["full_name"])[1]
    for verb, kind in (("update", "UpdateStmt"), ("delete", "DeleteStmt")):
        for node in nodes(statement.tree, kind) if relation["kind"] in "rp" else ():
            if node.relation.relname == bare and not node.HasField("where_clause"):
                return verb
    return None


def _kind(shape: Shape, name: str) -> str:
    return next(str(row["kind"]) for row in shape.relations.values() if row["name"] == name)


async def _execute(acting: Connection, text: str) -> None:
    with translated(acting):
        await acting.execute(text.encode())


async def _waits(watching: Connection, pid: int, running: asyncio.Task[None]) -> str | None:
    """For what it waits, once it waits for a lock; None once it has ended."""
    until = monotonic() + STATEMENT_S
    while not running.done():
        row = await (await watching.execute(queries.waits_for, {"pid": pid})).fetchone()
        if row is not None:
            return str(row[0])
        if monotonic() > until:
            raise Timeout(f"A statement ran for {STATEMENT_S:g} s on an empty clone.")
        await asyncio.wait({running}, timeout=LOOK_S)
    return None


async def _locks(connection: Connection, pid: int) -> dict[int, str]:
    seen: dict[int, str] = {}
    for oid, mode in await (await connection.execute(queries.locks, {"pid": pid})).fetchall():
        _stronger(seen, {oid: mode})
    return seen


def _stronger(seen: dict[int, str], more: Mapping[int, str]) -> None:
    for oid, mode in more.items():
        if oid not in seen or STRENGTH.index(mode) > STRENGTH.index(seen[oid]):
            seen[oid] = mode


@asynccontextmanager
async def _holding(scratch: Scratch, tables: list[str], mode: str) -> AsyncIterator[None]:
    """A transaction with an old snapshot that holds a lock on all of them."""
    async with scratch.connect() as connection:
        await connection.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ")
        if tables:
            names = sql.SQL(", ").join(sql.SQL(name) for name in tables)
            await connection.execute(sql.SQL(queries.hold).format(tables=names, mode=sql.SQL(mode)))
        await connection.execute(queries.lock_timeout)  # takes the snapshot
        yield


class _Holder:
    """An old transaction in the statement's way; `relay` puts a younger one there, then ends the old one."""

    def __init__(self, scratch: Scratch, tables: list[str]) -> None:
        self._scratch = scratch
        self._tables = tables
        self._held: Any = None

    async def take(self) -> None:
        self._held = _holding(self._scratch, self._tables, "ROW EXCLUSIVE")
        await self._held.__aenter__()

    async def relay(self) -> None:
        old = self._held
        await self.take()
        await old.__aexit__(None, None, None)

    async def let_go(self) -> None:
        await self._held.__aexit__(None, None, None)
