"""Relay: move batches that were acknowledged elsewhere into the queue, in order, each once.

The queue in PostgreSQL is what loaders read; a Redis stream or a spill file only stands in front of it. Each such source has a
position in PostgreSQL. `move` enqueues batches and sets the position in one transaction, and only if the position is still the
one the caller read from: so a crash at any instant, or two processes at once, move every batch once, and in the source's order.

A receipt that was given before the batch had its number in the queue is a number of its own (`receipt_id`), which `move` notes
beside the batch; `batch_ids` answers which batch it stands for, and None while it has not been moved.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from milepost.errors import SchemaMismatch
from milepost.intake._batches import Idempotency, NewBatch
from milepost.intake._tables import for_table
from milepost.postgres import Connection, load_queries, translated

__all__ = [
    "Relayed",
    "batch_ids",
    "forget_relayed",
    "forget_source",
    "is_elsewhere",
    "move",
    "moved_as",
    "position_of",
    "receipt_id",
]

q = load_queries(__package__, "relay.sql")
queue = load_queries(__package__, "queue.sql")

ELSEWHERE = 1 << 62  # the queue's own sequence never comes so far
RECEIPTS_KEPT_HOURS = 48.0
FORGOTTEN_MAX = 10_000  # in one step


@dataclass(frozen=True, kw_only=True, slots=True)
class Relayed:
    """A batch as it lies elsewhere. position: the source's own, of this batch. claim: the Idempotency-Key that it came with, and
    that is claimed as it is moved (`milepost.intake._claims`, not `move`).
    """

    position: str
    receipt_id: int
    received_at: datetime
    batch: NewBatch
    claim: Idempotency | None = None


def receipt_id() -> int:
    """A number for a receipt that is given before the queue has the batch."""
    return ELSEWHERE | secrets.randbits(62)


def is_elsewhere(number: int) -> bool:
    """Whether a receipt's number stands for a batch, rather than being one's."""
    return number >= ELSEWHERE


async def position_of(connection: Connection, source: str) -> str:
    """How far `source` has been moved; '' for a new one, which is noted here."""
    with translated(connection):
        await connection.execute(q.begin, {"source": source})
        row = await (await connection.execute(q.position, {"source": source})).fetchone()
    return row[0] if row else ""


async def move(connection: Connection, source: str, after: str, batches: Sequence[Relayed]) -> bool:
    """Enqueue the batches that follow position `after`. False: nothing was moved, because somebody else did; ask for the position.

    In a transaction of its own, durable when this returns. The connection must commit synchronously.
    """
    with translated(connection):
        async with connection.transaction():
            state = await (await connection.execute(queue.queue_state)).fetchone()
            if state is None:
                raise SchemaMismatch("The queue has no tables yet: run `milepost db migrate`.")
            step = {"source": source, "after": after, "position": batches[-1].position}
            if await (await connection.execute(q.advance, step)).fetchone() is None:
                return False
            values = {
                "receipt_ids": [one.receipt_id for one in batches],
                "lanes": [one.batch.lane for one in batches],
                "tenant_ids": [one.batch.tenant_id for one in batches],
                "kinds": [int(one.batch.kind) for one in batches],
                "models": [one.batch.model for one in batches],
                "rows": [one.batch.rows for one in batches],
                "received_at": [one.received_at for one in batches],
                "payloads": [one.batch.payload for one in batches],
            }
            await connection.execute(for_table(q.move, state[0]), values)
    return True


async def moved_as(connection: Connection, source: str, after: str, one: Relayed, batch_id: int) -> bool:
    """Note in the caller's transaction that it has enqueued a batch itself, as `batch_id`. → as `move`."""
    with translated(connection):
        step = {"source": source, "after": after, "position": one.position}
        if await (await connection.execute(q.advance, step)).fetchone() is None:
            return False
        await connection.execute(q.note, {"receipt_id": one.receipt_id, "batch_id": batch_id})
    return True


async def forget_source(connection: Connection, source: str) -> None:
    """The source is empty, and gone for good. Safe twice."""
    with translated(connection):
        await connection.execute(q.finished, {"source": source})


async def batch_ids(connection: Connection, receipt_ids: Collection[int]) -> dict[int, int]:
    """By receipt: the batch it stands for. What is missing has not been moved yet (or was loaded long ago)."""
    with translated(connection):
        rows = await (await connection.execute(q.batch_of, {"receipt_ids": list(receipt_ids)})).fetchall()
    return dict(rows)


async def forget_relayed(owner: Connection) -> int:
    """One step of forgetting what old receipts stood for; 0 when none is left."""
    values = {"hours": RECEIPTS_KEPT_HOURS, "rows_max": FORGOTTEN_MAX}
    with translated(owner):
        return (await owner.execute(q.forget, values)).rowcount
