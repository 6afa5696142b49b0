"""Asking a PostgreSQL that may hang, for those who cannot wait.

A driver that is cancelled while it waits for a server tells that server so, and waits for it to let go: of one that hangs, for some ten
seconds. Here the work is left to that by itself, and whoever asked goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from milepost.errors import DatabaseUnavailable

__all__ = ["answered"]

Answer = TypeVar("Answer")


async def answered(work: Coroutine[Any, Any, Answer], timeout_s: float) -> Answer:
    """What the work returns or raises; after `timeout_s`, `DatabaseUnavailable`, while the work ends behind us.

    The work's own transaction may have been committed all the same.
    """
    task = asyncio.create_task(work, name="answered")
    task.add_done_callback(_looked_at)
    try:
        await asyncio.wait({task}, timeout=timeout_s)
        if task.done():
            return task.result()
        raise DatabaseUnavailable(f"PostgreSQL did not answer within {timeout_s:g} s.")
    finally:
        task.cancel()  # of one that is done it is nothing


def _looked_at(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # raised to whoever still waited; the others have their answer
