"""The gate: what every door for activities lets its requests through, from whose they are to what they count.

    async with services.gate.passage(principal, headers, receive) as passage:
        accepted = await passage.work(accept, acceptors, large=…)
        await passage.count(accepted.rows, len(accepted.payload))
        …                                            # make it durable

In this order a request is refused for (1) what its tenant has waiting to be loaded, a quota that is used up, a rate that was just
exceeded: before its body is kept; (2) the bytes that are held for its tenant: while the body comes; (3) its activities: as soon as
they are counted. Always whole, with 429, and what was taken for it given back. In between, a
tenant that floods has one request on its way at a time while others send, and work is done by tenants in turn.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from time import perf_counter
from typing import TypeVar

from litestar.types import Receive

from milepost import telemetry
from milepost.access.keys import Principal
from milepost.intake.accept import Acceptor
from milepost.intake.pressure.allowances import Allowances
from milepost.intake.pressure.refusal import Refused
from milepost.intake.pressure.shares import Shares
from milepost.intake.pressure.turns import Turns
from milepost.intake.pressure.waiting import Waiting
from milepost.web.bodies import Bodies, Held, drain
from milepost.web.models import Served

__all__ = ["Gate", "Passage"]

Made = TypeVar("Made")

# A client that heeds Retry-After does not notice it. One that does not sends on each connection ten requests a second, and not
# hundreds that cost everybody else their time; meanwhile its body waits in its socket, and not here.
REFUSAL_PAUSE_S = 0.1


class Gate:
    """One a process."""

    def __init__(self, bodies: Bodies, thread: ThreadPoolExecutor, allowances: Allowances, waiting: Waiting) -> None:
        self.bodies = bodies
        self.thread = thread
        self.allowances = allowances
        self.waiting = waiting
        self.shares = Shares()
        self.loop_turns = Turns()
        self.thread_turns = Turns()

    @asynccontextmanager
    async def passage(self, principal: Principal, headers: Mapping[bytes, bytes], receive: Receive) -> AsyncIterator[Passage]:
        """One request's. Raises `Refused`, and what `Bodies.read` raises."""
        try:
            try:
                self.waiting.check(principal.tenant_id, principal.lane)
                await self.allowances.check(principal.tenant_id)
            except Refused:
                await asyncio.sleep(REFUSAL_PAUSE_S)
                await drain(receive)
                raise
            with self.bodies.held(principal.tenant_id) as held:
                passage = Passage(self, principal, held)
                passage.raw = await held.read(headers, receive)
                # Not before: who sends slowly would hold up all that its tenant sends.
                async with self.shares.of(principal.tenant_id):
                    try:
                        yield passage
                    except BaseException:
                        passage.uncount()
                        raise
        except Refused as refusal:
            telemetry.count("refused_requests", reason=refusal.reason)
            raise


class Passage:
    """A request on its way. raw: its body as sent. headers: what its answer says of the tenant's limits."""

    def __init__(self, gate: Gate, principal: Principal, held: Held) -> None:
        self._gate = gate
        self._principal = principal
        self._held = held
        self._rows = 0
        self.raw = b""
        self.headers: Mapping[str, str] = {}

    async def work(self, work: Callable[[Acceptor], Made], served: Served, *, large: bool) -> Made:
        """Do it in the tenant's turn. large: in the worker thread, and not on the event loop."""
        if large:
            return await self.in_thread(functools.partial(work, served.acceptor_of_thread))
        async with self._gate.loop_turns.of(self._principal.tenant_id):
            return work(served.acceptor)

    async def in_pieces(self, pieces: Generator[None, None, Made]) -> Made:
        """Do it on the event loop, each piece in a turn of the tenant's. A thread would have to share the interpreter with the event loop,
        which waits for it at each of its steps: others waited twice as long."""
        tenant_id = self._principal.tenant_id
        while True:
            async with self._gate.loop_turns.of(tenant_id):
                began = perf_counter()
                try:
                    next(pieces)
                except StopIteration as end:
                    made: Made = end.value
                    return made
                took_s = perf_counter() - began
            await asyncio.sleep(self._gate.shares.rest_s(tenant_id, took_s))

    async def in_thread(self, work: Callable[[], Made]) -> Made:
        """Do it in the worker thread: what leaves the interpreter to others, such as compressing."""
        async with self._gate.thread_turns.of(self._principal.tenant_id):
            return await asyncio.get_running_loop().run_in_executor(self._gate.thread, work)

    async def count(self, rows: int, payload_bytes: int) -> None:
        """What is about to be made durable. Raises `Refused`."""
        self._held.grow(payload_bytes)
        allowance = await self._gate.allowances.take(self._principal.tenant_id, rows)
        self._gate.waiting.put(self._principal.tenant_id, self._principal.lane, rows)
        self._rows, self._allowance = rows, allowance
        self.headers = allowance.headers()

    def uncount(self) -> None:
        """It came to nothing new."""
        if self._rows:
            self._allowance.give_back(self._rows)
            self._gate.waiting.put(self._principal.tenant_id, self._principal.lane, -self._rows)
            self._rows = 0
