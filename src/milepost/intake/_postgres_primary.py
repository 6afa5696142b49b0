"""PostgreSQL as the primary: one commit for many callers, and what was spilled moved in behind it.

What has been moved is the position in `milepost.relay`, set in the transaction that enqueues.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from milepost.errors import DatabaseUnavailable
from milepost.intake import relay
from milepost.intake._batches import Idempotency, NewBatch
from milepost.intake._group_commit import GroupCommit
from milepost.intake.relay import Relayed
from milepost.postgres import Connection, Database, load_queries, translated
from milepost.settings import Settings

__all__ = ["PostgresPrimary"]

queue = load_queries(__package__, "queue.sql")

ANSWER_S = 5.0  # how much longer than its statement's timeout we wait for the server to say so


class PostgresPrimary:
    """See `milepost.intake.primary.Primary`."""

    name = "postgres"
    takes_claims = False  # it claims them itself

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._timeout_s = settings.write_timeout_s
        self._commits = GroupCommit(db, timeout_s=settings.write_timeout_s)
        self._connection: Connection | None = None
        self._alone = asyncio.Lock()  # the connection is for one transaction at a time

    async def start(self) -> None:
        await self._commits.start()

    async def stop(self) -> None:
        await self._commits.stop()
        async with self._alone:
            await self._close()

    async def put(self, batch: NewBatch, claim: Idempotency | None = None) -> int:
        assert claim is None
        return await self._commits.put(batch)

    async def put_again(self, source: str, batches: Sequence[Relayed]) -> None:
        async with self._session() as connection:
            if not batches:
                await connection.execute(queue.queue_state)
                return
            after = await relay.position_of(connection, source)
            left = [one for one in batches if one.position > after]
            if left and not await relay.move(connection, source, after, left):
                raise DatabaseUnavailable(f"Another process is moving {source}.", source=source)

    async def forget(self, source: str) -> None:
        async with self._session() as connection:
            await relay.forget_source(connection, source)

    def state(self) -> dict[str, Any]:
        return {}

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Connection]:
        """The connection for what is moved, one at a time. After any error it is made anew."""
        async with self._alone:
            try:
                async with asyncio.timeout(self._timeout_s + ANSWER_S if self._timeout_s else None):
                    if self._connection is None or self._connection.closed:
                        settings = {"statement_timeout": f"{self._timeout_s * 1000:.0f}"}
                        self._connection = await self._db.direct("queue-again", settings=settings)
                    with translated(self._connection):
                        yield self._connection
            except TimeoutError as error:
                await self._close()
                raise DatabaseUnavailable("PostgreSQL did not answer in time.") from error
            except BaseException:
                await self._close()
                raise

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
