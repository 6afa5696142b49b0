"""Builders for the queue: put batches in, read a lane, load as a loader does, look at the tables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from milepost.intake.lane import LaneReader, LaneSettings
from milepost.intake.queue import Batch, Idempotency, Loaded, Queue, Receipt
from milepost.postgres import Connection, Database
from milepost.settings import Settings


@asynccontextmanager
async def queue_on(db: Database, settings: Settings) -> AsyncIterator[Queue]:
    """A queue as one process has it."""
    queue = Queue(db, settings)
    await queue.start()
    try:
        yield queue
    finally:
        await queue.stop()


@asynccontextmanager
async def connected(db: Database) -> AsyncIterator[Connection]:
    """A dedicated connection as the service, such as a loader has."""
    connection = await db.direct("test")
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def owner_of(db: Database) -> AsyncIterator[Connection]:
    connection = await db.owner()
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def reader_of(
    db: Database, lane: int = 0, holder: str = "reader", settings: LaneSettings | None = None
) -> AsyncIterator[LaneReader]:
    """The holder of a lane."""
    async with connected(db) as connection:
        reader = LaneReader(connection, lane, holder, settings, clock=ManualClock())
        assert await reader.acquire()
        yield reader


class ManualClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def put(
    queue: Queue,
    payload: bytes = b"payload",
    *,
    tenant_id: int = 1,
    lane: int = 0,
    rows: int = 1,
    idempotency: Idempotency | None = None,
) -> Receipt:
    return await queue.enqueue(
        tenant_id=tenant_id, lane=lane, kind=0, model=1, rows=rows, payload=payload, idempotency=idempotency
    )


async def insert(connection: Connection, *, lane: int = 0, table: int = 1, count: int = 1) -> list[int]:
    """Batches put in by hand, in whatever transaction the connection is in: as an app inside its own transaction does."""
    cursor = await connection.execute(
        f"INSERT INTO milepost.queue_{table} (lane, tenant_id, kind, model, rows, payload)"
        f" SELECT {lane}, 1, 0, 1, 1, 'payload' FROM generate_series(1, {count}) RETURNING batch_id".encode()
    )
    return [row[0] for row in await cursor.fetchall()]


async def load(reader: LaneReader, connection: Connection, batches: Sequence[Batch]) -> list[Loaded]:
    """A load as a loader does it, with nothing in it but the marks."""
    marks = [Loaded(batch_id=batch.batch_id, position=1, loaded=batch.rows, duplicates=0) for batch in batches]
    async with connection.transaction():
        await reader.fence()
        await reader.mark(marks)
    reader.settle(marks)
    return marks


async def value(connection: Connection, query: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> Any:
    row = await (await connection.execute(query.encode(), parameters)).fetchone()
    assert row is not None
    return row[0]


async def column(connection: Connection, query: str) -> list[Any]:
    return [row[0] for row in await (await connection.execute(query.encode())).fetchall()]


async def until(seen: Callable[[], Awaitable[Any]]) -> None:
    """Asks PostgreSQL again and again for what another session is about to show."""
    while not await seen():
        pass


async def lock_waiters(connection: Connection) -> int:
    """How many sessions of this server wait for a lock. (The service may not see it in pg_stat_activity.)"""
    return int(await value(connection, "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"))
