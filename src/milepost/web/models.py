"""The model that a server process serves, kept current while other processes may apply another.

`current` is what requests use: the compiled model and what is made from it. A new version is noticed within a second,
or sooner by a NOTIFY on `milepost_model`; a request that meets the database in between asks for `refresh` and is
answered 503 once.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import structlog

from milepost.errors import MilepostError, NotFound
from milepost.intake.accept import Acceptor
from milepost.model import Model
from milepost.postgres import Connection, Database, Listener, load_queries
from milepost.schema.compile import CompiledModel
from milepost.schema.models import current_model
from milepost.storage.activities import Presenter
from milepost.storage.cold_files import cold_files
from milepost.storage.tickets import Tickets
from milepost.web.problems import NotReady

__all__ = ["Models", "Served"]

CHANNEL = "milepost_model"
POLL_S = 1.0

_queries = load_queries(__package__, "models.sql")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Served:
    """One version of the model, ready for requests. An acceptor belongs to one thread, so the worker thread has its own."""

    version: int
    toml: str
    model: Model
    compiled: CompiledModel
    presenter: Presenter
    acceptor: Acceptor
    acceptor_of_thread: Acceptor


class Models:
    """Service: `start`, `stop`, `run_once` looks for a newer version."""

    def __init__(self, db: Database, tickets: Tickets) -> None:
        """tickets: by which activities name files."""
        self._db = db
        self._tickets = tickets
        self._served: Served | None = None
        self._look = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def current(self) -> Served:
        """Raises `NotReady` as long as no model has been applied."""
        if self._served is None:
            raise NotReady("No model has been applied to this database yet: run `milepost model apply FILE`.")
        return self._served

    async def start(self) -> None:
        """Raises what the database raises; a model need not be there yet."""
        if not self._tasks:
            await self.run_once()
            listener = Listener(self._db, [CHANNEL], name="model")
            await listener.__aenter__()
            self._tasks = [asyncio.create_task(self._hear(listener)), asyncio.create_task(self._loop())]

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def refresh(self) -> None:
        """Look now: what is served does not fit the database."""
        self._look.set()

    async def run_once(self) -> bool:
        """Take the newest version. → whether it was another one."""
        async with self._db.transaction("point", snapshot=True) as conn:
            if await _newest(conn) == (self._served.version if self._served else 0):
                return False
            try:
                found = await current_model(conn)
            except NotFound:
                return False
        served = Served(
            version=found.version,
            toml=found.toml,
            model=found.model,
            compiled=found.compiled,
            presenter=Presenter(found.compiled.columns, cold_files(self._db.settings), attached=found.model.verbs_with_files()),
            acceptor=Acceptor(found.model, found.version, self._tickets),
            acceptor_of_thread=Acceptor(found.model, found.version, self._tickets),
        )
        _log.info("serving model", name=served.model.name, version=served.version)
        self._served = served
        return True

    async def _loop(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), POLL_S)
            self._look.clear()
            try:
                await self.run_once()
            except MilepostError as error:
                _log.warning("the model could not be looked up", error=str(error))

    async def _hear(self, listener: Listener) -> None:
        try:
            async for _ in listener:
                self._look.set()
        finally:
            await listener.__aexit__(None, None, None)


async def _newest(conn: Connection) -> int:
    row = await (await conn.execute(_queries.newest_version)).fetchone()
    return row[0] if row and row[0] else 0
