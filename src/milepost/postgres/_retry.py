"""Doing a piece of work again when PostgreSQL was not there, or when it collided with another transaction.

The whole operation is repeated, with a connection of its own each time: so it must begin with taking one, and must be
repeatable (a commit whose answer was lost may have happened). Nothing else is repeated: the caller's mistakes and
statements that PostgreSQL refuses are raised at once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from milepost.postgres._errors import is_transient, translate
from milepost.telemetry import count

__all__ = ["backoff_s", "retrying"]

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")


async def retrying(
    operation: Callable[[], Awaitable[Answer]],
    *,
    attempts: int = 5,
    base_delay_s: float = 0.05,
    delay_max_s: float = 2.0,
) -> Answer:
    """Awaits `operation()` up to `attempts` times; raises the last failure, translated.

    Waits a random time before each new attempt, of up to `base_delay_s` doubled each time, so that the many who lost
    the same server do not all come back at once.
    """
    if attempts < 1:
        raise ValueError("attempts must be at least 1")
    for attempt in range(1, attempts + 1):
        try:
            return await operation()
        except Exception as error:
            if not is_transient(error):
                raise
            if attempt == attempts:
                made = translate(error)
                if made is error:
                    raise
                raise made from error
            count("database_retries")
            log.info("retrying", attempt=attempt, of=attempts, error=str(error))
        await asyncio.sleep(backoff_s(attempt, base_delay_s, delay_max_s))
    raise AssertionError("the loop returns or raises")


def backoff_s(attempt: int, base_delay_s: float, delay_max_s: float) -> float:
    """A random wait before attempt `attempt + 1`, in seconds ("full jitter")."""
    return random.uniform(0, min(delay_max_s, base_delay_s * 2 ** (attempt - 1)))
