"""Shares: a tenant that makes most of a process's work, while others send as well, has one request under way at a time.

    async with shares.of(tenant_id):
        …                                            # accept, make durable

Taking turns bounds what others wait for here by one piece of the flood's, but not what they wait for elsewhere: a flood that is taken
as fast as it comes keeps every core busy, with its requests, its commits and its loads, and each step of another tenant's request
then waits for one. A flood whose next request is taken when the last one is durable leaves room, and has nothing refused: its requests
wait, in order, and its batches may be as large as ever. Where one of these is long work, it rests between its pieces, six times as long as each
took (`rest_s`): a few large bodies would else be taken at twice the rate at which they can be loaded, at the cost of everybody's time.

Who has that coming: whoever has more than `SHARE_MAX` of the process's requests, and more than `REQUESTS_MIN` at a time, in the mean
of the last moments (half of what a mean is made of is from the last 0.2 s). Those that wait count as well, so that it stays so for as
long as the flood lasts. A tenant that sends alone is never held up, nor are equal ones by each other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

__all__ = ["Shares"]

LOOK_S = 0.1
KEPT = 0.7  # of what was seen before, at each look
FORGOTTEN = 0.001  # requests at a time: who has fewer does not send any more (two seconds after the last one)
SHARE_MAX = 2 / 3
REQUESTS_MIN = 2.0
UNDER_WAY_MAX = 1
REST = 6.0  # by what a piece took: with 3 others have twice their own time, with 7 hardly more than that


@dataclass(kw_only=True)
class _Tenant:
    """demand: requests under way or waiting, added up over time."""

    since: float
    under_way: int = 0
    demand: float = 0.0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    @property
    def requests(self) -> int:
        return self.under_way + len(self.waiting)

    def add_up(self, now: float) -> None:
        self.demand += self.requests * (now - self.since)
        self.since = now


class Shares:
    """Of one process."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._tenants: dict[int, _Tenant] = {}
        self._looked_at = clock()
        self._seconds = 0.0  # over which demand was added up
        self._flooding: int | None = None

    @asynccontextmanager
    async def of(self, tenant_id: int) -> AsyncIterator[None]:
        """One request, from when it comes until it is done with."""
        now = self._clock()
        self._look(now)
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            tenant = self._tenants[tenant_id] = _Tenant(since=now)
        tenant.add_up(now)
        if tenant.waiting or not self._may_go(tenant_id, tenant):
            await self._wait(tenant_id, tenant)
        else:
            tenant.under_way += 1
        try:
            yield
        finally:
            self._leave(tenant_id, tenant)

    @property
    def flooding(self) -> int | None:
        """The tenant that is held to one request at a time, if any is."""
        return self._flooding

    def rest_s(self, tenant_id: int, took_s: float) -> float:
        """How long to leave the processor to others after a piece of a tenant's work that took so long."""
        return REST * took_s if tenant_id == self._flooding else 0.0

    def _may_go(self, tenant_id: int, tenant: _Tenant) -> bool:
        return tenant_id != self._flooding or tenant.under_way < UNDER_WAY_MAX

    async def _wait(self, tenant_id: int, tenant: _Tenant) -> None:
        """Returns when it is under way."""
        turn = asyncio.get_running_loop().create_future()
        tenant.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(tenant_id, tenant)  # it was let in already
            else:
                tenant.add_up(self._clock())
                tenant.waiting.remove(turn)
            raise

    def _leave(self, tenant_id: int, tenant: _Tenant) -> None:
        now = self._clock()
        tenant.add_up(now)
        tenant.under_way -= 1
        self._look(now)
        self._let_in(tenant_id, tenant)

    def _let_in(self, tenant_id: int, tenant: _Tenant) -> None:
        while tenant.waiting and self._may_go(tenant_id, tenant):
            turn = tenant.waiting.popleft()
            if not turn.done():
                tenant.under_way += 1
                turn.set_result(None)

    def _look(self, now: float) -> None:
        """Now and then: who has most of it, if anyone."""
        passed_s = now - self._looked_at
        if passed_s < LOOK_S:
            return
        self._looked_at, self._seconds = now, self._seconds + passed_s
        for tenant in self._tenants.values():
            tenant.add_up(now)
        self._flooding = self._who_floods()
        kept = KEPT ** (passed_s / LOOK_S)
        self._seconds *= kept
        for tenant_id, tenant in list(self._tenants.items()):
            tenant.demand *= kept
            self._let_in(tenant_id, tenant)
            if not tenant.requests and tenant.demand < FORGOTTEN * self._seconds:
                del self._tenants[tenant_id]

    def _who_floods(self) -> int | None:
        if len(self._tenants) < 2:
            return None
        first = max(self._tenants, key=lambda one: self._tenants[one].demand)
        demand, every = self._tenants[first].demand, sum(one.demand for one in self._tenants.values())
        return first if demand > SHARE_MAX * every and demand > REQUESTS_MIN * self._seconds else None
