"""Requests with an Idempotency-Key: the key is claimed in the transaction that enqueues, so that both are there or neither is.

Always in PostgreSQL, whatever the primary is. A batch that was spilled, or that Redis took while PostgreSQL was away, brings its
claim along, and the key is claimed when it is moved: if somebody has claimed it by then, with the same body, the batch is in the
queue already and its receipt stands for that one. With another body it is a batch of its own: it was acknowledged, and nobody could
know then.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from hashlib import blake2b
from time import monotonic

from milepost.errors import DatabaseError, DatabaseUnavailable, FieldError, InvalidInput, SchemaMismatch, Timeout
from milepost.intake import relay
from milepost.intake._batches import Idempotency, NewBatch, Receipt
from milepost.intake._tables import for_table
from milepost.intake.relay import Relayed
from milepost.postgres import Connection, Database, Jsonb, answered, load_queries
from milepost.settings import Settings

__all__ = ["Claims"]

q = load_queries(__package__, "queue.sql")

CLAIMS_MAX = 3
ANSWER_S = 5.0  # how much longer than its statement's timeout we wait for the server to say so
AWAY_S = 1.0  # after PostgreSQL did not answer: who can do without it does not wait for it meanwhile


class _OtherBody(Exception):
    """The key came with another body before."""


class _Overtaken(Exception):
    """Somebody else has moved the batch meanwhile."""


class Claims:
    """Each call is a transaction of its own, since the key's row is the tenant's, and a second request waits for it."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._hours = settings.idempotency_hours
        self._answer_s = settings.write_timeout_s + ANSWER_S if settings.write_timeout_s else None
        self._away_until = float("-inf")

    @property
    def away(self) -> bool:
        """Whether PostgreSQL did not answer just now."""
        return monotonic() < self._away_until

    async def put_within(self, batch: NewBatch, idempotency: Idempotency, patience_s: float) -> Receipt:
        """As `put`, and `DatabaseUnavailable` after `patience_s` without an answer. What it says is remembered in `away`."""
        try:
            return await answered(self.put(batch, idempotency), patience_s)
        except DatabaseUnavailable:
            self._away_until = monotonic() + AWAY_S
            raise

    async def put(self, batch: NewBatch, idempotency: Idempotency) -> Receipt:
        """Durable when it returns. Raises `DatabaseUnavailable` (not acknowledged), or `InvalidInput` for another body."""
        try:
            for _ in range(CLAIMS_MAX):
                async with self._db.transaction("write", tenant_id=batch.tenant_id) as connection:
                    receipt = await self._claim(connection, batch, idempotency, None)
                if receipt is not None:
                    return receipt
        except _OtherBody:
            detail = "This key came with another body before. A new request needs a new key."
            raise InvalidInput(detail, errors=(FieldError("/Idempotency-Key", detail),)) from None
        except (DatabaseError, Timeout) as error:
            raise DatabaseUnavailable("The queue could not be written: nothing was acknowledged.") from error
        raise DatabaseUnavailable("The answer to the first request with this Idempotency-Key is expiring just now.")

    async def put_again(self, source: str, one: Relayed) -> None:
        """A batch that was spilled, once however often it is called (see `Primary.put_again`). Raises `DatabaseError`, `TimeoutError`."""
        async with asyncio.timeout(self._answer_s), self._db.transaction("write", tenant_id=one.batch.tenant_id) as connection:
            after = await relay.position_of(connection, source)
            if one.position <= after:
                return
            try:
                await self._move(connection, source, after, one)
            except _Overtaken as error:
                raise DatabaseUnavailable(f"Another process is moving {source}.", source=source) from error

    async def move(self, source: str, after: str, one: Relayed) -> bool:
        """As `relay.move`, of one batch that brings its claim, and in a transaction of its own. Raises `DatabaseError`, `TimeoutError`."""
        try:
            async with (
                asyncio.timeout(self._answer_s),
                self._db.transaction("write", tenant_id=one.batch.tenant_id) as connection,
            ):
                await self._move(connection, source, after, one)
        except _Overtaken:
            return False
        return True

    async def _move(self, connection: Connection, source: str, after: str, one: Relayed) -> None:
        """Raises `_Overtaken`, which takes back the claim as well."""
        assert one.claim is not None
        try:
            receipt = await self._claim(connection, one.batch, one.claim, one.received_at)
        except _OtherBody:
            moved = await relay.move(connection, source, after, [one])
        else:
            if receipt is None:
                raise DatabaseUnavailable("The answer to an earlier request with this Idempotency-Key is expiring just now.")
            moved = await relay.moved_as(connection, source, after, one, receipt.batch_id)
        if not moved:
            raise _Overtaken

    async def forget(self, source: str) -> None:
        """See `Primary.forget`."""
        async with asyncio.timeout(self._answer_s), self._db.transaction("write") as connection:
            await relay.forget_source(connection, source)

    async def _claim(
        self, connection: Connection, batch: NewBatch, idempotency: Idempotency, received_at: datetime | None
    ) -> Receipt | None:
        """None if the key was there and then was not: it expired between two looks."""
        key = {"tenant_id": batch.tenant_id, "key_hash": blake2b(idempotency.key.encode(), digest_size=16).digest()}
        await connection.execute(q.drop_expired_answer, key | {"hours": self._hours})
        claim = key | {"body_hash": idempotency.body_hash, "answer": Jsonb(idempotency.answer)}
        claimed = await (await connection.execute(q.claim_answer, claim)).fetchone()
        if claimed is None:
            earlier = await (await connection.execute(q.earlier_answer, key)).fetchone()
            if earlier is None:
                return None
            body_hash, answer, batch_id = earlier
            if bytes(body_hash) != idempotency.body_hash:
                raise _OtherBody
            return Receipt(batch_id=batch_id, answer_replayed=answer)
        state = await (await connection.execute(q.queue_state)).fetchone()
        if state is None:
            raise SchemaMismatch("The queue has no tables yet: run `milepost db migrate`.")
        values = {
            "batch_id": claimed[0],
            "lane": batch.lane,
            "tenant_id": batch.tenant_id,
            "kind": int(batch.kind),
            "model": batch.model,
            "rows": batch.rows,
            "received_at": received_at,
            "payload": batch.payload,
        }
        await connection.execute(for_table(q.enqueue_claimed, state[0]), values)
        return Receipt(batch_id=claimed[0])
