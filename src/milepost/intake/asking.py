"""Asking a tenant's lane to do a command, and waiting for what it answers: for jobs and the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from milepost.errors import Conflict, InvalidInput, MilepostError, NotFound, Timeout
from milepost.intake.queue import Kind, Queue
from milepost.postgres import Database
from milepost.settings import Settings

__all__ = ["Asking", "asking"]

WAIT_S = 120.0


class Asking:
    def __init__(self, queue: Queue, model: int) -> None:
        """model: the version under which commands are accepted."""
        self._queue = queue
        self._model = model

    async def do(self, tenant_id: int, lane: int, command: dict[str, Any]) -> dict[str, Any]:
        """The body of its answer. Raises what it says went wrong, and `Timeout` where nobody serves the lane: it waits in the queue."""
        receipt = await self._queue.enqueue(
            tenant_id=tenant_id,
            lane=lane,
            kind=Kind.COMMAND,
            model=self._model,
            rows=1,
            payload=msgspec.json.encode(command),
            may_wait=False,
        )
        loaded = await self._queue.outcome(receipt.batch_id, WAIT_S)
        if loaded is None:
            raise Timeout(f"Lane {lane} has not answered for {WAIT_S:g} s: is a server running?", lane=lane)
        result = loaded.result or {"status": 500}
        detail = str(result.get("detail", "The command could not be done; it lies in the dead letters."))
        match result["status"]:
            case 200:
                body: dict[str, Any] = result["body"]
                return body
            case 404:
                raise NotFound(detail)
            case 409:
                raise Conflict(detail)
            case 422:
                raise InvalidInput(detail)
            case _:
                raise MilepostError(detail)


@asynccontextmanager
async def asking(db: Database, settings: Settings, model: int) -> AsyncIterator[Asking]:
    queue = Queue(db, settings)
    await queue.start()
    try:
        yield Asking(queue, model)
    finally:
        await queue.stop()
