"""Which database a command works on, and holding it while the command runs.

`MILEPOST_DATABASE_URL`, else the embedded server of the data folder: attached to where it runs, else started, and stopped
afterwards if nobody else uses it. In it, `milepost` is the database; `milepost demo --system NAME` has `milepost_NAME` for each
system. The file `database` in the data folder remembers which one the folder is for: `milepost` once it was made, before that
the demo that ran last, so that `milepost verify` beside a running demo checks that demo.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import structlog

from milepost.demo import SYSTEMS
from milepost.errors import InvalidInput, MilepostError
from milepost.postgres import Connection, Database, EmbeddedServer
from milepost.schema import require
from milepost.settings import Settings

__all__ = ["as_owner", "as_service", "opened"]

Answer = TypeVar("Answer")

OWN = "milepost"
REMEMBERED_IN = "database"
LOOK_S = 1.0  # how often a server that serves looks whether its PostgreSQL lives

log = structlog.get_logger(__name__)


@contextmanager
def opened(settings: Settings, *, system: str | None = None, remember: bool = False, guard: bool = False) -> Iterator[str]:
    """The URL of the database, which takes connections until the block ends.

    `system`: the demo's of that name; with `remember`, the folder is for that one from now on. `guard`: an embedded server that
    dies is started again, for commands that run for long.
    """
    if settings.database_url is not None:
        if system is not None and not remember:
            raise InvalidInput(
                "--system names a demo in the data folder, and MILEPOST_DATABASE_URL another database: give one."
            )
        yield settings.database_url
        return
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with EmbeddedServer.start(settings.data_dir, bin_dir=settings.pg_bin) as server:
        name = _chosen(settings, system, remember=remember)
        url = server.ensure_database(name)
        server.count_statements(name)
        if not guard:
            yield url
            return
        with _guarded(server):
            yield url


def as_service(settings: Settings, work: Callable[[Database], Awaitable[Answer]], *, system: str | None = None) -> Answer:
    """What `work` answers, on the database as the service sees it. Raises `SchemaMismatch` before anything is done."""
    # A command is one caller: no pool needs to be ready for a second one.
    lean = replace(settings, write_pool_min=0, point_pool_min=0, analytics_pool_min=0)

    async def run(url: str) -> Answer:
        async with await Database.open(url, lean) as database:
            async with database.transaction("point") as connection:
                await require(connection)
            return await work(database)

    with opened(settings, system=system) as url:
        return asyncio.run(run(url))


def as_owner(settings: Settings, work: Callable[[Connection], Awaitable[Answer]], *, system: str | None = None) -> Answer:
    """What `work` answers, on a connection of the login user itself, which owns the tables."""

    async def run(url: str) -> Answer:
        async with await Database.connect_owner(url) as connection:
            return await work(connection)

    with opened(settings, system=system) as url:
        return asyncio.run(run(url))


def _chosen(settings: Settings, system: str | None, *, remember: bool) -> str:
    """The name of the database in the embedded server."""
    if system is not None and system not in SYSTEMS:
        raise InvalidInput(f"There is no system {system}: there are {', '.join(SYSTEMS)}.")
    file = settings.data_dir / REMEMBERED_IN
    remembered = file.read_text(encoding="utf-8").strip() if file.exists() else ""
    name = f"{OWN}_{system}" if system is not None else remembered or OWN
    if name != remembered and remembered != OWN and (remember or system is None):
        aside = file.with_suffix(".new")
        aside.write_text(f"{name}\n", encoding="utf-8")
        aside.replace(file)
    return name


@contextmanager
def _guarded(server: EmbeddedServer) -> Iterator[None]:
    """Starts the server again whenever it has died. Its address stays, so connections are made anew by themselves."""
    ending = threading.Event()

    def look() -> None:
        while not ending.wait(LOOK_S):
            if not _has_died(server.pid):
                continue
            try:
                if server.revive():
                    log.warning("PostgreSQL had died and was started again", pid=server.pid)
            except MilepostError as error:
                log.error("PostgreSQL has died and does not start", error=str(error))

    guard = threading.Thread(target=look, name="guard of the embedded PostgreSQL", daemon=True)
    guard.start()
    try:
        yield
    finally:
        ending.set()
        guard.join()


def _has_died(pid: int) -> bool:
    """Whether the process has ended. Our own child stays a zombie until it is waited for, which is not done here."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # another process's, which we attached to
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
    return False
