"""Maintenance: what keeps a deployment able to run for years, in small steps.

- partitions are made ahead of the months that will need them;
- the queue goes on to its next table, and emptied ones are truncated;
- answers to old Idempotency-Keys, what old receipts of other queues stood for and old journal rows are forgotten, and corrections whose activity never came set aside;
- what is kept here of files that are not in the archive any more goes;
- boards are kept as they stood at the ends of the spans that the model names, and what was kept long enough is forgotten;
- large contents are moved from their rows to the object store, and those that nobody has any more are deleted there;
- files that nobody names, and what uploads have left, are deleted there, too;
- how far each lane is behind is measured, and what lies in the dead letters; where they grow, an alert says so.

Every process may run it: an advisory lock lets one at a time change something, and measuring needs no lock. Each step is
bounded: `run_once` does them until nothing is left to do, or until `STEPS_MAX`, and the next run goes on from there. A step
that fails is logged and counted, and the others go on: nothing here is lost by being done a minute later.

All runs as the owner of the tables, which only the owner may empty and extend, and from whom no policy hides a tenant's rows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

import structlog

from milepost.errors import MilepostError, Timeout
from milepost.intake.parked import expire
from milepost.intake.queue import backlog, forget_answers
from milepost.intake.relay import forget_relayed
from milepost.intake.rotation import rotate
from milepost.jobs.alerts import forget_resolved, measure_dead_letters, watch_dead_letters
from milepost.jobs.snapshots import snapshots_step
from milepost.postgres import Connection, Database, advisory_lock, load_queries, translated
from milepost.service import Service
from milepost.settings import Settings
from milepost.storage.cold_files import cold_files
from milepost.storage.content import Contents
from milepost.storage.files_unused import collect_files, sweep_uploads
from milepost.storage.moving import Collector, move_out
from milepost.storage.objects import object_store
from milepost.storage.partitions import ahead
from milepost.storage.rewrite import forget_replaced
from milepost.telemetry import count, gauge, observe

__all__ = ["Maintenance", "MaintenanceRun"]

log = structlog.get_logger(__name__)
queries = load_queries(__package__, "maintenance.sql")

LOCK = "milepost.maintenance"
STEPS_MAX = 100  # of one job in one run
JOURNAL_HOURS = 24.0  # how far back a live reader may resume; who is further behind reads anew
JOURNAL_ROWS_MAX = 10_000  # in one step

# One bounded step. → how much it did; 0: nothing is left to do.
Step = Callable[[Connection], Awaitable[int]]


@dataclass(frozen=True, kw_only=True)
class MaintenanceRun:
    """done: how much each job did (partitions, tables, rows). failed: jobs that raised. alone: False where another process has
    the lock, and only the lag was measured.
    """

    done: dict[str, int]
    failed: tuple[str, ...]
    alone: bool


class Maintenance(Service):
    """The loop of one process; its first run begins at once, beside what else starts."""

    name = "maintenance"

    def __init__(self, db: Database, settings: Settings) -> None:
        super().__init__()
        self._db = db
        self._settings = settings
        self._contents = Contents(object_store(settings))
        self._collector = Collector(self._contents)
        self._jobs: dict[str, Step] = {
            "partitions": self._partitions,
            "queue": self._rotate,
            "idempotency": self._forget_answers,
            "receipts": forget_relayed,
            "journal": self._prune_journal,
            "parked": self._expire_parked,
            "snapshots": self._keep_snapshots,
            "contents": self._move_contents,
            "unused_contents": self._collect_contents,
            "unused_files": self._collect_files,
            "uploads": self._sweep_uploads,
            "alerts": self._alerts,
        }

    async def run_once(self) -> MaintenanceRun:
        """Every job until it has nothing to do. Raises `DatabaseUnavailable` if there is no connection to be had."""
        owner = await self._db.owner(settings={"statement_timeout": "60s", "idle_in_transaction_session_timeout": "60s"})
        done: dict[str, int] = {}
        failed: list[str] = []
        try:
            await self._measured("lag", self._measure_lag, owner, done, failed)
            await self._measured("dead_letters", self._measure_dead_letters, owner, done, failed)
            await self._measured("cold_files", self._forget_replaced, owner, done, failed)  # of this machine
            try:
                async with advisory_lock(owner, LOCK, timeout_s=0):
                    for job, step in self._jobs.items():
                        if self.stopping:
                            break
                        await self._measured(job, step, owner, done, failed)
            except Timeout:
                return MaintenanceRun(done=done, failed=tuple(failed), alone=False)
        finally:
            await owner.close()
        return MaintenanceRun(done=done, failed=tuple(failed), alone=True)

    async def _run(self) -> None:
        while not self.stopping:
            try:
                await self.run_once()
            except MilepostError as error:
                count("maintenance_runs", job="all", outcome="failed")
                log.warning("maintenance could not run", error=str(error))
            await self.pause(self._settings.maintenance_s)

    async def _measured(self, job: str, step: Step, owner: Connection, done: dict[str, int], failed: list[str]) -> None:
        """One job: its steps until one finds nothing to do. What it raises ends it alone."""
        began = perf_counter()
        done[job] = 0
        outcome = "done"
        try:
            for _ in range(STEPS_MAX):
                did = await step(owner)
                done[job] += did
                if not did or self.stopping:
                    break
        except MilepostError as error:
            if owner.closed:
                raise
            outcome = "failed"
            failed.append(job)
            log.warning("maintenance failed", job=job, error=str(error))
        observe("maintenance_seconds", perf_counter() - began, job=job)
        count("maintenance_runs", job=job, outcome=outcome)
        if done[job] and job != "lag":
            log.debug("maintained", job=job, did=done[job])

    # ── The jobs, one step each ────────────────────────────────────────────────────────────────────────────────────

    async def _partitions(self, owner: Connection) -> int:
        return len(await ahead(owner, datetime.now(UTC), months=self._settings.partitions_ahead_months))

    async def _rotate(self, owner: Connection) -> int:
        rotation = await rotate(owner, self._settings)
        return len(rotation.truncated) + rotation.moved_on

    async def _forget_answers(self, owner: Connection) -> int:
        return await forget_answers(owner, self._settings)

    async def _prune_journal(self, owner: Connection) -> int:
        pruned = 0
        with translated(owner):
            for (tenant_id,) in await (await owner.execute(queries.tenants)).fetchall():
                values = {"tenant_id": tenant_id, "hours": JOURNAL_HOURS, "rows_max": JOURNAL_ROWS_MAX}
                pruned += (await owner.execute(queries.prune_journal, values)).rowcount
        return pruned

    async def _move_contents(self, owner: Connection) -> int:
        return await move_out(owner, self._contents)

    async def _collect_contents(self, owner: Connection) -> int:
        return await self._collector.step(owner)

    async def _collect_files(self, owner: Connection) -> int:
        return await collect_files(owner, self._contents.store)

    async def _sweep_uploads(self, owner: Connection) -> int:
        return await sweep_uploads(owner, self._contents.store)

    async def _expire_parked(self, owner: Connection) -> int:
        return await expire(owner, self._settings.parked_hours)

    async def _keep_snapshots(self, owner: Connection) -> int:
        return await snapshots_step(owner, datetime.now(UTC))

    async def _alerts(self, owner: Connection) -> int:
        await watch_dead_letters(owner, self._settings.dead_letter_alert_rows)
        return await forget_resolved(owner)

    async def _forget_replaced(self, owner: Connection) -> int:
        return await forget_replaced(owner, cold_files(self._settings))

    async def _measure_dead_letters(self, owner: Connection) -> int:
        await measure_dead_letters(owner)
        return 0

    async def _measure_lag(self, owner: Connection) -> int:
        for lane in await backlog(owner):
            gauge("lane_lag_seconds", lane.oldest_age_s, lane=lane.lane)
            gauge("lane_waiting", lane.batches, lane=lane.lane)
        return 0
