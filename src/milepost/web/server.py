"""The HTTP server: the application composed, and uvicorn around it.

    async with serving(settings, url) as server:      # address, services; requests are answered from here on
        await server.wait()                           # until `stop` or a signal

`serve` does that for a process of its own, or for several (`settings.workers`), which share one listening socket.
Stopping: no new connections, requests under way are finished (for up to `GRACE_S`), then the services stop.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import Any

import structlog
import uvicorn

from milepost.errors import SettingsError
from milepost.settings import Settings
from milepost.web.application import build_app
from milepost.web.services import Services

__all__ = ["Serving", "build_app", "listen", "run", "serve", "serving", "stopped_by_signals"]

GRACE_S = 30
BACKLOG = 2048
KEEP_ALIVE_S = 75  # longer than the usual proxy's, so that it is not we who close under its request

log = structlog.get_logger(__name__)


class Serving:
    """A server that answers. `address` is where."""

    def __init__(self, server: uvicorn.Server, task: asyncio.Task[None], services: Services, address: str) -> None:
        self._server = server
        self._task = task
        self.services = services
        self.address = address

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
    listening = socket.socket(family)
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
            config = uvicorn.Config(
                build_app(services),
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
            handle = Serving(server, task, services, address_of(listening))
            try:
                yield handle
            finally:
                server.should_exit = True
                await task
        finally:
            await services.stop()


def serve(settings: Settings, url: str, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Serves until SIGINT or SIGTERM, which stop it cleanly (a second one at once). `on_ready` gets the address."""
    if settings.workers > 1:
        from milepost.web.workers import serve_with_workers

        serve_with_workers(settings, url, on_ready=on_ready)
    else:
        run(settings, url, listen(settings), on_ready=on_ready)


def run(settings: Settings, url: str, listening: socket.socket, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Serves in this process, on an event loop of its own, until a signal."""
    import uvloop

    async def work() -> None:
        async with serving(settings, url, listening=listening) as server:
            with stopped_by_signals(server.stop):
                log.info("serving", address=server.address)
                if on_ready is not None:
                    on_ready(server.address)
                await server.wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())


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
