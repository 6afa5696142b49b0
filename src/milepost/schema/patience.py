"""DDL that does not make others wait: a short lock timeout, and another attempt after a while.

A statement that waits for a strong lock has everyone who comes later wait behind it. So it waits briefly, gives up, lets
them through, and tries again. After the last attempt it raises `Timeout`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from milepost.errors import DatabaseError, Timeout
from milepost.postgres import Connection, backoff_s, translated

__all__ = ["patiently"]

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")

LOCKED = frozenset({"55P03", "40P01"})  # lock_not_available, deadlock_detected


async def patiently(
    conn: Connection,
    work: Callable[[], Awaitable[Answer]],
    *,
    lock_timeout_s: float = 1.0,
    attempts: int = 10,
) -> Answer:
    """Awaits `work()` in a transaction of its own on `conn`, again from its start where a lock was not to be had.

    Waits up to `lock_timeout_s` for each lock, and a random time of at most 5 s between attempts.
    """
    for attempt in range(1, attempts + 1):
        try:
            with translated(conn):
                async with conn.transaction():
                    await conn.execute("SELECT set_config('lock_timeout', %s, true)", [f"{lock_timeout_s * 1000:.0f}ms"])
                    return await work()
        except (Timeout, DatabaseError) as error:
            if error.facts.get("sqlstate") not in LOCKED or attempt == attempts:
                raise
            log.info("waiting for a lock", attempt=attempt, of=attempts, error=str(error))
        await asyncio.sleep(backoff_s(attempt, 0.1, 5.0))
    raise AssertionError("the loop returns or raises")
