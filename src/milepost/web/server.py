"""The HTTP server: the application composed, and uvicorn around it.

    async with serving(settings, url) as server:      # address, services; requests are answered from here on
        await server.wait()                           # until `stop` or a signal

`serve` does that for a process of its own, or for several (`settings.workers`), which share one listening socket.
A process of its own waits for PostgreSQL where that is away when it begins, and answers meanwhile what `Starting` says.
Stopping: no new connections, requests under way are finished (for up to `GRACE_S`), then the services stop.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import Any, cast

import structlog
import uvicorn
from litestar.types import ASGIApp

from milepost.errors import DatabaseUnavailable, SettingsError
from milepost.settings import Settings
from milepost.web.application import build_app
from milepost.web.services import Services
from milepost.web.starting import Starting

__all__ = ["Serving", "build_app", "listen", "run", "run_serving", "serve", "serving", "stopped_by_signals"]

GRACE_S = 30
BACKLOG = 2048
# How long the thread that accepts a large body may keep the event loop waiting each time it has something to do; Python's own is 5 ms,
# several times in each small request beside it.
SWITCH_S = 0.000_5
START_AGAIN_S, START_AGAIN_S_MAX = 0.2, 2.0
KEEP_ALIVE_S = 75  # longer than the usual proxy's, so that it is not we who close under its request

log = structlog.get_logger(__name__)


class Serving:
    """A server that answers. `address` is where."""

    def __init__(self, server: uvicorn.Server, task: asyncio.Task[None], services: Services | None, address: str) -> None:
        self._server = server
        self._task = task
        self._services = services
        self.address = address

    @property
    def services(self) -> Services:
        assert self._services is not None, "PostgreSQL was away when it began"
        return self._services

    async def wait(self) -> None:
        """Returns when the server has stopped answering. Raises what ended it, if it was not asked to."""
        await asyncio.shield(self._task)

    def stop(self) -> None:
        """Ask it to stop; asked again, it does not wait for requests under way."""
        self._server.force_exit = self._server.should_exit
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers (they would end the process), which says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    def capture_signals(self) -> Any:
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


def listen(settings: Settings) -> socket.socket:
    """The listening socket. Raises `SettingsError` where the address cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol said: asyncio looks for it, and else leaves Nagle's algorithm on. An answer is sent in two pieces, and on a
    # connection that is kept the second then waited 40 ms for the client to acknowledge the first.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        where = f"{settings.host}:{settings.port}"
        raise SettingsError(f"Cannot listen on {where}: {error.strerror}.", setting="port") from error
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening


def address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    named = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host
    return f"http://{named}:{port}"


@asynccontextmanager
async def serving(
    settings: Settings, url: str, *, listening: socket.socket | None = None, load: bool = True
) -> AsyncIterator[Serving]:
    """Serves until the block ends. Raises, before anything answers, what `Services.start` raises."""
    listening = listening or listen(settings)
    with listening:
        services = await Services.start(settings, url, load=load)
        try:
            async with _answering(build_app(services), listening) as (server, task):
                yield Serving(server, task, services, address_of(listening))
        finally:
            await services.stop()


@asynccontextmanager
async def _answering(app: ASGIApp, listening: socket.socket) -> AsyncIterator[tuple[uvicorn.Server, asyncio.Task[None]]]:
    """Requests are answered from here on, until the block ends: those under way then are finished."""
    config = uvicorn.Config(
        cast("Any", app),
        http="httptools",
        ws="none",
        lifespan="off",
        loop="none",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve([listening]), name="http")
    ready = asyncio.create_task(server.ready.wait())
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    try:
        yield server, task
    finally:
        server.should_exit = True
        await task


async def _serve_here(settings: Settings, url: str, listening: socket.socket, on_ready: Callable[[str], None]) -> None:
    """As `serving`, until a signal; where PostgreSQL is away, it answers that, and starts when it is there."""
    services: Services | None = None
    try:
        app: ASGIApp
        try:
            services = await Services.start(settings, url)
            app = build_app(services)
        except DatabaseUnavailable as error:
            log.warning("PostgreSQL is away: nothing is taken until it is there", error=str(error))
            app = starting = Starting(error, "postgres" if settings.redis_url is None else "redis")
        async with _answering(app, listening) as (server, task):
            handle = Serving(server, task, services, address_of(listening))
            with stopped_by_signals(handle.stop):
                log.info("serving", address=handle.address)
                on_ready(handle.address)
                if services is None:
                    services = await _started_later(settings, url, starting, task)
                await handle.wait()
    finally:
        if services is not None:
            await services.stop()


async def _started_later(settings: Settings, url: str, starting: Starting, ended: asyncio.Task[None]) -> Services | None:
    """None: the server was stopped before."""
    pause_s = START_AGAIN_S
    while not ended.done():
        try:
            services = await Services.start(settings, url)
        except DatabaseUnavailable as error:
            starting.missing = error
            await asyncio.wait({ended}, timeout=pause_s)
            pause_s = min(2 * pause_s, START_AGAIN_S_MAX)
        else:
            starting.become(build_app(services))
            log.info("PostgreSQL is there: started")
            return services
    return None


def serve(settings: Settings, url: str, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Serves until SIGINT or SIGTERM, which stop it cleanly (a second one at once). `on_ready` gets the address."""
    if settings.workers > 1:
        from milepost.web.workers import serve_with_workers

        serve_with_workers(settings, url, on_ready=on_ready)
    else:
        run(settings, url, listen(settings), on_ready=on_ready)


def run(settings: Settings, url: str, listening: socket.socket, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Serves in this process, on an event loop of its own, until a signal."""
    with listening:
        run_serving(_serve_here(settings, url, listening, on_ready or (lambda address: None)))


def run_serving(work: Coroutine[Any, Any, None]) -> None:
    """Runs what serves, to its end, on an event loop of its own."""
    import uvloop

    sys.setswitchinterval(SWITCH_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block, SIGINT and SIGTERM call `stop` from the event loop."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}
    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])
