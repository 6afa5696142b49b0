"""The sink that is the database: each batch goes through the acceptor and the queue, as an HTTP request does.

Whoever holds the lane's lease loads: a running server, or else a loader that is started here for as long as the
import lasts. A batch that cannot be loaded becomes a dead letter, as always, and is counted; the import goes
on.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from milepost.access.tenants import Tenant, find_tenant
from milepost.errors import Timeout
from milepost.intake.accept import Acceptor
from milepost.intake.loader import Loader
from milepost.intake.queue import Kind, Loaded, Queue
from milepost.intake.rotation import adopt_before_loading
from milepost.model import Model
from milepost.postgres import Database, load_queries
from milepost.schema.models import CurrentModel, current_model
from milepost.settings import Settings

from .sink import Outcome, Refused, Sent

__all__ = ["DatabaseSink", "open_sink"]

_queries = load_queries(__package__, "database.sql")

WAIT_S: Final = 600.0  # for one batch to be loaded; a load takes about a second


class DatabaseSink:
    def __init__(self, queue: Queue, tenant: Tenant, current: CurrentModel, identity: str) -> None:
        self.queue = queue
        self.tenant = tenant
        self.current = current
        self.identity = identity
        self._acceptor = Acceptor(current.model, current.version)
        # Asked at once, not when `wait` is called: the marks of what is loaded are cleared away some time later.
        self._outcomes: dict[int, asyncio.Task[Loaded | None]] = {}

    @property
    def model(self) -> Model:
        return self.current.model

    async def send(self, activities: Sequence[bytes]) -> Sent:
        body = b'{"activities":[' + b",".join(activities) + b"]}"
        # In a thread: the loader of this process needs the event loop meanwhile.
        accepted = await asyncio.to_thread(self._acceptor.accept, self.tenant.tenant_id, body, datetime.now(UTC))
        receipt = None
        if accepted.rows:
            receipt = await self._enqueue(Kind.ACTIVITIES, accepted.rows, accepted.payload)
        refused = tuple(Refused(index=one.index, pointer=one.pointer, detail=one.detail) for one in accepted.rejected)
        return Sent(receipt=receipt, accepted=accepted.rows, refused=refused)

    async def command(self, commands: Sequence[bytes]) -> int:
        return await self._enqueue(Kind.COMMAND, len(commands), b"[" + b",".join(commands) + b"]")

    async def _enqueue(self, kind: int, rows: int, payload: bytes) -> int:
        receipt = await self.queue.enqueue(
            tenant_id=self.tenant.tenant_id,
            lane=self.tenant.lane,
            kind=kind,
            model=self.current.version,
            rows=rows,
            payload=payload,
        )
        self._outcomes[receipt.batch_id] = asyncio.create_task(self.queue.outcome(receipt.batch_id, WAIT_S))
        return receipt.batch_id

    async def wait(self, receipt: int) -> Outcome:
        loaded = await self._outcomes.pop(receipt)
        if loaded is None:
            raise Timeout(
                f"Batch {receipt} is in the queue, but lane {self.tenant.lane} has not come to it in {WAIT_S:g} s; "
                "running the import again goes on from here.",
                receipt=receipt,
            )
        result = loaded.result or {}
        if result.get("status") == 500:
            return Outcome(dead=True)
        answers = result.get("answers", [result] if result else [])
        refused = tuple(found for index, answer in enumerate(answers) if (found := _refused(index, answer)))
        # Of a batch of which some rows were set aside, the others are loaded.
        return Outcome(loaded=loaded.loaded, duplicates=loaded.duplicates, refused=refused, dead="set_aside" in result)

    async def close(self) -> None:
        outcomes, self._outcomes = list(self._outcomes.values()), {}
        for task in outcomes:
            task.cancel()
        await asyncio.gather(*outcomes, return_exceptions=True)


def _refused(index: int, answer: dict[str, Any]) -> Refused | None:
    if answer["status"] < 300:
        return None
    errors = answer.get("errors") or [{"pointer": "", "detail": str(answer.get("detail", "could not be done"))}]
    return Refused(index=index, pointer=errors[0]["pointer"], detail="; ".join(one["detail"] for one in errors))


@asynccontextmanager
async def open_sink(database: Database, settings: Settings, tenant: str) -> AsyncIterator[DatabaseSink]:
    """A sink for one tenant, with a queue and a loader. Raises `NotFound` for a tenant or a model that is not
    there.
    """
    async with database.transaction("point") as connection:
        whose = await find_tenant(connection, tenant)
        current = await current_model(connection)
        row = await (await connection.execute(_queries.identity)).fetchone()
    queue = Queue(database, settings)
    loader = Loader(database, queue, settings, holder=f"{socket.gethostname()}:{os.getpid()}:import")
    sink = DatabaseSink(queue, whose, current, row[0] if row else "")
    await queue.start()
    try:
        await adopt_before_loading(database)
        await loader.start()
        yield sink
    finally:
        await sink.close()
        await loader.stop()
        await queue.stop()
