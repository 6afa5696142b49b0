"""Waiting for batches to be loaded: told by the loader of this process, or seen in the marks.

The marks are read only while somebody waits: for all that is waited for, in one query, every 25 ms or when a hint says that
some loader has loaded something. Receipts that were given before the batch was in PostgreSQL are waited for like others: which
batch they stand for is looked up as long as it is not known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from milepost.errors import MilepostError, SchemaMismatch
from milepost.intake._batches import Loaded
from milepost.intake._tables import for_every_table
from milepost.intake.relay import batch_ids, is_elsewhere
from milepost.postgres import Database, load_queries

__all__ = ["Outcomes"]

log = structlog.get_logger(__name__)
q = load_queries(__package__, "queue.sql")

LOOK_S = 0.025
LOOK_AFTER_ERROR_S = 0.5
CONNECTION_S = 1.0


class Outcomes:
    """`await of(batch_id, timeout_s)`; `tell` what is known; `hint` that a look may find something."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._awaited: dict[int, asyncio.Future[Loaded | None]] = {}
        self._callers: dict[int, int] = {}
        self._receipts: dict[int, set[int]] = {}  # by batch: receipts that stand for it, and are waited for
        self._hinted = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    async def of(self, batch_id: int, timeout_s: float) -> Loaded | None:
        """What became of the batch; None if it is not loaded after `timeout_s`."""
        found = self._awaited.setdefault(batch_id, asyncio.get_running_loop().create_future())
        self._callers[batch_id] = self._callers.get(batch_id, 0) + 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_while_awaited(), name="queue outcomes")
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(found)
        except TimeoutError:
            return None
        finally:
            self._callers[batch_id] -= 1
            if not self._callers[batch_id]:
                del self._callers[batch_id], self._awaited[batch_id]
                for receipts in self._receipts.values():
                    receipts.discard(batch_id)
                self._receipts = {known: receipts for known, receipts in self._receipts.items() if receipts}

    def tell(self, loaded: Iterable[Loaded]) -> None:
        for one in loaded:
            for number in (one.batch_id, *self._receipts.get(one.batch_id, ())):
                found = self._awaited.get(number)
                if found is not None and not found.done():
                    found.set_result(one)

    def hint(self) -> None:
        self._hinted.set()

    async def stop(self) -> None:
        """Who still waits gets None: not loaded as far as we know. Safe twice."""
        for found in self._awaited.values():
            if not found.done():
                found.set_result(None)
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _look_while_awaited(self) -> None:
        pause = LOOK_S
        while True:
            try:
                async with asyncio.timeout(pause):
                    await self._hinted.wait()
            except TimeoutError:
                pass
            self._hinted.clear()
            awaited = [batch_id for batch_id, found in self._awaited.items() if not found.done()]
            if not awaited:
                return
            try:
                self.tell(await self._look(awaited))
                pause = LOOK_S
            except MilepostError as error:
                # Who waits has a receipt already; the answer "not yet" stays true.
                log.warning("the marks could not be read", error=str(error))
                pause = LOOK_AFTER_ERROR_S

    async def _look(self, wanted: list[int]) -> list[Loaded]:
        async with self._db.transaction("point", snapshot=True, wait_s=CONNECTION_S) as connection:
            await connection.execute(q.outcome_plan)
            if elsewhere := [number for number in wanted if is_elsewhere(number)]:
                moved = await batch_ids(connection, elsewhere)
                for receipt, batch_id in moved.items():
                    if receipt in self._awaited:
                        self._receipts.setdefault(batch_id, set()).add(receipt)
                wanted = [moved.get(number, number) for number in wanted]
            state = await (await connection.execute(q.queue_state)).fetchone()
            if state is None:
                raise SchemaMismatch("The queue has no tables yet: run `milepost db migrate`.")
            query = for_every_table(q.outcomes, state[1])
            cursor = await connection.execute(query, {"batch_ids": wanted})
            return [
                Loaded(batch_id=batch_id, position=position, loaded=loaded, duplicates=duplicates, result=result)
                for batch_id, position, loaded, duplicates, result in await cursor.fetchall()
            ]
