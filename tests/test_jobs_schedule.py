"""The schedule: when a job is due, that one process runs it, what becomes of one that fails or dies, and the jobs there are."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from effort import LONG
from fix_queue import column, owner_of, until, value
from milepost.errors import InvalidInput, MilepostError, NotFound
from milepost.jobs.catalogue import JOBS
from milepost.jobs.job import Every, Job, Standing, Work, due_at, slot_of
from milepost.jobs.runs import history, run_job, set_times, standings
from milepost.jobs.schedule import Schedule, job_named, run_by_hand
from milepost.postgres import Connection, Database
from milepost.settings import Settings

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def standing(**given: Any) -> Standing:
    known: dict[str, Any] = {
        "first_seen_at": datetime(2026, 1, 1, tzinfo=UTC),
        "every": "day",
        "hours": None,
        "time_zone": "UTC",
        "paused": False,
        "asked_at": None,
        "slot": None,
        "done": False,
        "attempts": 0,
        "ended_at": None,
    }
    return Standing(**known | given)


@pytest.mark.parametrize(
    ("every", "slot"),
    [
        ("hour", "2026-05-20T13:00"),
        ("day", "2026-05-20T00:00"),
        ("week", "2026-05-18T00:00"),
        ("month", "2026-05-01T00:00"),
        ("quarter", "2026-04-01T00:00"),
    ],
)
def test_a_slot_is_the_period_of_now(every: Every, slot: str) -> None:
    """Weeks begin on Monday, quarters in January, April, July and October."""
    assert slot_of(every, datetime(2026, 5, 20, 13, 45, tzinfo=UTC)) == datetime.fromisoformat(slot).replace(tzinfo=UTC)


def test_slots_are_local() -> None:
    """A day begins at midnight of the job's zone."""
    moment = datetime(2026, 5, 20, 22, 30, tzinfo=UTC)
    assert slot_of("day", moment, "Europe/Berlin") == datetime(2026, 5, 20, 22, tzinfo=UTC)


def test_a_missed_run_is_due_once() -> None:
    """After days without any process it is due for today alone; done today, not again; new to the database, from the next day on."""
    missed = standing(slot=MONDAY - timedelta(days=9), done=True)
    assert due_at(missed, MONDAY + timedelta(hours=3)) == MONDAY + timedelta(hours=3)
    assert due_at(standing(slot=MONDAY, done=True), MONDAY + timedelta(hours=3)) is None
    assert due_at(standing(first_seen_at=MONDAY + timedelta(hours=1)), MONDAY + timedelta(hours=3)) is None


def test_a_failed_run_is_tried_again_later_each_time() -> None:
    """After one, five and 25 minutes, and then not in this slot any more."""
    ended = MONDAY + timedelta(hours=1)
    waits = []
    for attempts in range(1, 5):
        failed = standing(slot=MONDAY, attempts=attempts, ended_at=ended)
        due = due_at(failed, ended)
        waits.append(due and (due - ended).total_seconds())
    assert waits == [60, 300, 1500, None]


def test_hours_hold_a_job_back() -> None:
    """Due at the next opening, in the job's zone; asked for by hand, at once, and so is a paused one."""
    office = standing(hours=(8, 18), time_zone="Europe/Berlin")
    assert due_at(office, MONDAY + timedelta(hours=3)) == MONDAY + timedelta(hours=7)
    assert due_at(office, MONDAY + timedelta(hours=12)) == MONDAY + timedelta(hours=12)
    assert due_at(office, MONDAY + timedelta(hours=20)) == MONDAY + timedelta(days=1, hours=7)
    asked = replace(office, asked_at=MONDAY, paused=True)
    assert due_at(asked, MONDAY + timedelta(hours=3)) == MONDAY
    assert due_at(standing(paused=True), MONDAY + timedelta(hours=3)) is None


async def no_lock(owner: Connection) -> bool:
    return not await value(owner, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")


class Counted:
    """A job that counts its runs, and fails as often as it is told."""

    def __init__(self, *, failing: int = 0) -> None:
        self.runs = 0
        self.failing = failing
        self.job = Job(name="counted", about="Counts.", every="day", run=self.run)

    async def run(self, work: Work) -> dict[str, Any]:
        self.runs += 1
        await asyncio.sleep(0)
        if self.runs <= self.failing:
            raise MilepostError("not this time")
        return {"runs": self.runs}


async def aged(owner: Connection, name: str = "counted") -> None:
    """The job has been known for long."""
    await owner.execute(b"INSERT INTO milepost.job (name, first_seen_at) VALUES (%s, '2020-01-01')", (name,))


async def test_one_of_several_runs_it(db: Database, settings: Settings) -> None:
    """Four processes look at once: it is run once, and a second look finds nothing due."""
    counted = Counted()
    async with owner_of(db) as owner:
        await aged(owner)
        each = await asyncio.gather(*(Schedule(db, settings, [counted.job]).run_once() for _ in range(4)))
        assert [run.outcome for runs in each for run in runs] == ["done"]
        assert await Schedule(db, settings, [counted.job]).run_once() == []
        (run,) = await history(owner, name="counted", limit=5)
    assert (counted.runs, run.outcome, run.result, run.by, run.attempt) == (1, "done", {"runs": 1}, "schedule", 1)


async def test_a_failure_is_recorded_and_tried_again(db: Database, settings: Settings) -> None:
    """The error stays in the history; the next attempt comes a minute later, and is the second."""
    counted = Counted(failing=1)
    schedule = Schedule(db, settings, [counted.job])
    async with owner_of(db) as owner:
        await aged(owner)
        now = datetime.now(UTC).replace(hour=12)
        (failed,) = await schedule.run_once(now)
        assert (failed.outcome, failed.error) == ("failed", "not this time")
        assert await schedule.run_once(failed.ended_at) == []
        assert failed.ended_at is not None
        later = max(now, failed.ended_at + timedelta(seconds=61))
        (done,) = await schedule.run_once(later)
    assert (done.outcome, done.attempt) == ("done", 2)


async def test_a_job_that_takes_too_long_is_cancelled(db: Database, settings: Settings) -> None:
    """Its statement ends with it, and the run has failed."""

    async def sleep(work: Work) -> dict[str, Any]:
        await work.owner.execute(b"SELECT pg_sleep(60)")
        return {}

    job = Job(name="slow", about="Sleeps.", every="day", run=sleep, timeout_s=0.2)
    async with owner_of(db) as owner:
        known = (await standings(owner, [job]))["slow"]
        async with owner_of(db) as own:
            run = await run_job(job, Work(db=db, settings=settings, owner=own, now=datetime.now(UTC)), known, by="me")
        assert (run.outcome, run.error) == ("failed", "It took longer than 0.2 s.")


KILLED = """
import asyncio, sys
from pathlib import Path
from milepost.jobs.job import Job
from milepost.jobs.schedule import Schedule
from milepost.postgres import Database
from milepost.settings import Settings

async def run(work):
    return {}

async def main():
    settings = Settings(data_dir=Path(sys.argv[2]), write_pool_min=0, point_pool_min=0, analytics_pool_min=0, lanes=1)
    async with await Database.open(sys.argv[1], settings) as db:
        await Schedule(db, settings, [Job(name="counted", about="", every="day", run=run)]).run_once()

asyncio.run(main())
"""


async def test_a_killed_run_is_taken_over(db: Database, settings: Settings, template_url: str) -> None:
    """SIGKILL in the middle of a job: the next look marks that run lost, and after a minute does the job."""
    counted = Counted()
    schedule = Schedule(db, settings, [counted.job])
    times = 20 if LONG else 1
    async with owner_of(db) as owner:
        await aged(owner)
        for _ in range(times):
            await owner.execute(b"DELETE FROM milepost.job_run")
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                KILLED,
                template_url,
                str(settings.data_dir),
                env={**os.environ, "MILEPOST_TEST_FAULT": "job.begun"},
            )
            assert await process.wait() == -signal.SIGKILL
            (run,) = await history(owner, limit=5)
            assert run.outcome == "running"
            # What is left of the session goes with its socket.
            await until(partial(no_lock, owner))
            assert [one.outcome for one in await schedule.run_once()] == ["done"]
            assert [one.outcome for one in await history(owner, limit=5)] == ["done", "lost"]


async def test_times_are_set(db: Database, settings: Settings) -> None:
    """What an administrator sets holds, what cannot be is refused with its field, and an unknown job is named."""
    job = job_named("refresh")
    async with owner_of(db) as owner:
        known = (await standings(owner, [job]))["refresh"]
        await set_times(owner, job, known, every="hour", hours=(8, 18), time_zone="Europe/Berlin")
        again = (await standings(owner, [job]))["refresh"]
        assert (again.every, again.hours, again.time_zone) == ("hour", (8, 18), "Europe/Berlin")
        with pytest.raises(InvalidInput) as refused:
            await set_times(owner, job, known, hours=(18, 8), time_zone="Mars/Base")
    assert [fault.pointer for fault in refused.value.errors] == ["/hours", "/time_zone"]
    with pytest.raises(NotFound, match="there are partitions"):
        job_named("nothing")


async def test_every_job_runs(db: Database, settings: Settings) -> None:
    """Each job of the catalogue does its work on a database that is there, and says what it did."""
    for job in JOBS:
        run = await run_by_hand(db, settings, job.name, by="me")
        assert (run.outcome, run.error) == ("done", None), job.name
        assert run.result is not None, job.name


async def test_growth_is_shared_out_by_tenant(db: Database, settings: Settings) -> None:
    """A tenant with two thirds of a table's rows has two thirds of its bytes, by statistics alone; twice a day is once."""
    async with owner_of(db) as owner:
        await owner.execute(
            b"INSERT INTO milepost.actor (tenant_id, external_id) SELECT CASE WHEN n % 3 = 0 THEN 2 ELSE 1 END, 'user-' || n"
            b" FROM generate_series(1, 3000) n"
        )
        await owner.execute(b"ANALYZE milepost.actor")
        for _ in range(2):
            await run_by_hand(db, settings, "growth", by="me")
        rows = await column(
            owner, "SELECT rows FROM milepost.storage_growth WHERE kind = 'entity' AND rows > 0 ORDER BY tenant_id"
        )
        size = await value(owner, "SELECT pg_total_relation_size('milepost.actor')")
        both = await column(
            owner, "SELECT bytes FROM milepost.storage_growth WHERE kind = 'entity' AND rows > 0 ORDER BY tenant_id"
        )
    assert rows == [pytest.approx(2000, abs=20), pytest.approx(1000, abs=20)]
    assert sum(both) == pytest.approx(size, rel=0.01)


async def test_capacity_is_told_from_the_records(db: Database, settings: Settings) -> None:
    """What grew by 10 MB in 10 days grows by 365 in a year."""
    async with owner_of(db) as owner:
        await owner.execute(
            b"INSERT INTO milepost.storage_growth SELECT 1, current_date - 10 + d, 'hot', 'activity', d * 1000, d * 1000000"
            b" FROM generate_series(0, 10) d"
        )
        run = await run_by_hand(db, settings, "capacity", by="me")
    assert run.result is not None
    (item,) = run.result["items"]
    assert (item["grew_by"], item["grows_in_a_year"], item["grew_by_rows"]) == (10_000_000, 365_000_000, 10_000)


VIEWS = """
CREATE SCHEMA app;
CREATE TABLE app.score (id integer PRIMARY KEY, points integer);
INSERT INTO app.score VALUES (1, 5), (2, 7);
CREATE MATERIALIZED VIEW app.z_base AS SELECT id, points FROM app.score;
CREATE UNIQUE INDEX ON app.z_base (id);
CREATE VIEW app.between AS SELECT sum(points) AS total FROM app.z_base;
CREATE MATERIALIZED VIEW app.a_total AS SELECT 1 AS id, total FROM app.between;
CREATE UNIQUE INDEX ON app.a_total (id);
CREATE MATERIALIZED VIEW app.bare AS SELECT count(*) FROM app.score;
"""


async def test_views_are_refreshed_in_order(db: Database, settings: Settings) -> None:
    """The one that others read, through a plain view, comes first, whatever its name; readers go on meanwhile; and again at once is
    left alone."""
    chosen = replace(settings, refresh_views=("app.a_total", "app.z_base"))
    async with owner_of(db) as owner, owner_of(db) as reader:
        await owner.execute(VIEWS.encode())
        await owner.execute(b"UPDATE app.score SET points = 10")
        await reader.execute(b"BEGIN")
        await reader.execute(b"SELECT * FROM app.a_total")  # its lock would stop a refresh that is not concurrent
        run = await run_by_hand(db, chosen, "refresh", by="me")
        await reader.execute(b"COMMIT")
        assert (run.outcome, list(run.result["refreshed"]) if run.result else run.error) == (
            "done",
            ["app.z_base", "app.a_total"],
        )
        assert await value(owner, "SELECT total FROM app.a_total") == 20
        again = await run_by_hand(db, chosen, "refresh", by="me")
    assert again.result == {"refreshed": {}, "quiet": ["app.z_base", "app.a_total"]}


async def test_a_view_that_fails_is_named(db: Database, settings: Settings) -> None:
    """One that cannot be refreshed beside its readers, one that raises with what reads it, and one that is not there: each is
    told, the run has failed, and the failure is recorded."""
    chosen = replace(settings, refresh_views=("app.*", "app.none"))
    async with owner_of(db) as owner:
        await owner.execute(VIEWS.encode())
        await owner.execute(b"DROP INDEX app.z_base_id_idx; CREATE UNIQUE INDEX ON app.z_base (id)")
        await owner.execute(b"ALTER TABLE app.score DROP CONSTRAINT score_pkey; INSERT INTO app.score VALUES (1, 6)")
        run = await run_by_hand(db, chosen, "refresh", by="me")
        assert run.outcome == "failed" and run.error is not None
        for part in ("app.bare: has no unique index", "app.z_base: ", "app.a_total: reads app.z_base", "app.none: is no"):
            assert part in run.error
        kept = await column(owner, "SELECT view FROM milepost.refreshed_view WHERE error IS NOT NULL ORDER BY 1")
    assert kept == ["app.z_base"]
