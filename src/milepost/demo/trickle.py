"""The trickle: something happens every now and then, as it would in a system that is used."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from time import monotonic

import msgspec
import structlog

from milepost.access.tenants import Tenant
from milepost.demo.sample import Sample
from milepost.errors import MilepostError
from milepost.intake.queue import Kind
from milepost.service import Service
from milepost.web.services import Services

__all__ = ["Trickle"]

log = structlog.get_logger(__name__)

PER_S = 3.0  # activities a second, on average
SAID_S = 600.0  # one error, at most so often


class Trickle(Service):
    """`run_once` lets one thing happen."""

    name = "trickle"

    def __init__(self, services: Services, tenant: Tenant, sample: Sample, *, per_s: float = PER_S) -> None:
        super().__init__()
        self._services = services
        self._tenant = tenant
        self._sample = sample
        self._per_s = per_s
        self._dice = Random()
        self._say_at: dict[str, float] = {}  # by error; there are as many as the model may lack

    async def run_once(self) -> int:
        """Accepts and queues one activity, as a request would. → its receipt. Raises `DatabaseUnavailable`."""
        now = datetime.now(UTC)
        served = self._services.models.current
        body = msgspec.json.encode({"activities": [self._sample.live(self._dice, now)]})
        accepted = served.acceptor.accept(self._tenant.tenant_id, body, now)
        if not accepted.rows:
            wrong = accepted.rejected[0]
            raise MilepostError(
                f"The model of this database does not know what the demo does: {wrong.pointer.removeprefix('/')} {wrong.detail}."
            )
        receipt = await self._services.queue.enqueue(
            tenant_id=self._tenant.tenant_id,
            lane=self._tenant.lane,
            kind=Kind.ACTIVITIES,
            model=accepted.model_version,
            rows=accepted.rows,
            payload=accepted.payload,
        )
        return receipt.batch_id

    def _say(self, error: str) -> None:
        """Each error at most once in a while: under another model, nearly every activity would have one."""
        now = monotonic()
        if now >= self._say_at.get(error, now):
            self._say_at[error] = now + SAID_S
            log.warning("nothing happens in the demo for now", error=error)

    async def _run(self) -> None:
        while not self.stopping:
            try:
                await self.run_once()
            except MilepostError as error:
                self._say(str(error))
            await self.pause(self._dice.expovariate(self._per_s))
