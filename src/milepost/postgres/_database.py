"""Connections to one database: a pool for each class of query, and dedicated connections for what needs a session.

A class says how long a query may take and what it may use: `write` (short transactions), `point` (a page, a key; must
be quick or not at all), `analytics` (may sort and hash). Its settings ride in the start-up packet, so that no query
runs without them, and so does the service's role: row-level security binds it, since it owns no table.

A transaction costs two round trips beside its own: BEGIN goes together with the tenant's setting, and finds out as
well whether the connection has died at rest (a restart of PostgreSQL): then the next one is taken, and nobody gets an
error.

How it fails: `DatabaseUnavailable` where a new attempt may help (see `retrying`), `Timeout` when no connection came
free or a statement ran out of its time, other errors of milepost's tree for what PostgreSQL refuses. Pools open at
first use.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import perf_counter
from typing import Any, Literal, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from milepost.errors import DatabaseError, DatabaseUnavailable, SchemaMismatch, Timeout
from milepost.postgres._errors import translate, translated
from milepost.postgres._json import adapters
from milepost.settings import Settings
from milepost.telemetry import observe

__all__ = ["SERVICE_ROLE", "AnyConnection", "Connection", "Database", "QueryClass", "SyncConnection"]

Connection: TypeAlias = psycopg.AsyncConnection[tuple[Any, ...]]
# An app's own, with whatever row factory it has.
AnyConnection: TypeAlias = psycopg.AsyncConnection[Any]
SyncConnection: TypeAlias = psycopg.Connection[Any]
QueryClass = Literal["write", "point", "analytics"]
Pool: TypeAlias = AsyncConnectionPool[Connection]

SERVICE_ROLE = "milepost_service"
SEARCH_PATH = "milepost,public"
RECONNECT_S = 5.0
CLOSE_S = 5.0

# TCP only; a socket file notices by itself. Found dead after about a minute, not after two hours.
KEEPALIVES = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
    "connect_timeout": 10,
}


class Database:
    """One database, seen as the service. Made by `open`; `close` (or `async with`) ends its pools."""

    def __init__(self, url: str, settings: Settings, classes: Iterable[QueryClass]) -> None:
        self._url = url
        self._settings = settings
        self._pools: dict[QueryClass, Pool] = {kind: self._pool(kind) for kind in classes}
        self._in_use: dict[QueryClass, int] = dict.fromkeys(self._pools, 0)
        self._opening = asyncio.Lock()
        self._closed = False

    @classmethod
    async def open(
        cls, url: str, settings: Settings, *, classes: Iterable[QueryClass] = ("write", "point", "analytics")
    ) -> Database:
        """Connects once, so that a wrong URL fails here and with its reason; the pools fill when they are first used.

        Raises `DatabaseUnavailable`, or `SchemaMismatch` where the service's role is missing.
        """
        database = cls(url, settings, classes)
        probe = await database.direct("open")
        await probe.close()
        return database

    async def close(self) -> None:
        """Closes the pools. Safe twice; connections of `direct` and `owner` are their holders' to close."""
        self._closed = True
        for pool in self._pools.values():
            await pool.close(CLOSE_S)

    async def __aenter__(self) -> Database:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def settings(self) -> Settings:
        return self._settings

    def transaction(
        self, kind: QueryClass, *, tenant_id: int | None = None, snapshot: bool = False, wait_s: float | None = None
    ) -> AbstractAsyncContextManager[Connection]:
        """A transaction on a connection of the pool `kind`: committed at the end of the block, rolled back if it
        raises.

        `tenant_id` is what row-level security lets it see; without it, no tenant's row. `snapshot`: read only, and
        all of its statements see one moment. `wait_s` bounds the wait for a connection (default: the setting
        `pool_wait_s`). Raises, for what the driver raises inside, milepost's errors.
        """
        return self._transaction(kind, _begin(tenant_id, snapshot), wait_s)

    async def direct(self, name: str, *, settings: Mapping[str, str] | None = None) -> Connection:
        """A connection of its own, as the service, in autocommit: for a loader's session, for LISTEN, for long work.

        It shows as `milepost/NAME`. No timeouts hold unless `settings` (PostgreSQL's own) set them. Whoever asked
        closes it, and wraps its use in `translated`.
        """
        session = {"role": SERVICE_ROLE, "statement_timeout": "0", "jit": "off"} | dict(settings or {})
        try:
            return await _connect(self._url, name, session, self._settings.prepare_threshold)
        except DatabaseUnavailable as error:
            if SERVICE_ROLE in str(error):
                raise SchemaMismatch(
                    f"The database has no role {SERVICE_ROLE} that this login may take: run `milepost db migrate` as "
                    f"its owner. ({error})"
                ) from error
            raise

    async def owner(self, *, settings: Mapping[str, str] | None = None) -> Connection:
        """A connection of its own as the login user itself, in autocommit: for migrations and other DDL."""
        return await self.connect_owner(self._url, settings=settings)

    @staticmethod
    async def connect_owner(url: str, *, settings: Mapping[str, str] | None = None) -> Connection:
        """As `owner`, for a database that cannot be opened yet, because nobody has migrated it."""
        return await _connect(url, "owner", settings or {})

    @staticmethod
    async def connect_foreign(url: str, name: str, *, settings: Mapping[str, str] | None = None) -> Connection:
        """A connection to any PostgreSQL: nothing of milepost's needs to be there, and its user's search path holds."""
        return await _connect(url, name, settings or {}, own=False)

    def pool_sizes(self) -> dict[QueryClass, dict[str, int]]:
        """What each pool's counters say (see `psycopg_pool`'s `get_stats`): `pool_size`, `pool_available`, …"""
        return {kind: pool.get_stats() for kind, pool in self._pools.items()}

    @asynccontextmanager
    async def _transaction(self, kind: QueryClass, begin: bytes, wait_s: float | None) -> AsyncIterator[Connection]:
        pool = await self._opened(kind)
        connection = await self._begun(kind, pool, begin, self._settings.pool_wait_s if wait_s is None else wait_s)
        try:
            try:
                yield connection
                if connection.info.transaction_status == TransactionStatus.INERROR:
                    # COMMIT would answer ROLLBACK, and nobody would notice.
                    raise DatabaseError("A statement failed inside the transaction and its error was caught there.")
                await connection.execute(b"COMMIT")
            except BaseException as error:
                await _roll_back(connection)
                if isinstance(error, psycopg.Error):
                    raise translate(error, connection) from error
                raise
        finally:
            await self._put_back(kind, pool, connection)

    async def _opened(self, kind: QueryClass) -> Pool:
        if kind not in self._pools:
            raise KeyError(f"this Database was opened without the class {kind}; it has {', '.join(self._pools)}")
        pool = self._pools[kind]
        if pool.closed and not self._closed:
            async with self._opening:
                if pool.closed:
                    await pool.open()
        return pool

    async def _begun(self, kind: QueryClass, pool: Pool, begin: bytes, wait_s: float) -> Connection:
        """A connection on which `begin` has been done.

        A connection that died at rest fails there, and loses nothing: the next one is tried at once. After a restart of
        PostgreSQL that may be all of them, but no more.
        """
        began = perf_counter()
        try:
            for left in range(pool.max_size, -1, -1):
                connection = await self._taken(kind, pool, began + wait_s, wait_s)
                try:
                    await connection.execute(begin, prepare=False)  # two statements cannot be
                except BaseException as error:
                    await self._put_back(kind, pool, connection)  # the pool throws a closed one away
                    if not isinstance(error, psycopg.Error):
                        raise
                    if left == 0 or not connection.closed:
                        raise translate(error, connection) from error
                else:
                    return connection
        finally:
            observe("pool_wait_seconds", perf_counter() - began, pool=kind)
        raise AssertionError("the last one is returned or raises")

    async def _taken(self, kind: QueryClass, pool: Pool, deadline: float, wait_s: float) -> Connection:
        while True:
            left = max(0.001, deadline - perf_counter())  # what is free is had without waiting
            full = self._in_use[kind] >= pool.max_size
            try:
                # The pool gives up trying to connect after a while, and tries again only when asked again.
                connection = await pool.getconn(left if full else min(left, RECONNECT_S))
            except PoolTimeout as error:
                if perf_counter() < deadline:
                    continue
                if self._in_use[kind] < pool.max_size:
                    raise DatabaseUnavailable(f"No connection could be made within {wait_s:g} s.", pool=kind) from error
                raise Timeout(
                    f"No connection for {kind} came free within {wait_s:g} s.",
                    pool=kind,
                    connections=pool.max_size,
                    wait_s=wait_s,
                ) from error
            except PoolClosed as error:
                raise translate(error) from error
            self._in_use[kind] += 1
            return connection

    async def _put_back(self, kind: QueryClass, pool: Pool, connection: Connection) -> None:
        self._in_use[kind] -= 1
        await pool.putconn(connection)

    def _pool(self, kind: QueryClass) -> Pool:
        chosen = self._settings
        session = {
            "write": {
                "statement_timeout": f"{chosen.write_timeout_s * 1000:.0f}",
                "work_mem": chosen.write_work_mem,
                "jit": "off",
            },
            "point": {
                "statement_timeout": f"{chosen.point_timeout_s * 1000:.0f}",
                "work_mem": chosen.point_work_mem,
                "jit": "off",
                "max_parallel_workers_per_gather": "0",  # starting workers takes longer than such a query may
            },
            "analytics": {
                "statement_timeout": f"{chosen.analytics_timeout_s * 1000:.0f}",
                "work_mem": chosen.analytics_work_mem,
            },
        }[kind]
        sizes = {
            "write": (chosen.write_pool_min, chosen.write_pool_max),
            "point": (chosen.point_pool_min, chosen.point_pool_max),
            "analytics": (chosen.analytics_pool_min, chosen.analytics_pool_max),
        }[kind]
        idle = f"{chosen.idle_in_transaction_timeout_s * 1000:.0f}"
        session |= {"role": SERVICE_ROLE, "idle_in_transaction_session_timeout": idle}
        return AsyncConnectionPool(
            _conninfo(self._url, kind, session),
            name=kind,
            connection_class=psycopg.AsyncConnection[tuple[Any, ...]],
            kwargs={"autocommit": True, "context": adapters, "prepare_threshold": chosen.prepare_threshold},
            min_size=sizes[0],
            max_size=sizes[1],
            timeout=chosen.pool_wait_s,
            max_idle=chosen.pool_idle_s,
            reconnect_timeout=RECONNECT_S,
            open=False,
        )


async def _connect(
    url: str, name: str, session: Mapping[str, str], prepare_threshold: int | None = 5, *, own: bool = True
) -> Connection:
    with translated():
        return await psycopg.AsyncConnection.connect(
            _conninfo(url, name, session, own=own), autocommit=True, context=adapters, prepare_threshold=prepare_threshold
        )


def _conninfo(url: str, name: str, session: Mapping[str, str], *, own: bool = True) -> str:
    """`url` with our settings; `own`: the database is milepost's. What its own `options` say comes first, so that ours win; its keepalives stay."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise DatabaseUnavailable(f"The database URL cannot be read: {error}") from error
    fixed = {"timezone": "UTC", "datestyle": "ISO"} | ({"search_path": SEARCH_PATH} if own else {})
    words = [str(given.pop("options", None) or "")]
    # A space in a value would end it.
    words += [
        "-c {}={}".format(key, value.replace("\\", "\\\\").replace(" ", "\\ "))
        for key, value in (fixed | dict(session)).items()
    ]
    return make_conninfo(
        "", **(KEEPALIVES | given | {"options": " ".join(words).strip(), "application_name": f"milepost/{name}"})
    )


def _begin(tenant_id: int | None, snapshot: bool) -> bytes:
    statements = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if snapshot else "BEGIN"
    if tenant_id is not None:
        # Two statements in one simple query are one round trip; a parameter would need the extended protocol.
        statements += f"; SET LOCAL milepost.tenant = '{int(tenant_id)}'"
    return statements.encode()


async def _roll_back(connection: Connection) -> None:
    if connection.closed or connection.info.transaction_status == TransactionStatus.IDLE:
        return
    try:
        await connection.execute(b"ROLLBACK")
    except psycopg.Error:
        # Nothing is kept of the transaction, which is what was wanted; the pool replaces the connection.
        await connection.close()
