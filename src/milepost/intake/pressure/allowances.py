"""All tenants' allowances in this process, kept together with the other processes' through PostgreSQL.

- Rate: the bucket is a row in PostgreSQL; a process leases tokens from it, `LEASE_S` worth at once, when a tenant runs short and at
  most every `LEASE_APART_S`. So all processes together hold to the rate exactly, at the cost of a few small writes a second for a
  tenant at its limit, and none for one without a rate.
- Quotas: each process adds up what it let in once a second, in one statement for all tenants, and learns the sums. Between, a
  process does not see the others' second: n processes may exceed a quota by what n - 1 of them let in within a second. A process that is killed
  takes with it the count of its last second.
- Limits that are changed hold within a second or two.

How it fails: while PostgreSQL is away, the limits last known go on, the rate divided by the processes last known, and quotas by
what is counted here; nobody waits for it longer than `ASK_S`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any

import structlog

from milepost import telemetry
from milepost.access.limits import Limits, Use, default_limits, read_limits, read_use
from milepost.errors import MilepostError
from milepost.intake.pressure.allowance import Allowance
from milepost.postgres import Database, answered, load_queries
from milepost.settings import Settings

__all__ = ["Allowances"]

_queries = load_queries(__package__, "allowances.sql")
_log = structlog.get_logger(__name__)

LEASE_S = 0.25
LEASE_APART_S = 0.1
REPORT_S = 1.0
ASK_S = 1.0
AWAY_S = 1.0  # after PostgreSQL did not answer, it is not asked for so long
FORGOTTEN_S = 60.0  # a tenant that sends nothing


class Allowances:
    """One a process. `start` begins the reports, `stop` makes a last one. `take` works unstarted, too."""

    def __init__(self, db: Database, settings: Settings, *, clock: Callable[[], float] = monotonic) -> None:
        self._db = db
        self._clock = clock
        self._today = partial(datetime.now, UTC)
        self._defaults = default_limits(settings)
        self._known: dict[int, Allowance] = {}
        self._asking: dict[int, asyncio.Task[None]] = {}
        self._away_until = float("-inf")
        self._processes = 1
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Safe twice."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="allowances")

    async def stop(self) -> None:
        """Adds up what is not yet, where that is possible. Safe twice, and unstarted."""
        self._stopping.set()
        task, self._task = self._task, None
        if task is not None:
            await task

    async def check(self, tenant_id: int) -> None:
        """Before the body is read. Raises `LimitReached` where not even one activity would be let in."""
        allowance = await self._of(tenant_id)
        allowance.check(1)
        if allowance.needs(1) > 0 and self._clock() < allowance.asked_at + LEASE_APART_S:
            allowance.take(1)  # raises

    async def take(self, tenant_id: int, rows: int) -> Allowance:
        """Let a request in, all of it or nothing. Raises `LimitReached`."""
        allowance = await self._of(tenant_id)
        if allowance.needs(rows) > 0:
            await self._ask_once(tenant_id, partial(self._lease, tenant_id, allowance, rows))
        allowance.take(rows)
        return allowance

    def uncounted(self, tenant_id: int) -> int:
        """What this process let in since it last added up."""
        allowance = self._known.get(tenant_id)
        return allowance.uncounted if allowance else 0

    async def _of(self, tenant_id: int) -> Allowance:
        if tenant_id not in self._known:
            await self._ask_once(tenant_id, partial(self._learn_first, tenant_id))
        return self._known[tenant_id]

    async def _ask_once(self, tenant_id: int, ask: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """One question at a time about a tenant, shared by all who wait for it."""
        asking = self._asking.get(tenant_id)
        if asking is None:
            asking = self._asking[tenant_id] = asyncio.create_task(ask())
            asking.add_done_callback(lambda _: self._asking.pop(tenant_id, None))
        await asyncio.shield(asking)

    async def _learn_first(self, tenant_id: int) -> None:
        limits, use = self._defaults, Use()
        if self._clock() >= self._away_until:
            try:
                limits, use = await answered(self._limits_and_use(tenant_id), ASK_S)
            except MilepostError as error:
                self._is_away(error)
        self._known[tenant_id] = Allowance(limits, use, clock=self._clock, today=self._today)

    async def _limits_and_use(self, tenant_id: int) -> tuple[Limits, Use]:
        async with self._db.transaction("point", wait_s=ASK_S) as conn:
            limits = (await read_limits(conn, [tenant_id], self._defaults))[tenant_id]
            use = (await read_use(conn, [tenant_id]))[tenant_id] if _has_quota(limits) else Use()
        return limits, use

    async def _lease(self, tenant_id: int, allowance: Allowance, rows: int) -> None:
        now, limits = self._clock(), allowance.limits
        missing = allowance.needs(rows)
        if limits.rate is None or missing <= 0 or now < allowance.asked_at + LEASE_APART_S:
            return
        since, allowance.asked_at = now - max(allowance.asked_at, now - 1.0), now
        if now >= self._away_until:
            try:
                await self._withdraw(tenant_id, allowance, max(missing, LEASE_S * limits.rate))
            except (MilepostError, TimeoutError) as error:
                self._is_away(error)
            else:
                telemetry.count("token_leases", outcome="short" if allowance.needs(rows) > 0 else "granted")
                return
        allowance.level = 0.0
        share = 1 / self._processes
        allowance.tokens = min(limits.burst_or_usual * share, allowance.tokens + limits.rate * share * since)
        telemetry.count("token_leases", outcome="local")

    async def _withdraw(self, tenant_id: int, allowance: Allowance, wanted: float) -> None:
        """Negative: give some back. Raises `MilepostError`."""
        before, after = await answered(self._withdrawn(tenant_id, allowance.limits, wanted), ASK_S)
        allowance.tokens += before - after
        allowance.level = after

    async def _withdrawn(self, tenant_id: int, limits: Limits, wanted: float) -> tuple[float, float]:
        assert limits.rate is not None
        async with self._db.transaction("write", wait_s=ASK_S) as conn:
            await conn.execute(_queries.soon_enough)
            values = {"tenant_id": tenant_id, "rate": limits.rate, "burst": limits.burst_or_usual}
            before = (await (await conn.execute(_queries.lease, values)).fetchone() or (0.0,))[0]
            after = (await (await conn.execute(_queries.withdraw, {**values, "wanted": wanted})).fetchone() or (before,))[0]
        return before, after

    def _is_away(self, error: Exception) -> None:
        if self._clock() >= self._away_until:
            _log.warning("limits go on as last known: PostgreSQL does not answer", error=str(error) or type(error).__name__)
        self._away_until = self._clock() + AWAY_S

    async def _run(self) -> None:
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), REPORT_S)
            try:
                await self.run_once()
            except (MilepostError, TimeoutError) as error:
                self._is_away(error)
            except Exception:
                _log.exception("the use of tenants could not be added up")

    async def run_once(self) -> None:
        """Add up what was let in, and learn limits and sums. Raises `MilepostError`, `TimeoutError`."""
        if not self._known:
            return
        counts = {tenant_id: one.uncounted for tenant_id, one in sorted(self._known.items()) if one.uncounted}
        async with asyncio.timeout(ASK_S), self._db.transaction("write", wait_s=ASK_S) as conn:
            await conn.execute(_queries.soon_enough)
            if counts:
                await conn.execute(_queries.add_use, {"tenant_ids": list(counts), "activities": list(counts.values())})
            limits = await read_limits(conn, list(self._known), self._defaults)
            limited = [tenant_id for tenant_id, one in limits.items() if _has_quota(one)]
            use = await read_use(conn, limited) if limited else {}
            row = await (await conn.execute(_queries.processes)).fetchone()
        self._processes = row[0] if row else 1
        for tenant_id, one in limits.items():
            # At once: what was added up leaves the count here as it appears in the sum.
            self._known[tenant_id].learn(one, use.get(tenant_id, Use()), counted=counts.get(tenant_id, 0))
        await self._settle()

    async def _settle(self) -> None:
        """Of tenants that have paused: give tokens back, pay debts, and forget them in the end."""
        now = self._clock()
        for tenant_id, allowance in list(self._known.items()):
            idle_s = now - allowance.taken_at
            if idle_s > REPORT_S and allowance.tokens and allowance.limits.rate is not None:
                await self._withdraw(tenant_id, allowance, -allowance.tokens)
            if idle_s > FORGOTTEN_S and not allowance.uncounted and tenant_id not in self._asking:
                del self._known[tenant_id]


def _has_quota(limits: Limits) -> bool:
    return limits.per_day is not None or limits.per_month is not None
