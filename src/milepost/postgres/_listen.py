"""LISTEN: hints that something has happened, over polling, never instead of it.

A notification can be lost (the connection breaks, a pooler sits in between), so its reader also polls. After each
connect the listener gives a hint with `reconnected=True`: whatever was announced in between is gone, so look now. It
is the first hint as well. A connection that fails is made anew, with backoff, for as long as the listener is asked
for hints.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from types import TracebackType

import psycopg
import structlog
from psycopg import sql

from milepost.errors import DatabaseUnavailable
from milepost.postgres._database import Connection, Database
from milepost.postgres._errors import translated
from milepost.postgres._retry import backoff_s
from milepost.telemetry import count

__all__ = ["Hint", "Listener", "notify"]

log = structlog.get_logger(__name__)

PAYLOAD_BYTES_MAX = 7999  # PostgreSQL's limit is less than 8000
PROBE_S = 30.0  # a connection on which nothing comes is asked whether it lives
BACKOFF_BASE_S = 0.1
BACKOFF_MAX_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Hint:
    """One notification; or, with `reconnected`, the news that earlier ones may be missing (channel and payload
    empty).
    """

    channel: str = ""
    payload: str = ""
    reconnected: bool = False


class Listener:
    """Hints of `channels`: `async with Listener(db, ["journal"]) as hints: async for hint in hints: …`

    Entering connects, and fails if that fails. Iterating never ends; leave the block, or cancel it.
    """

    def __init__(self, db: Database, channels: Sequence[str], *, name: str = "listen") -> None:
        self._db = db
        self._channels = tuple(channels)
        self._name = name
        self._connection: Connection | None = None
        self._stream: AsyncGenerator[psycopg.Notify] | None = None
        self._announce = False

    async def __aenter__(self) -> Listener:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._hang_up()

    def __aiter__(self) -> Listener:
        return self

    @property
    def backend_pid(self) -> int | None:
        """The server's process for this listener, to tell it apart; None while it is not connected."""
        return None if self._connection is None else self._connection.info.backend_pid

    async def __anext__(self) -> Hint:
        attempt = 0
        while True:
            try:
                if self._connection is None:
                    await self._listen()
                if self._announce:
                    self._announce = False
                    return Hint(reconnected=True)
                if (hint := await self._next()) is not None:
                    return hint
            except DatabaseUnavailable as error:
                attempt += 1
                count("listener_reconnects")
                log.warning("listener lost its connection", listener=self._name, error=str(error), attempt=attempt)
                await self._hang_up()
                await asyncio.sleep(backoff_s(attempt, BACKOFF_BASE_S, BACKOFF_MAX_S))

    async def _listen(self) -> None:
        connection = await self._db.direct(self._name)
        self._connection = connection
        with translated(connection):
            for channel in self._channels:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        self._announce = True

    async def _next(self) -> Hint | None:
        """The next notification, or None after `PROBE_S` seconds without one on a connection that still answers."""
        assert self._connection is not None
        with translated(self._connection):
            if self._stream is None:
                self._stream = self._connection.notifies(timeout=PROBE_S)
            try:
                notification = await anext(self._stream)
            except StopAsyncIteration:
                # Its time is over; or a reader was cancelled while waiting here, which ends a generator as well.
                self._stream = None
                await self._connection.execute("SELECT 1")
                return None
            return Hint(channel=notification.channel, payload=notification.payload)

    async def _hang_up(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


async def notify(connection: Connection, channel: str, payload: str = "") -> None:
    """Announces on `channel`: at the transaction's commit, or now in autocommit. `payload` is up to 7,999 bytes."""
    assert len(payload.encode()) <= PAYLOAD_BYTES_MAX, "a notification is a hint, not a message"
    await connection.execute("SELECT pg_notify(%s, %s)", [channel, payload])
