"""Telling other processes that a lane has something new or that batches were loaded, and hearing it from them.

Hints only: whoever they are for also polls. So they are sent outside the transactions they speak of, on a connection of their
own, at most 20 times a second, and a failure to send is logged and not repeated.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

import structlog

from milepost.errors import MilepostError
from milepost.postgres import Connection, Database, Listener, notify, translated

__all__ = ["Hints"]

log = structlog.get_logger(__name__)

NEW, LOADED = "milepost_queue", "milepost_loaded"
PAUSE_S = 0.05
PAUSE_AFTER_ERROR_S = 1.0
LANES_MAX = 500  # of one notification; an empty list means any


class Hints:
    """`on_new(lane)` and `on_loaded()` are called for what other processes say (`on_new(None)`: for any lane)."""

    def __init__(self, db: Database, on_new: Callable[[int | None], None], on_loaded: Callable[[], None]) -> None:
        self._db = db
        self._on_new = on_new
        self._on_loaded = on_loaded
        self._sender = secrets.token_hex(4)  # our own hints come back to us
        self._lanes: set[int] = set()
        self._loaded = False
        self._due = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connects. Raises `DatabaseUnavailable`."""
        if self._tasks:
            return
        listener = Listener(self._db, [NEW, LOADED], name="queue-hints")
        await listener.__aenter__()
        self._tasks = [
            asyncio.create_task(self._hear(listener), name="queue hints in"),
            asyncio.create_task(self._send(), name="queue hints out"),
        ]

    async def stop(self) -> None:
        """Safe twice, and unstarted."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def new(self, lane: int) -> None:
        self._lanes.add(lane)
        self._due.set()

    def loaded(self) -> None:
        self._loaded = True
        self._due.set()

    async def _hear(self, listener: Listener) -> None:
        try:
            async for hint in listener:
                sender, _, lanes = hint.payload.partition(" ")
                if hint.reconnected or (hint.channel == NEW and sender != self._sender and not lanes):
                    self._on_new(None)
                if hint.reconnected or (hint.channel == LOADED and sender != self._sender):
                    self._on_loaded()
                if hint.channel == NEW and sender != self._sender:
                    for lane in lanes.split():
                        self._on_new(int(lane))
        except MilepostError as error:
            log.error("no more hints from other processes: polling goes on", error=str(error))
        finally:
            await listener.__aexit__(None, None, None)

    async def _send(self) -> None:
        connection: Connection | None = None
        try:
            while True:
                await self._due.wait()
                self._due.clear()
                lanes, self._lanes = self._lanes, set()
                loaded, self._loaded = self._loaded, False
                try:
                    if connection is None:
                        # A notification takes a transaction number, so its commit would otherwise wait for the disk.
                        connection = await self._db.direct("queue-notify", settings={"synchronous_commit": "off"})
                    with translated(connection):
                        if lanes:
                            named = " ".join(map(str, sorted(lanes))) if len(lanes) <= LANES_MAX else ""
                            await notify(connection, NEW, f"{self._sender} {named}")
                        if loaded:
                            await notify(connection, LOADED, self._sender)
                    await asyncio.sleep(PAUSE_S)
                except MilepostError as error:
                    log.warning("a hint could not be sent", error=str(error))
                    if connection is not None:
                        await connection.close()
                        connection = None
                    await asyncio.sleep(PAUSE_AFTER_ERROR_S)
        finally:
            if connection is not None:
                await connection.close()
