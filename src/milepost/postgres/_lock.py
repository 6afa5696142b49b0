"""Advisory locks: one at a time across processes, for work that no table stands for (migrations).

The lock belongs to the session, and goes with it if the process dies. Not through a pooler in transaction mode.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b

from milepost.errors import Timeout
from milepost.postgres._database import Connection
from milepost.postgres._errors import translated

__all__ = ["advisory_lock"]

POLL_MAX_S = 0.25


@asynccontextmanager
async def advisory_lock(connection: Connection, key: int | str, *, timeout_s: float = 30.0) -> AsyncIterator[None]:
    """Holds the lock `key` (64 bits, or any text) for the block; raises `Timeout` if it is not free in time.

    Asks again and again instead of waiting inside PostgreSQL: a session that waits there holds a snapshot, and the
    holder's CREATE INDEX CONCURRENTLY would wait for that session to end, each for the other.
    """
    number = key if isinstance(key, int) else _number(key)
    deadline = asyncio.get_running_loop().time() + timeout_s
    with translated(connection):
        while not await _try(connection, number):
            if asyncio.get_running_loop().time() > deadline:
                raise Timeout(f"Another process has held the lock {key} for {timeout_s:g} s.", lock=key)
            await asyncio.sleep(random.uniform(POLL_MAX_S / 5, POLL_MAX_S))
    try:
        yield
    finally:
        if not connection.closed:
            with translated(connection):
                await connection.execute("SELECT pg_advisory_unlock(%s)", [number])


def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


async def _try(connection: Connection, number: int) -> bool:
    answer = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", [number])).fetchone()
    assert answer is not None
    return bool(answer[0])
