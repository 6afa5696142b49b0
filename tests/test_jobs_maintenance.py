"""Maintenance: what it keeps in order, alone, in bounded steps, and past a step that fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fix_queue import column, owner_of, put, queue_on, value
from milepost.errors import DatabaseError
from milepost.jobs import maintenance
from milepost.jobs.maintenance import LOCK, Maintenance
from milepost.postgres import Connection, Database, advisory_lock
from milepost.settings import Settings
from milepost.telemetry import render

HOURS_AGO = "clock_timestamp() - %s * interval '1 hour'"


async def journal_row_aged(owner: Connection, *, hours: float, tenant_id: int = 1) -> None:
    """A row of the journal that was written so long ago."""
    await owner.execute(
        "INSERT INTO milepost.journal (tenant_id, position, loaded_at, ids, groups, actors)"
        f" VALUES (%s, nextval('milepost.position'), {HOURS_AGO}, '{{}}', '{{}}', '{{}}')".encode(),
        (tenant_id, hours),
    )


async def answer_aged(owner: Connection, *, hours: float, key: bytes) -> None:
    """An answer to an Idempotency-Key that was given so long ago."""
    await owner.execute(
        "INSERT INTO milepost.idempotency (tenant_id, key_hash, body_hash, answer, created_at)"
        f" VALUES (1, %s, '', '{{}}', {HOURS_AGO})".encode(),
        (key, hours),
    )


async def test_partitions_are_made_ahead(db: Database, settings: Settings) -> None:
    """This month and the months ahead have a partition after one run, and a second run makes none."""
    chosen = replace(settings, partitions_ahead_months=2)
    first = await Maintenance(db, chosen).run_once()
    second = await Maintenance(db, chosen).run_once()
    assert (first.done["partitions"], second.done["partitions"]) == (3, 0)
    async with owner_of(db) as owner:
        names = await column(owner, "SELECT inhrelid::regclass::text FROM pg_inherits ORDER BY 1")
    assert any(datetime.now(UTC).strftime("%Y_%m") in name for name in names)


async def test_the_queue_goes_on_to_its_next_table(db: Database, settings: Settings) -> None:
    """A table that has been written for longer than `queue_rotate_s` is not the current one any more."""
    async with queue_on(db, settings) as queue:
        await put(queue)
    async with owner_of(db) as owner:
        before = await value(owner, "SELECT current FROM milepost.queue")
        await owner.execute("UPDATE milepost.queue SET rotated_at = rotated_at - interval '1 hour'")
        run = await Maintenance(db, settings).run_once()
        after = await value(owner, "SELECT current FROM milepost.queue")
    assert run.done["queue"] == 1
    assert before != after


async def test_old_answers_are_forgotten(db: Database, settings: Settings) -> None:
    """An answer older than `idempotency_hours` goes, a younger one stays."""
    async with owner_of(db) as owner:
        await answer_aged(owner, hours=settings.idempotency_hours + 1, key=b"old")
        await answer_aged(owner, hours=settings.idempotency_hours - 1, key=b"young")
        run = await Maintenance(db, settings).run_once()
        assert run.done["idempotency"] == 1
        assert await column(owner, "SELECT convert_from(key_hash, 'UTF8') FROM milepost.idempotency") == ["young"]


async def test_the_journal_is_pruned_in_bounded_steps(
    db: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows older than a day go, also when there are more than one step takes; younger ones stay."""
    monkeypatch.setattr(maintenance, "JOURNAL_ROWS_MAX", 2)
    async with owner_of(db) as owner:
        await owner.execute("INSERT INTO milepost.tenant (tenant_id, name, lane) VALUES (1, 'one', 0), (2, 'two', 0)")
        for number in range(5):
            await journal_row_aged(owner, hours=25 + number)
        await journal_row_aged(owner, hours=30, tenant_id=2)
        await journal_row_aged(owner, hours=1)
        run = await Maintenance(db, settings).run_once()
        assert run.done["journal"] == 6
        assert await value(owner, "SELECT count(*) FROM milepost.journal") == 1


async def test_one_process_at_a_time(db: Database, settings: Settings) -> None:
    """While another process is at it, nothing is changed; what lies there is measured all the same."""
    async with owner_of(db) as other, advisory_lock(other, LOCK):
        run = await Maintenance(db, settings).run_once()
    assert not run.alone
    assert set(run.done) == {"lag", "dead_letters", "cold_files"}
    assert (await Maintenance(db, settings).run_once()).alone


async def test_a_step_that_fails_does_not_stop_the_others(
    db: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failed job is named, and the jobs after it are done."""

    async def fails(*_: object) -> None:
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(maintenance, "rotate", fails)
    async with owner_of(db) as owner:
        await answer_aged(owner, hours=settings.idempotency_hours + 1, key=b"old")
    run = await Maintenance(db, settings).run_once()
    assert run.failed == ("queue",)
    assert run.done["idempotency"] == 1


async def test_the_lag_of_each_lane_is_a_metric(db: Database, settings: Settings) -> None:
    """A batch that nobody loads shows in `lane_waiting`."""
    async with queue_on(db, settings) as queue:
        await put(queue)
    await Maintenance(db, settings).run_once()
    assert b'milepost_lane_waiting{lane="0"} 1.0' in render()


async def test_start_runs_at_once_and_stop_waits(db: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in a step, it finishes that step and begins no other; stopping twice, or unstarted, is fine."""
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(*_: object, **__: object) -> list[str]:
        begun.set()
        await may_end.wait()
        ended.set()
        return []

    async def never(*_: object) -> None:
        raise AssertionError("begun after stop")

    monkeypatch.setattr(maintenance, "ahead", slow)
    monkeypatch.setattr(maintenance, "rotate", never)
    service = Maintenance(db, settings)
    await service.stop()
    await service.start()
    await begun.wait()
    stopping = asyncio.create_task(service.stop())
    await asyncio.sleep(0)
    may_end.set()
    await stopping
    assert ended.is_set()
    await service.stop()
