"""Builders for Redis before the queue: a primary, a relay, batches, and what became of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from milepost.intake._batches import NewBatch
from milepost.intake.streams import RedisPrimary
from milepost.intake.streams.entry import LaneKeys, deployment
from milepost.intake.streams.lane_relay import LaneRelay
from milepost.postgres import Database
from milepost.settings import Settings

# The package's Redis is of version 6.2: these, of another version or make, where the machine has them.
OTHERS = ("redis-server", "valkey-server")


@asynccontextmanager
async def primary_on(db: Database, settings: Settings) -> AsyncIterator[RedisPrimary]:
    """A primary as one process has it."""
    primary = RedisPrimary(db, settings)
    try:
        await primary.start()
        yield primary
    finally:
        await primary.stop()


@asynccontextmanager
async def relay_on(db: Database, settings: Settings, lane: int = 0) -> AsyncIterator[LaneRelay]:
    """A relay that moves when a test says so."""
    relay = LaneRelay(db, settings, lane, lambda lane: None)
    try:
        await relay.open()
        yield relay
    finally:
        await relay.close()


def a_batch(payload: bytes = b"payload", *, lane: int = 0, tenant_id: int = 1, rows: int = 1) -> NewBatch:
    return NewBatch(lane=lane, tenant_id=tenant_id, kind=0, model=1, rows=rows, payload=payload)


async def keys_of(db: Database, lane: int = 0) -> LaneKeys:
    async with db.transaction("point") as connection:
        name, _ = await deployment(connection)
    return LaneKeys(name, lane)


async def queued(db: Database) -> list[bytes]:
    """The payloads in PostgreSQL's queue, in the order of their batches."""
    async with db.transaction("point") as connection:
        rows = await (await connection.execute("SELECT payload FROM milepost.queue_1 ORDER BY batch_id")).fetchall()
    return [bytes(payload) for (payload,) in rows]
