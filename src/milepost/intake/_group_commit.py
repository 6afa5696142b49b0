"""One commit for many callers: what waits while a transaction is under way goes into the next one, together.

A lone caller is written at once; under load the groups grow by themselves, so the rate is not bound to the time of an fsync.
No tenant's batches hold up another's: a group takes one of each tenant in turn. Two writers take turns, so that the rows of one
group are sent while the other's commit is being flushed.

A caller is answered after the commit of its group and not before. When the database fails, all callers of the group get
`DatabaseUnavailable`: also when the connection broke during the commit and nobody knows whether it happened (then the batch may
be in the queue; activities sent again are recognised by their ids). A caller that is cancelled takes nothing with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Any

import structlog

from milepost import faults
from milepost.errors import DatabaseUnavailable, MilepostError, SchemaMismatch
from milepost.intake._batches import Kind, NewBatch
from milepost.intake._tables import for_table
from milepost.postgres import Connection, Database, load_queries, translated
from milepost.telemetry import count, observe

__all__ = ["GroupCommit"]

log = structlog.get_logger(__name__)
q = load_queries(__package__, "queue.sql")

WRITERS = 2
GROUP_BATCHES_MAX = 512
GROUP_BYTES_MAX = 4 * 1024 * 1024  # a larger payload goes alone; more would have the next group wait long
CURRENT_READ_S = 1.0  # how old the knowledge of the table to write may be
ANSWER_S = 5.0  # how much longer than its statement's timeout we wait for the server to say so


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    batch: NewBatch
    batch_id: asyncio.Future[int]


class GroupCommit:
    """`await put(batch)` answers with the batch's id once it is durable. `stop` writes what waits, then ends."""

    def __init__(self, db: Database, *, timeout_s: float) -> None:
        self._db = db
        self._timeout_s = timeout_s
        self._waiting: dict[int, deque[_Waiting]] = {}  # by tenant, in order
        self._work = asyncio.Event()
        self._writers: list[asyncio.Task[None]] = []
        self._open = False

    async def start(self) -> None:
        if not self._open:
            self._open = True
            self._writers = [asyncio.create_task(self._write(), name=f"queue writer {n}") for n in range(WRITERS)]

    async def stop(self) -> None:
        """Takes nothing more; returns when all that was put is answered. Safe twice, and unstarted."""
        self._open = False
        self._work.set()
        writers, self._writers = self._writers, []
        await asyncio.gather(*writers)

    async def put(self, batch: NewBatch) -> int:
        """Raises `DatabaseUnavailable`: the batch is not acknowledged."""
        if not self._open:
            raise DatabaseUnavailable("The queue is not open.")
        waiting = _Waiting(batch=batch, batch_id=asyncio.get_running_loop().create_future())
        self._waiting.setdefault(batch.tenant_id, deque()).append(waiting)
        self._work.set()
        return await waiting.batch_id

    async def _write(self) -> None:
        session = _Session(self._db, self._timeout_s)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(session.close)
            while True:
                await self._work.wait()
                if group := self._take():
                    await self._commit(session, group)
                elif self._open:
                    self._work.clear()
                else:
                    return

    def _take(self) -> list[_Waiting]:
        """What waits, up to the bounds of a group, by tenants in turn; without those whose caller has gone."""
        group: list[_Waiting] = []
        size = 0
        while self._waiting and len(group) < GROUP_BATCHES_MAX:
            tenant_id, own = next(iter(self._waiting.items()))
            if not own[0].batch_id.done():
                size += len(own[0].batch.payload)
                if group and size > GROUP_BYTES_MAX:
                    break
                group.append(own[0])
            own.popleft()
            del self._waiting[tenant_id]
            if own:
                self._waiting[tenant_id] = own  # at the end of the round
        return group

    async def _commit(self, session: _Session, group: list[_Waiting]) -> None:
        began = perf_counter()
        try:
            faults.reach("enqueue.before_commit")
            batch_ids = await session.insert([waiting.batch for waiting in group])
            faults.reach("enqueue.after_commit")
        except Exception as error:
            await session.close()
            if isinstance(error, MilepostError | TimeoutError):
                log.warning("the queue could not be written", batches=len(group), error=str(error))
            else:
                log.exception("the queue could not be written", batches=len(group))
            for waiting in group:
                if not waiting.batch_id.done():
                    failure = DatabaseUnavailable("The queue could not be written: nothing was acknowledged.")
                    failure.__cause__ = error
                    waiting.batch_id.set_exception(failure)
            return
        for waiting, batch_id in zip(group, batch_ids, strict=True):
            if not waiting.batch_id.done():
                waiting.batch_id.set_result(batch_id)
        observe("queue_commit_seconds", perf_counter() - began)
        count("queue_commits")
        for kind in Kind:
            if batches := sum(waiting.batch.kind == kind for waiting in group):
                count("queue_batches", batches, kind=kind.name.lower())


class _Session:
    """A writer's own connection, made when it is needed, and the table it writes."""

    def __init__(self, db: Database, timeout_s: float) -> None:
        self._db = db
        self._timeout_s = timeout_s
        self._connection: Connection | None = None
        self._table = 0
        self._looked_at = float("-inf")

    async def insert(self, batches: list[NewBatch]) -> list[int]:
        """Inserts and commits. Raises errors of milepost's tree, or `TimeoutError` when the server says nothing at all."""
        async with asyncio.timeout(self._timeout_s + ANSWER_S if self._timeout_s else None):
            connection = await self._ready()
            columns: dict[str, list[Any]] = {
                "lanes": [batch.lane for batch in batches],
                "tenant_ids": [batch.tenant_id for batch in batches],
                "kinds": [int(batch.kind) for batch in batches],
                "models": [batch.model for batch in batches],
                "rows": [batch.rows for batch in batches],
                "payloads": [batch.payload for batch in batches],
            }
            with translated(connection):
                cursor = await connection.execute(for_table(q.enqueue, self._table), columns)
                return [row[0] for row in await cursor.fetchall()]

    async def _ready(self) -> Connection:
        """The connection, knowing its table. A connection that died while it was idle is found out here, and replaced."""
        if self._connection is not None and monotonic() - self._looked_at >= CURRENT_READ_S:
            try:
                await self._look(self._connection)
            except DatabaseUnavailable:
                await self.close()
        if self._connection is None:
            settings = {"statement_timeout": f"{self._timeout_s * 1000:.0f}"}
            self._connection = await self._db.direct("queue", settings=settings)
            await self._look(self._connection)
        return self._connection

    async def _look(self, connection: Connection) -> None:
        with translated(connection):
            row = await (await connection.execute(q.queue_state)).fetchone()
        if row is None:
            raise SchemaMismatch("The queue has no tables yet: run `milepost db migrate`.")
        self._table, self._looked_at = row[0], monotonic()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
