"""Whether a batch goes to the primary or to the spill, and the way back: a circuit breaker around the primary.

- `direct`: to the primary. One that fails, or does not answer within a short patience, is spilled, and with it all that come after.
- `spilling`: to the spill. The primary is tried again and again, with the spill's first batches, in pauses of 0.2 to 2 s.
- `draining`: the primary answers, and takes the spill's batches in large groups. New ones still go to the spill, behind those that
  came before them. With the last group new ones wait for a moment, and then go to the primary again.

So what one process acknowledges of a lane goes into the queue in the order in which it acknowledged it. A batch whose `put` failed may
be in the primary all the same, and is then there twice: its activities' ids make it count once.

How it fails: `QueueFull` where the spill takes no more; `QueueUnavailable` for what may not be spilled, such as a change whose
outcome somebody waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from itertools import groupby
from time import monotonic
from typing import Any, Literal

import structlog

from milepost import faults
from milepost.durable_file import DiskFailed
from milepost.errors import DatabaseUnavailable, InvalidInput, MilepostError, QueueUnavailable
from milepost.intake._batches import Idempotency, NewBatch, Receipt
from milepost.intake._claims import Claims
from milepost.intake._spill_file import Spilled
from milepost.intake.primary import Primary
from milepost.intake.relay import Relayed
from milepost.intake.spill import Spill, SpillGroup
from milepost.telemetry import count, gauge

__all__ = ["DRAINED_BATCHES_MAX", "DRAINED_BYTES_MAX", "Detour"]

log = structlog.get_logger(__name__)

State = Literal["direct", "spilling", "draining"]
STATES: tuple[State, ...] = ("direct", "spilling", "draining")

DRAINED_BATCHES_MAX = 1_000  # in one step
DRAINED_BYTES_MAX = 16 * 1024 * 1024
PAUSE_S, PAUSE_S_MAX = 0.2, 2.0
ADOPT_S = 10.0  # how often files of processes that died are looked for
FORGET_S = 2.0  # what is forgotten may also stay

# What the primary says of the batch, not of itself.
NOT_ITS_FAULT = (InvalidInput,)


class Detour:
    """`start` first, `stop` at the end. drained: called with a lane into which batches were moved."""

    def __init__(
        self, primary: Primary, claims: Claims, spill: Spill, *, patience_s: float, drained: Callable[[int], None]
    ) -> None:
        self._primary = primary
        self._claims = claims
        self._spill = spill
        self._patience_s = patience_s
        self._drained = drained
        self._state: State = "direct"
        self._since = monotonic()
        self._diverted = asyncio.Event()
        self._returning: asyncio.Event | None = None  # while the last group goes through
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """The primary has been started. What dead processes have left is drained before anything goes direct."""
        if self._tasks:
            return
        await self._spill.start()
        self._enter("direct" if self._spill.empty else "draining")
        self._tasks = [
            asyncio.create_task(self._drain(), name="spill drain"),
            asyncio.create_task(self._adopt(), name="spill adoption"),
        ]

    async def stop(self) -> None:
        """What is spilled stays on disk. Safe twice, and unstarted."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._spill.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(FORGET_S):
                await self._forget_finished()

    def state(self) -> dict[str, Any]:
        """For /readyz. taking: whether the next batch would be acknowledged, as far as we know."""
        return {
            "primary": self._primary.name,
            "state": self._state,
            "for_s": round(monotonic() - self._since, 1),
            "spilled_batches": self._spill.batches,
            "spilled_bytes": self._spill.bytes,
            "spill_bytes_max": self._spill.bytes_max,
        }

    @property
    def taking(self) -> bool:
        return self._state == "direct" or self._spill.has_room

    # ── In ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def put(self, batch: NewBatch, claim: Idempotency | None, *, may_wait: bool) -> Receipt:
        """Durable when it returns. may_wait: whether it may lie in the spill for as long as the primary is away."""
        if self._returning is not None:
            await self._returning.wait()
        if self._state == "direct":
            try:
                return await self._directly(batch, claim)
            except NOT_ITS_FAULT:
                raise
            except MilepostError as error:
                self._divert(error)
                if not may_wait:
                    raise
        elif not may_wait:
            raise QueueUnavailable("The queue is away, or takes in what came meanwhile: ask again when it is back.")
        return Receipt(batch_id=await self._spill.put(batch, claim))

    async def _directly(self, batch: NewBatch, claim: Idempotency | None) -> Receipt:
        """Raises what the primary raises, and `QueueUnavailable` for silence."""
        if claim is not None and not (self._primary.takes_claims and self._claims.away):
            try:
                return await self._claims.put_within(batch, claim, self._patience_s)
            except DatabaseUnavailable:
                if not self._primary.takes_claims:
                    raise
        try:
            async with asyncio.timeout(self._patience_s):
                return Receipt(batch_id=await self._primary.put(batch, claim))
        except TimeoutError as error:
            raise QueueUnavailable(f"The queue did not answer within {self._patience_s:g} s.") from error

    def _divert(self, error: MilepostError) -> None:
        count("queue_failures")
        if self._state == "direct":
            log.error("the queue is away: spilling", primary=self._primary.name, error=str(error))
            self._enter("spilling")

    def _enter(self, state: State) -> None:
        if state != self._state:
            self._state, self._since = state, monotonic()
        if state == "direct":
            self._diverted.clear()
        else:
            self._diverted.set()
        for one in STATES:
            gauge("queue_state", one == state, state=one)

    # ── Out ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _drain(self) -> None:
        pause = PAUSE_S
        while True:
            await self._diverted.wait()
            try:
                await self._drain_once()
                pause = PAUSE_S
            except Exception as error:
                if self._state != "spilling":
                    log.warning("the queue takes no spilled batches now", primary=self._primary.name, error=str(error))
                    self._enter("spilling")
                if not isinstance(error, MilepostError | DiskFailed | TimeoutError):
                    log.exception("spilled batches could not be drained")  # and are tried again: they are acknowledged
                await asyncio.sleep(pause)
                pause = min(pause * 2, PAUSE_S_MAX)
            finally:
                self._open_gate(self._returning)

    async def _drain_once(self) -> None:
        """One group, or the switch back to the primary. Raises what the primary raises."""
        if self._spill.batches <= DRAINED_BATCHES_MAX and self._state == "draining":
            # New ones wait from here on, so that this group is the last one even under load.
            self._returning = asyncio.Event()
            asyncio.get_running_loop().call_later(self._patience_s, self._open_gate, self._returning)
            await self._spill.settled()
        group = await self._spill.first(DRAINED_BATCHES_MAX, DRAINED_BYTES_MAX)
        if group is not None:
            await self._move(group)
            faults.reach("spill.moved")
            await self._spill.drop(group)
            faults.reach("spill.dropped")
            count("spill_drained", len(group.batches))
            for lane in {one.batch.lane for one in group.batches}:
                self._drained(lane)
        elif self._state == "spilling":
            await self._primary.put_again("spill", ())  # nothing was kept: it is only asked whether it is back
        if self._state == "spilling":
            log.info("the queue is back: draining the spill", primary=self._primary.name, batches=self._spill.batches)
            self._enter("draining")
        if self._spill.empty:
            # Nothing is awaited between this look and the switch: no batch can come between.
            self._enter("direct")
            log.info("the spill is drained", primary=self._primary.name)
            self._open_gate(self._returning)
            await self._forget_finished()

    async def _move(self, group: SpillGroup) -> None:
        """In order: by the primary what it takes, and what it does not, runs of those that bring a claim, each in PostgreSQL."""
        takes_claims = self._primary.takes_claims
        for claimed, run in groupby(group.batches, key=lambda one: one.claim is not None and not takes_claims):
            if not claimed:
                await self._primary.put_again(group.source, [_relayed(one) for one in run])
                continue
            for one in run:
                await self._claims.put_again(f"{group.source} claimed", _relayed(one))

    def _open_gate(self, gate: asyncio.Event | None) -> None:
        """Who waits goes where the state says now. By a clock, too: the primary may hang over its last group."""
        if gate is not None and gate is self._returning:
            gate.set()
            self._returning = None

    async def _forget_finished(self) -> None:
        for source in self._spill.finished():
            try:
                await self._primary.forget(source)
                await self._claims.forget(f"{source} claimed")
            except (MilepostError, TimeoutError) as error:
                log.info("the position of a spill file that is gone stays noted", source=source, error=str(error))

    async def _adopt(self) -> None:
        while True:
            await asyncio.sleep(ADOPT_S)
            try:
                if await self._spill.adopt() and self._state == "direct":
                    self._enter("draining")
            except (OSError, DiskFailed) as error:
                log.warning("the spill's folder cannot be read", error=str(error))


def _relayed(one: Spilled) -> Relayed:
    return Relayed(
        position=f"{one.seq:020}", receipt_id=one.receipt_id, received_at=one.received_at, batch=one.batch, claim=one.claim
    )
