"""Relays: beside the loader of each lane that this process holds, the task that moves the lane's stream into its queue.

They follow the lanes' leases: where a lane goes to another process, so does its relay, within seconds; that two relay one lane for
a moment harms nothing. How it fails: any error ends a session, is logged, and the next one begins with connections of its own, after
a pause that grows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from milepost.errors import MilepostError
from milepost.intake.streams.lane_relay import LaneRelay
from milepost.postgres import Database
from milepost.settings import Settings

__all__ = ["Relays"]

log = structlog.get_logger(__name__)

WAIT_S = 1.0  # for new entries, in one question
PAUSE_S_MAX = 5.0
CANCEL_AGAIN_S = 1.0


class Relays:
    """moved: called with a lane into whose queue batches were moved."""

    def __init__(self, db: Database, settings: Settings, moved: Callable[[int], None]) -> None:
        self._db = db
        self._settings = settings
        self._moved = moved

    @asynccontextmanager
    async def beside(self, lane: int) -> AsyncIterator[None]:
        """Relays the lane for as long as the block lasts."""
        task = asyncio.create_task(self._run(lane), name=f"relay-{lane}")
        try:
            yield
        finally:
            # Again where a driver has taken a cancellation for its own connection's end, as it may while that breaks.
            while not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=CANCEL_AGAIN_S)

    async def _run(self, lane: int) -> None:
        """Until it is cancelled. A move that is cut off then has happened or not, and the next relay finds out."""
        failures = 0
        while True:
            relay = LaneRelay(self._db, self._settings, lane, self._moved)
            try:
                await relay.open()
                while True:
                    await relay.run_once(WAIT_S)
                    failures = 0
            except MilepostError as error:
                failures += 1
                log.warning("relay interrupted", lane=lane, error=str(error), failures=failures)
            except Exception:
                # Our own mistake. What is in the stream has to go on all the same: nothing else moves it.
                failures += 1
                log.exception("relay failed", lane=lane, failures=failures)
            finally:
                await relay.close()
            await asyncio.sleep(min(PAUSE_S_MAX, 0.1 * 2**failures))
