"""A real `milepost serve` for a benchmark, in a process of its own."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from milepost.bench._redis import BenchRedis
from milepost.errors import MilepostError

__all__ = ["serving"]


@asynccontextmanager
async def serving(
    url: str, data_dir: Path, redis: BenchRedis | None = None, *, lanes: int = 2
) -> AsyncIterator[tuple[int, int]]:
    """A real server process. → its port and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (data_dir / "serve.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "milepost", "serve", "--port", str(port), "--database-url", url),
        *("--data-dir", str(data_dir), "--log-level", "warning", "--lanes", str(lanes)),
        *(("--redis-url", redis.url) if redis is not None else ()),
        stdout=log,
        stderr=log,
    )
    try:
        for _ in range(300):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                if process.returncode is not None:
                    break
                await asyncio.sleep(0.1)
            else:
                writer.close()
                break
        if process.returncode is not None:
            raise MilepostError("The server did not start:\n" + (data_dir / "serve.log").read_text()[-2000:])
        yield port, process.pid
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await process.wait()
        log.close()
