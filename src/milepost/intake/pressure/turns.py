"""Turns: one piece of work at a time, by tenants in turn, whoever sends the most.

    async with turns.of(tenant_id):
        …

A tenant's pieces are done in order; a tenant that comes new waits for the piece under way and for one of each other tenant that
waits, however many those have. After each piece the event loop has a look at its sockets, so that work that is done on the loop
itself takes turns as well. Who is cancelled while it waits takes no turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["Turns"]


class Turns:
    """Of one resource: the event loop, a thread."""

    def __init__(self) -> None:
        self._busy = False
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def of(self, tenant_id: int) -> AsyncIterator[None]:
        """The tenant's next turn."""
        if self._busy:
            await self._wait(tenant_id)
        self._busy = True
        try:
            yield
        finally:
            # Not at once: what has come meanwhile is to be seen first.
            asyncio.get_running_loop().call_soon(self._next)

    async def _wait(self, tenant_id: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant_id, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was ours already
                self._next()
            raise

    def _next(self) -> None:
        while self._waiting:
            tenant_id = next(iter(self._waiting))
            own = self._waiting.pop(tenant_id)  # the tenant goes to the end of the round
            turn = own.popleft()
            if own:
                self._waiting[tenant_id] = own
            if not turn.done():
                turn.set_result(None)
                return
        self._busy = False
