"""Runs of jobs: which there were, what became of them, and how to run one.

`run_job` runs a job under its lock, so that one process at a time does; a run that a process left behind when it died is marked
`lost` by the next. What a job answers, or the error it ended with, stays in the history for `KEPT_DAYS`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from time import perf_counter
from typing import Any, Literal
from zoneinfo import ZoneInfo

import structlog

from milepost import faults
from milepost.errors import FieldError, InvalidInput, MilepostError, NotFound
from milepost.jobs.job import EVERY, Job, Standing, Work, slot_of
from milepost.postgres import Connection, Jsonb, advisory_lock, load_queries, translated
from milepost.telemetry import count, observe

__all__ = ["Run", "ask", "forget_runs", "history", "run_job", "set_times", "standings"]

KEPT_DAYS = 400  # so that a quarter's can be compared with the same one a year before
FORGOTTEN_MAX = 1_000  # in one step

Outcome = Literal["running", "done", "failed", "lost"]

_queries = load_queries(__package__, "runs.sql")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Run:
    """slot: what it was due for. by: `schedule`, a key's id, or a login of the machine. result: what the job answered."""

    id: int
    job: str
    slot: datetime
    attempt: int
    by: str
    started_at: datetime
    ended_at: datetime | None
    outcome: Outcome
    error: str | None
    result: dict[str, Any] | None


async def standings(conn: Connection, jobs: Collection[Job]) -> dict[str, Standing]:
    """By the name of the job. conn: the owner's, in autocommit; jobs that are new to the database are written down."""
    names = [job.name for job in jobs]
    with translated(conn):
        await conn.execute(_queries.know, {"names": names})
        rows = await (await conn.execute(_queries.standings, {"names": names})).fetchall()
    found = {}
    own = {job.name: job.every for job in jobs}
    for name, first_seen_at, every, first, last, zone, paused, asked_at, slot, done, attempts, ended_at in rows:
        found[name] = Standing(
            first_seen_at=first_seen_at,
            every=every or own[name],
            hours=None if first is None else (first, last),
            time_zone=zone,
            paused=paused,
            asked_at=asked_at,
            slot=slot,
            done=done,
            attempts=attempts,
            ended_at=ended_at,
        )
    return found


async def run_job(job: Job, work: Work, standing: Standing, *, by: str) -> Run:
    """Run it to its end. Raises `Timeout` where another process runs it; what the job raises is in the run.

    A cancelled run is marked `lost`, and so is due again.
    """
    owner, slot = work.owner, slot_of(standing.every, work.now, standing.time_zone)
    async with advisory_lock(owner, f"milepost.job.{job.name}", timeout_s=0):
        with translated(owner):
            await owner.execute(_queries.lose, {"name": job.name})
            attempt = standing.attempts + 1 if standing.slot == slot and not standing.done else 1
            values = {"name": job.name, "slot": slot, "attempt": attempt, "by": by}
            row = await (await owner.execute(_queries.begin, values)).fetchone()
        assert row is not None
        faults.reach("job.begun")
        began = perf_counter()
        outcome: Outcome = "lost"
        result: dict[str, Any] | None = None
        error: str | None = "The process was stopped."
        try:
            async with asyncio.timeout(job.timeout_s):
                result, outcome, error = await job.run(work), "done", None
        except TimeoutError:
            outcome, error = "failed", f"It took longer than {job.timeout_s:g} s."
        except MilepostError as failure:
            outcome, error = "failed", str(failure)
        except Exception as mistake:  # our own; one job's must not end the others
            outcome, error = "failed", f"{type(mistake).__name__}: {mistake}"
            _log.exception("a job raised what no job should", job=job.name)
        finally:
            await _finish(work, row[0], outcome, result, error)
        observe("job_seconds", perf_counter() - began, job=job.name)
        count("job_runs", job=job.name, outcome=outcome)
        if error is not None:
            _log.warning("a job failed", job=job.name, attempt=attempt, error=error)
        with translated(owner):
            found = await history(owner, name=job.name, before=row[0] + 1, limit=1)
    return found[0]


async def _finish(work: Work, run_id: int, outcome: Outcome, result: dict[str, Any] | None, error: str | None) -> None:
    """On another connection, where the job's own was cancelled in the middle of a statement, or is lost."""
    values = {"run_id": run_id, "outcome": outcome, "result": Jsonb(result) if result is not None else None, "error": error}
    if outcome == "done":
        with translated(work.owner):
            await work.owner.execute(_queries.finish, values)
        return
    owner = await work.db.owner(settings={"statement_timeout": "10s"})
    try:
        with translated(owner):
            await owner.execute(_queries.finish, values)
    finally:
        await owner.close()


async def ask(conn: Connection, name: str, *, by: str) -> None:
    """Have it run by whoever looks next, within `maintenance_s`. Raises `NotFound`."""
    if not (await conn.execute(_queries.ask, {"name": name, "by": by})).rowcount:
        raise NotFound(f"There is no job {name}.", job=name)


async def set_times(conn: Connection, job: Job, standing: Standing, **changed: Any) -> Standing:
    """Change when a job runs: `every`, `hours`, `time_zone`, `paused`. Raises `InvalidInput`."""
    wanted = replace(standing, **changed)
    wrong = []
    if wanted.every not in EVERY:
        wrong.append(FieldError("/every", f"must be one of {', '.join(EVERY)}"))
    if wanted.hours is not None and not 0 <= wanted.hours[0] < wanted.hours[1] <= 24:
        wrong.append(FieldError("/hours", "must be two hours of a day, the first before the second, such as 8 and 18"))
    try:
        ZoneInfo(wanted.time_zone)
    except (LookupError, ValueError):
        wrong.append(FieldError("/time_zone", f"{wanted.time_zone!r} is not a time zone, such as Europe/Berlin"))
    if wrong:
        raise InvalidInput(errors=tuple(wrong))
    first, last = wanted.hours or (None, None)
    values = {"name": job.name, "every": None if wanted.every == job.every else wanted.every, "from_hour": first}
    values |= {"to_hour": last, "time_zone": wanted.time_zone, "paused": wanted.paused}
    await conn.execute(_queries.set, values)
    return wanted


async def history(conn: Connection, *, name: str | None = None, before: int | None = None, limit: int) -> list[Run]:
    """Newest first."""
    rows = await (await conn.execute(_queries.history, {"name": name, "before": before, "limit": limit})).fetchall()
    names = ("id", "job", "slot", "attempt", "by", "started_at", "ended_at", "outcome", "error", "result")
    return [Run(**dict(zip(names, row, strict=True))) for row in rows]


async def forget_runs(owner: Connection) -> int:
    """One step of dropping old runs; 0 when none is left."""
    with translated(owner):
        return (await owner.execute(_queries.forget, {"days": KEPT_DAYS, "rows_max": FORGOTTEN_MAX})).rowcount
