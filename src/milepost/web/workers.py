"""Several processes that serve one listening socket: `serve --workers N`.

Each is a whole server, with services and loaders of its own; lanes go to whoever gets their lease. The parent only
starts them, starts those that end again (not more often than once in `RESTART_S`), and stops them. Where a worker
cannot even start, all end.
"""

from __future__ import annotations

import multiprocessing
import signal
import socket
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.synchronize import Semaphore
from time import monotonic, sleep
from types import FrameType

import structlog

from milepost import telemetry
from milepost.errors import MilepostError
from milepost.settings import Settings
from milepost.web.server import GRACE_S, address_of, listen, run

__all__ = ["serve_with_workers"]

RESTART_S = 1.0
STOP_S = GRACE_S + 15.0

log = structlog.get_logger(__name__)


class _Stopped(Exception):
    """A signal asked us to stop."""


def serve_with_workers(settings: Settings, url: str, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Serves until SIGINT or SIGTERM. Raises `MilepostError` where the workers cannot start."""
    context = multiprocessing.get_context("spawn")
    before = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
    workers: list[SpawnProcess] = []
    with listen(settings) as listening:
        ready = context.Semaphore(0)
        try:
            workers = [_start(context, settings, url, listening, ready) for _ in range(settings.workers)]
            _await_first(workers, ready)
            if on_ready is not None:
                on_ready(address_of(listening))
            while True:
                began = monotonic()
                wait([worker.sentinel for worker in workers])
                for index, worker in enumerate(workers):
                    if worker.exitcode is not None:
                        log.warning("a worker ended: starting another", pid=worker.pid, exit_code=worker.exitcode)
                        sleep(max(0.0, RESTART_S - (monotonic() - began)))
                        workers[index] = _start(context, settings, url, listening, ready)
        except _Stopped:
            pass
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            _end(workers)


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped


def _start(context: SpawnContext, settings: Settings, url: str, listening: socket.socket, ready: Semaphore) -> SpawnProcess:
    worker = context.Process(target=_work, args=(settings, url, listening, ready), name="milepost-worker")
    worker.start()
    return worker


def _await_first(workers: list[SpawnProcess], ready: Semaphore) -> None:
    """Until every worker answers."""
    answering = 0
    while answering < len(workers):
        if ready.acquire(timeout=0.1):
            answering += 1
        elif any(worker.exitcode is not None for worker in workers):
            raise MilepostError("A worker could not start; its message is above.")


def _end(workers: list[SpawnProcess]) -> None:
    for worker in workers:
        if worker.is_alive():
            worker.terminate()
    deadline = monotonic() + STOP_S
    for worker in workers:
        worker.join(max(0.0, deadline - monotonic()))
        if worker.is_alive():
            worker.kill()
            worker.join()


def _work(settings: Settings, url: str, listening: socket.socket, ready: Semaphore) -> None:
    """A worker's whole life. A Ctrl-C in the terminal reaches it directly, and stops it as the parent's SIGTERM does."""
    telemetry.configure_logs(settings.log_level, settings.log_format)  # type: ignore[arg-type]
    run(settings, url, listening, on_ready=lambda _: ready.release())
