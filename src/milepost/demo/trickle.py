"""The trickle: something happens every now and then, as it would in a system that is used."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from random import Random

import msgspec
import structlog

from milepost.access.tenants import Tenant
from milepost.demo.sample import Sample
from milepost.errors import MilepostError
from milepost.intake.queue import Kind
from milepost.web.services import Services

__all__ = ["Trickle"]

log = structlog.get_logger(__name__)

PER_S = 3.0  # activities a second, on average


class Trickle:
    """A service: `start`, `stop`, and `run_once`, which lets one thing happen."""

    def __init__(self, services: Services, tenant: Tenant, sample: Sample, *, per_s: float = PER_S) -> None:
        self._services = services
        self._tenant = tenant
        self._sample = sample
        self._per_s = per_s
        self._dice = Random()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if self._task is None:
            self._stopping.clear()
            self._task = asyncio.create_task(self._loop(), name="trickle")

    async def stop(self) -> None:
        """Complete when it returns; safe twice, and unstarted."""
        task, self._task = self._task, None
        if task is not None:
            self._stopping.set()
            await task

    async def run_once(self) -> int:
        """Accepts and queues one activity, as a request would. → its receipt. Raises `DatabaseUnavailable`."""
        now = datetime.now(UTC)
        served = self._services.models.current
        body = msgspec.json.encode({"activities": [self._sample.live(self._dice, now)]})
        accepted = served.acceptor.accept(self._tenant.tenant_id, body, now)
        if not accepted.rows:
            raise MilepostError(f"The model of this database does not know what the demo does: {accepted.rejected[0].detail}.")
        receipt = await self._services.queue.enqueue(
            tenant_id=self._tenant.tenant_id,
            lane=self._tenant.lane,
            kind=Kind.ACTIVITIES,
            model=accepted.model_version,
            rows=accepted.rows,
            payload=accepted.payload,
        )
        return receipt.batch_id

    async def _loop(self) -> None:
        while not self._stopping.is_set():
            try:
                await self.run_once()
            except MilepostError as error:
                log.warning("nothing happens in the demo for now", error=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._dice.expovariate(self._per_s))
