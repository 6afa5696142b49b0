"""The queue in PostgreSQL: insert-only, durable when `enqueue` returns, read lane by lane in `milepost.intake.lane`.

A batch is one row in one of the numbered tables queue_1 … queue_N, of which one is written at a time (see
`milepost.intake.rotation`). Nothing in them is ever updated or deleted, so no long transaction elsewhere can bloat them. What
became of a batch is a row in queue_N_loaded, its mark, written in the transaction that loaded it.

Promises: `enqueue` answers after a commit and not before; callers share commits (`_group_commit`) and do not hurt each other;
a request with an Idempotency-Key enqueues once, and is answered the same again. Fails with `DatabaseUnavailable` when nothing
was acknowledged; whether a batch whose commit was cut off is there is then unknown, and its activities' ids make a retry safe.

Waking is by event in this process, by NOTIFY from others, and both are only hints: loaders and waiters also poll.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from hashlib import blake2b

from milepost.errors import DatabaseError, DatabaseUnavailable, FieldError, InvalidInput, SchemaMismatch, Timeout
from milepost.intake._batches import (
    PAYLOAD_BYTES_MAX,
    Backlog,
    Batch,
    Idempotency,
    Kind,
    Loaded,
    NewBatch,
    Receipt,
)
from milepost.intake._group_commit import GroupCommit
from milepost.intake._hints import Hints
from milepost.intake._outcomes import Outcomes
from milepost.intake._tables import for_every_table, for_table
from milepost.postgres import Connection, Database, Jsonb, load_queries, translated
from milepost.settings import Settings

__all__ = [
    "PAYLOAD_BYTES_MAX",
    "Backlog",
    "Batch",
    "Idempotency",
    "Kind",
    "Loaded",
    "Queue",
    "Receipt",
    "backlog",
    "forget_answers",
]

q = load_queries(__package__, "queue.sql")

CLAIMS_MAX = 3
ANSWERS_FORGOTTEN_MAX = 10_000  # in one step


class Queue:
    """Puts batches into the queue, and waits for what becomes of them. One a process; `start` first, `stop` at the end."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings
        self._commits = GroupCommit(db, timeout_s=settings.write_timeout_s)
        self._outcomes = Outcomes(db)
        self._hints = Hints(db, self._wake, self._outcomes.hint)
        self._new: dict[int, asyncio.Event] = {}

    async def start(self) -> None:
        """Raises `DatabaseUnavailable`. Safe twice."""
        await self._hints.start()
        await self._commits.start()

    async def stop(self) -> None:
        """Takes nothing more, writes what waits, and ends. Safe twice, and unstarted."""
        await self._commits.stop()
        await self._outcomes.stop()
        await self._hints.stop()

    # ── In ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def enqueue(
        self,
        *,
        tenant_id: int,
        lane: int,
        kind: int,
        model: int,
        rows: int,
        payload: bytes,
        idempotency: Idempotency | None = None,
    ) -> Receipt:
        """Puts one batch into the queue: it is durable when this returns.

        `model` is the model version it was accepted under, `rows` how many it holds. With `idempotency`, a second request
        with the same key and body puts nothing in and gets the first one's answer, with its `receipt`.

        Raises `DatabaseUnavailable` (not acknowledged), or `InvalidInput` for a key that came with another body.
        """
        batch = NewBatch(lane=lane, tenant_id=tenant_id, kind=kind, model=model, rows=rows, payload=payload)
        if idempotency is None:
            receipt = Receipt(batch_id=await self._commits.put(batch))
        else:
            receipt = await self._enqueue_once(batch, idempotency)
        if receipt.answer_replayed is None:
            self._wake(lane)
            self._hints.new(lane)
        return receipt

    async def _enqueue_once(self, batch: NewBatch, idempotency: Idempotency) -> Receipt:
        """In a transaction of its own, since the key's row is the tenant's, and a second request waits for it."""
        key_hash = blake2b(idempotency.key.encode(), digest_size=16).digest()
        try:
            for _ in range(CLAIMS_MAX):
                async with self._db.transaction("write", tenant_id=batch.tenant_id) as connection:
                    receipt = await self._claim(connection, batch, idempotency, key_hash)
                if receipt is not None:
                    return receipt
        except (DatabaseError, Timeout) as error:
            raise DatabaseUnavailable("The queue could not be written: nothing was acknowledged.") from error
        raise DatabaseUnavailable("The answer to the first request with this Idempotency-Key is expiring just now.")

    async def _claim(
        self, connection: Connection, batch: NewBatch, idempotency: Idempotency, key_hash: bytes
    ) -> Receipt | None:
        """None if the key was there and then was not: it expired between two looks."""
        key = {"tenant_id": batch.tenant_id, "key_hash": key_hash}
        await connection.execute(q.drop_expired_answer, key | {"hours": self._settings.idempotency_hours})
        claim = key | {"body_hash": idempotency.body_hash, "answer": Jsonb(idempotency.answer)}
        claimed = await (await connection.execute(q.claim_answer, claim)).fetchone()
        if claimed is None:
            earlier = await (await connection.execute(q.earlier_answer, key)).fetchone()
            if earlier is None:
                return None
            body_hash, answer, batch_id = earlier
            if bytes(body_hash) != idempotency.body_hash:
                detail = "This key came with another body before. A new request needs a new key."
                raise InvalidInput(detail, errors=(FieldError("/Idempotency-Key", detail),))
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
            "payload": batch.payload,
        }
        await connection.execute(for_table(q.enqueue_claimed, state[0]), values)
        return Receipt(batch_id=claimed[0])

    # ── Out ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def outcome(self, batch_id: int, timeout_s: float) -> Loaded | None:
        """What became of a batch, as soon as it is loaded by any process; None if that takes longer than `timeout_s`."""
        return await self._outcomes.of(batch_id, timeout_s)

    def loaded_hint(self, loaded: Collection[Loaded]) -> None:
        """This process's loader has committed these. Who waits for one is answered at once; other processes look."""
        self._outcomes.tell(loaded)
        self._hints.loaded()

    async def wait_for_batches(self, lane: int, timeout_s: float) -> bool:
        """Returns when the lane may have something new (True) or after `timeout_s` (False). For one loader a lane.

        What was announced before the call counts: poll after it, not before.
        """
        new = self._new.setdefault(lane, asyncio.Event())
        try:
            async with asyncio.timeout(timeout_s):
                await new.wait()
        except TimeoutError:
            return False
        new.clear()
        return True

    def announce(self, lane: int) -> None:
        """Somebody has put batches into the lane in a transaction of their own, which is committed."""
        self._wake(lane)
        self._hints.new(lane)

    def _wake(self, lane: int | None) -> None:
        if lane is not None:
            self._new.setdefault(lane, asyncio.Event()).set()
        else:
            for new in self._new.values():
                new.set()


async def backlog(connection: Connection) -> list[Backlog]:
    """What each lane has yet to load. Costs by what waits, not by what is in the tables. Not inside a transaction."""
    with translated(connection):
        async with connection.transaction():
            await connection.execute(q.backlog_plan)
            state = await (await connection.execute(q.queue_state)).fetchone()
            lanes = await (await connection.execute(q.lanes)).fetchall()
            waiting: dict[int, tuple[int, int, float]] = {}
            if state is not None:
                cursor = await connection.execute(for_every_table(q.backlog, state[1]))
                for lane, batches, rows, age_s in await cursor.fetchall():
                    before = waiting.get(lane, (0, 0, 0.0))
                    waiting[lane] = (before[0] + batches, before[1] + rows, max(before[2], age_s))
    found = []
    for lane, held, holder in lanes:
        batches, rows, age_s = waiting.get(lane, (0, 0, 0.0))
        found.append(Backlog(lane=lane, batches=batches, rows=rows, oldest_age_s=age_s, held=held, holder=holder))
    return found


async def forget_answers(owner: Connection, settings: Settings) -> int:
    """One step of dropping expired answers to Idempotency-Keys; 0 when none is left. As the owner."""
    values = {"hours": settings.idempotency_hours, "rows_max": ANSWERS_FORGOTTEN_MAX}
    with translated(owner):
        return (await owner.execute(q.forget_answers, values)).rowcount
