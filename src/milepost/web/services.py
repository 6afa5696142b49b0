"""What a server process is made of, started and stopped in one place.

    services = await Services.start(settings, url)
    ...
    await services.stop()

Starting fails with a sentence where the schema does not fit (`SchemaMismatch`) or PostgreSQL is not there
(`DatabaseUnavailable`), and leaves nothing running. Stopping goes backwards, so that what is under way can be
finished by what it needs: the loader ends after its transaction and gives its leases back, the queue writes what
waits, then the pools close.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass

from milepost.access.keys import Keys
from milepost.access.viewer_tokens import Viewers, ViewerTokens
from milepost.errors import SchemaMismatch
from milepost.feeds.cursor import Cursors
from milepost.intake.loader import Loader
from milepost.intake.pressure.allowances import Allowances
from milepost.intake.pressure.waiting import Waiting
from milepost.intake.queue import Queue
from milepost.intake.receipts import Receipts
from milepost.intake.rotation import adopt_before_loading
from milepost.jobs.maintenance import Maintenance
from milepost.jobs.schedule import Schedule
from milepost.postgres import Database, load_queries
from milepost.schema import require, require_lanes
from milepost.search.indexer import Indexer
from milepost.settings import Settings
from milepost.storage.content import Contents
from milepost.storage.files import Files
from milepost.storage.objects import object_store
from milepost.storage.tickets import Tickets
from milepost.web.bodies import Bodies
from milepost.web.gate import Gate
from milepost.web.models import Models

__all__ = ["Services"]

_queries = load_queries(__package__, "services.sql")


@dataclass(frozen=True, kw_only=True)
class Services:
    """All that requests use. `gate`: what each request that brings activities goes through."""

    settings: Settings
    db: Database
    keys: Keys
    viewers: Viewers
    models: Models
    queue: Queue
    cursors: Cursors
    contents: Contents
    files: Files
    receipts: Receipts
    gate: Gate
    _ends: AsyncExitStack

    @classmethod
    async def start(cls, settings: Settings, url: str, *, load: bool = True) -> Services:
        """load: whether this process also loads and does the upkeep; without, another one must."""
        async with AsyncExitStack() as ends:
            db = await ends.enter_async_context(await Database.open(url, settings))
            async with db.transaction("point") as conn:
                await require(conn)
                await require_lanes(conn, settings.lanes)
                row = await (await conn.execute(_queries.secret)).fetchone()
            if row is None:
                raise SchemaMismatch("The database has no deployment row: run `milepost db migrate`.")
            secret = bytes(row[0])
            thread = ThreadPoolExecutor(1, thread_name_prefix="milepost-accept")
            ends.callback(thread.shutdown, cancel_futures=True)
            tickets = Tickets(secret)
            models = Models(db, tickets)
            ends.push_async_callback(models.stop)
            await models.start()
            queue = Queue(db, settings, spill=True)
            ends.push_async_callback(queue.stop)
            await queue.start()
            allowances, waiting = Allowances(db, settings), Waiting(db, settings)
            for one in (allowances, waiting):
                ends.push_async_callback(one.stop)
                await one.start()
            if load:
                await adopt_before_loading(db)
                loader = Loader(
                    db, queue, settings, holder=f"{socket.gethostname()}:{os.getpid()}", beside=_beside(db, queue, settings)
                )
                ends.push_async_callback(loader.stop)
                await loader.start()
                indexer = Indexer(db)
                ends.push_async_callback(indexer.stop)
                await indexer.start()
                maintenance = Maintenance(db, settings)
                ends.push_async_callback(maintenance.stop)
                await maintenance.start()
                schedule = Schedule(db, settings)
                ends.push_async_callback(schedule.stop)
                await schedule.start()
            return cls(
                settings=settings,
                db=db,
                keys=Keys(db),
                viewers=Viewers(db, ViewerTokens(secret)),
                models=models,
                queue=queue,
                cursors=Cursors(secret),
                contents=Contents(object_store(settings)),
                files=Files(object_store(settings), tickets, settings),
                receipts=Receipts(secret),
                gate=Gate(Bodies(), thread, allowances, waiting),
                _ends=ends.pop_all(),
            )
        raise AssertionError("the block returns or raises")

    async def stop(self) -> None:
        """Complete when it returns; safe twice."""
        await self._ends.aclose()


def _beside(db: Database, queue: Queue, settings: Settings) -> Callable[[int], AbstractAsyncContextManager[None]]:
    """What goes on beside the loading of a lane: where Redis stands before the queue, its relay."""
    if settings.redis_url is None:
        return lambda lane: nullcontext()
    from milepost.intake.streams import Relays  # its driver is an extra

    return Relays(db, settings, queue.announce).beside
