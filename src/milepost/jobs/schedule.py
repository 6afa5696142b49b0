"""The schedule: the loop that runs the jobs that are due, in one process of many.

Every process looks, each `maintenance_s`; an advisory lock lets one at a time run jobs, one after the other, the one that has been due
longest first. When that process ends, its lock goes with its session and the next one goes on: a job that it left half done is
marked `lost` and tried again. What keeps a deployment able to run at all (partitions, the queue) is not here but in
`milepost.jobs.maintenance`, which no long job can hold up (docs/decisions/2026-11-28-jobs-have-a-schedule-of-their-own.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from milepost.errors import MilepostError, NotFound, Timeout
from milepost.jobs.catalogue import JOBS
from milepost.jobs.job import Job, Standing, Work, due_at
from milepost.jobs.runs import Run, forget_runs, run_job, standings
from milepost.postgres import Connection, Database, advisory_lock
from milepost.settings import Settings

__all__ = ["LOCK", "Schedule", "job_named", "run_by_hand"]

LOCK = "milepost.jobs"

_log = structlog.get_logger(__name__)


class Schedule:
    """The loop of one process. `start` begins it; `stop` is complete when it returns, safe twice and unstarted: a job under way is
    cancelled, and due again."""

    def __init__(self, db: Database, settings: Settings, jobs: Sequence[Job] = JOBS) -> None:
        self._db = db
        self._settings = settings
        self._jobs = {job.name: job for job in jobs}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._loop(), name="schedule")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def run_once(self, now: datetime | None = None) -> list[Run]:
        """Run what is due now; a job that failed is left for a later look. [] where another process has the lock. now: tests'."""
        runs: list[Run] = []
        owner = await _connected(self._db)
        try:
            async with advisory_lock(owner, LOCK, timeout_s=0):
                known = await standings(owner, self._jobs.values())
                for name in self._due(known, now or datetime.now(UTC)):
                    with suppress(Timeout):  # somebody runs it by hand
                        runs.append(await self._run(self._jobs[name], known[name], now))
                await forget_runs(owner)
        except Timeout:
            return []
        finally:
            await owner.close()
        return runs

    async def _run(self, job: Job, standing: Standing, now: datetime | None) -> Run:
        owner = await _connected(self._db)
        try:
            work = Work(db=self._db, settings=self._settings, owner=owner, now=now or datetime.now(UTC))
            return await run_job(job, work, standing, by="schedule")
        finally:
            await owner.close()

    def _due(self, known: dict[str, Standing], now: datetime) -> list[str]:
        due = {name: due_at(standing, now) for name, standing in known.items()}
        return sorted(
            (name for name, moment in due.items() if moment is not None and moment <= now), key=lambda name: str(due[name])
        )

    async def _loop(self) -> None:
        while True:
            try:
                await self.run_once()
            except MilepostError as error:
                _log.warning("the schedule could not look for what is due", error=str(error))
            await asyncio.sleep(self._settings.maintenance_s)


async def run_by_hand(db: Database, settings: Settings, name: str, *, by: str) -> Run:
    """Run a job here and now, beside the schedule. Raises `NotFound`, and `Timeout` where it is being run already."""
    job = job_named(name)
    owner = await _connected(db)
    try:
        standing = (await standings(owner, [job]))[name]
        work = Work(db=db, settings=settings, owner=owner, now=datetime.now(UTC))
        return await run_job(job, work, standing, by=by)
    finally:
        await owner.close()


def job_named(name: str) -> Job:
    for job in JOBS:
        if job.name == name:
            return job
    raise NotFound(f"There is no job {name}: there are {', '.join(job.name for job in JOBS)}.", job=name)


async def _connected(db: Database) -> Connection:
    # A job has its own bound; a session that hangs in a transaction would hold everybody's horizon.
    return await db.owner(settings={"idle_in_transaction_session_timeout": "60s", "lock_timeout": "10s"})
