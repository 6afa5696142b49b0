"""The queue: durable when `enqueue` returns, read lane by lane in `milepost.intake.lane`.

What loaders read is in PostgreSQL, insert-only: a batch is one row in one of the numbered tables queue_1 … queue_N, of which one is
written at a time (see `milepost.intake.rotation`). Nothing in them is ever updated or deleted, so no long transaction elsewhere can
bloat them. What became of a batch is a row in queue_N_loaded, its mark, written in the transaction that loaded it.

Where a batch is durable first is its primary (`milepost.intake.primary`): these tables, or a Redis in front of them. While that is
away, it is the spill (`milepost.intake.spill`), from which the batches come into the queue later, in order, once (`_detour`).

Promises: `enqueue` answers when the batch is durable and not before; callers share commits and do not hurt each other; a request
with an Idempotency-Key enqueues once, and is answered the same again. Fails with `QueueUnavailable`, `DatabaseUnavailable` or
`QueueFull` when nothing was acknowledged; whether a batch whose commit was cut off is there is then unknown, and its activities'
ids make a retry safe.

Waking is by event in this process, by NOTIFY from others, and both are only hints: loaders and waiters also poll.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

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
from milepost.intake._claims import Claims
from milepost.intake._detour import Detour
from milepost.intake._hints import Hints
from milepost.intake._outcomes import Outcomes
from milepost.intake._tables import for_every_table
from milepost.intake.primary import primary_for
from milepost.intake.relay import is_elsewhere
from milepost.intake.spill import Spill
from milepost.postgres import Connection, Database, load_queries, translated
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

SPILL_FOLDER = "spill"  # in the data folder
ANSWERS_FORGOTTEN_MAX = 10_000  # in one step


class Queue:
    """Puts batches into the queue, and waits for what becomes of them. One a process; `start` first, `stop` at the end.

    spill: whether batches are kept on this machine's disk while the queue is away. Without, `enqueue` fails then.
    """

    def __init__(self, db: Database, settings: Settings, *, spill: bool = False) -> None:
        self._db = db
        self._outcomes = Outcomes(db)
        self._hints = Hints(db, self._wake, self._outcomes.hint)
        self._new: dict[int, asyncio.Event] = {}
        self._primary = primary_for(db, settings, self.announce)
        self._claims = Claims(db, settings)
        self._detour: Detour | None = None
        if spill and settings.spill_bytes_max:
            self._detour = Detour(
                self._primary,
                self._claims,
                Spill(settings.data_dir / SPILL_FOLDER, settings.spill_bytes_max),
                patience_s=settings.queue_patience_s,
                drained=self.announce,
            )

    async def start(self) -> None:
        """Raises `DatabaseUnavailable`, `QueueUnavailable`. Safe twice."""
        await self._hints.start()
        await self._primary.start()
        if self._detour is not None:
            await self._detour.start()

    async def stop(self) -> None:
        """Takes nothing more, writes what waits, and ends. Safe twice, and unstarted."""
        if self._detour is not None:
            await self._detour.stop()
        await self._primary.stop()
        await self._outcomes.stop()
        await self._hints.stop()

    def state(self) -> dict[str, Any]:
        """For /readyz: the primary, and what is spilled."""
        own = {"primary": self._primary.name, "state": "direct"} if self._detour is None else self._detour.state()
        return own | self._primary.state()

    @property
    def taking(self) -> bool:
        """Whether the next batch would be acknowledged, as far as this process knows."""
        return self._detour is None or self._detour.taking

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
        may_wait: bool = True,
    ) -> Receipt:
        """Puts one batch into the queue: it is durable when this returns.

        `model` is the model version it was accepted under, `rows` how many it holds. With `idempotency`, a second request
        with the same key and body puts nothing in and gets the first one's answer, with its `receipt`. `may_wait`: whether it may
        lie in the spill for as long as the queue is away.

        Raises `DatabaseUnavailable`, `QueueUnavailable` or `QueueFull` (not acknowledged), or `InvalidInput` for a key that came
        with another body.
        """
        batch = NewBatch(lane=lane, tenant_id=tenant_id, kind=kind, model=model, rows=rows, payload=payload)
        if self._detour is not None:
            receipt = await self._detour.put(batch, idempotency, may_wait=may_wait)
        elif idempotency is None:
            receipt = Receipt(batch_id=await self._primary.put(batch))
        else:
            receipt = await self._claims.put(batch, idempotency)
        if receipt.answer_replayed is None and not is_elsewhere(receipt.batch_id):
            self.announce(lane)
        return receipt

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
