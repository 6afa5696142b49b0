"""The doctor's history: what is new, standing, cured and come back; statements that became slower; what runs out first."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from milepost.doctor import Target
from milepost.doctor.capacity import forecasts_of
from milepost.doctor.checks import CHECKS
from milepost.doctor.examine import examine
from milepost.doctor.history import FileHistory, History, Look, SchemaHistory, states_of
from milepost.doctor.watch import look_again
from milepost.errors import InvalidInput
from milepost.postgres import Database

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def look(
    number: int, *findings: str, size: float = 0.0, bound: float | None = None, every: timedelta = timedelta(days=1)
) -> Look:
    return Look(
        at=BEGIN + number * every,
        score=100,
        findings=dict.fromkeys(findings, "warning"),
        statements={},
        sizes={"server_bytes": size},
        limits={} if bound is None else {"server_bytes": bound},
    )


def test_a_finding_has_a_history() -> None:
    """New, standing, cured, and come back once it was cured."""
    assert states_of(["a"], []) == ({"a": "new"}, ())
    assert states_of(["a", "b"], [look(0, "a")]) == ({"a": "standing", "b": "new"}, ())
    assert states_of([], [look(0, "a")]) == ({}, ("a",))
    assert states_of(["a"], [look(0, "a"), look(1)]) == ({"a": "come back"}, ())


@pytest.mark.parametrize("kind", ["file", "schema"])
async def test_history_is_kept(database_url: str, tmp_path: Path, kind: str) -> None:
    """In a file or in the database itself: a fault that is cured and made again is new, standing, cured, come back."""
    history: History = FileHistory(tmp_path / "looks") if kind == "file" else SchemaHistory()
    target = await Target.open(database_url)
    async with await Database.connect_owner(database_url) as connection:

        async def state() -> tuple[str | None, int]:
            answer, scores = await look_again(target, history)
            assert len(scores) == len(await history.looks(target))
            found = [one.state for one in answer.findings if one.check == "sequence_end"]
            return found[0] if found else None, sum(one.startswith("sequence_end") for one in answer.cured)

        await connection.execute(b"CREATE TABLE t (id serial PRIMARY KEY)")
        assert await state() == (None, 0)
        await connection.execute(b"SELECT setval('t_id_seq', 2000000000)")
        assert await state() == ("new", 0)
        assert await state() == ("standing", 0)
        await connection.execute(b"SELECT setval('t_id_seq', 10)")
        assert await state() == (None, 1)
        await connection.execute(b"SELECT setval('t_id_seq', 2000000000)")
        assert await state() == ("come back", 0)


async def test_statements_are_sampled(database_url: str, tmp_path: Path) -> None:
    """Without pg_stat_statements, what is at work while it looks is a finding with a history; asked not to sample, it finds none."""
    history = FileHistory(tmp_path / "looks")
    target = await Target.open(database_url)
    over = asyncio.Event()

    async def ask() -> None:
        async with await Database.connect_foreign(database_url, "app") as connection:
            while not over.is_set():
                await connection.execute(b"SELECT pg_sleep(0.3)")

    async def slow(sample_s: float) -> tuple[list[str | None], int]:
        answer, _ = await look_again(target, history, sample_s=sample_s)
        found = [one for one in answer.findings if one.check == "seen_statement"]
        assert all("pg_sleep" in one.detail for one in found)
        return [one.state for one in found], sum(one.startswith("seen_statement") for one in answer.cured)

    asking = asyncio.create_task(ask())
    assert await slow(0) == ([], 0)
    assert await slow(2.5) == (["new"], 0)
    assert await slow(2.5) == (["standing"], 0)
    over.set()
    await asking
    assert await slow(0.3) == ([], 1)


async def test_a_file_that_is_no_history(database_url: str, tmp_path: Path) -> None:
    """It is refused, and left as it is."""
    (tmp_path / "notes").write_text("not SQLite, but long enough to be read as a header of something else")
    with pytest.raises(InvalidInput, match="cannot keep"):
        await FileHistory(tmp_path / "notes").looks(await Target.open(database_url))
    assert (tmp_path / "notes").read_text().startswith("not SQLite")


async def test_a_statement_that_became_slower(database_url: str) -> None:
    """Is found by comparing with the look before; one that stayed as it was is not."""
    checks = [check for check in CHECKS if check.name == "degraded_statement"]
    async with await Database.connect_owner(database_url) as connection:
        await connection.execute(b"CREATE EXTENSION pg_stat_statements")
        for pause_s in ("0", "0.02"):
            make = f"CREATE OR REPLACE FUNCTION page() RETURNS void LANGUAGE sql VOLATILE AS 'SELECT pg_sleep({pause_s})'"
            await connection.execute(make.encode())
            if pause_s == "0.02":
                before = await examine(await Target.open(database_url), checks=checks)
                assert not before.findings
            for _ in range(25):
                await connection.execute(b"SELECT page()")
                await connection.execute(b"SELECT 1 AS other")
        target = await Target.open(database_url)
        (found,) = (await examine(target, checks=checks, since=before.statements)).findings
        assert "page()" in found.detail and found.severity == "critical"
        assert found.evidence["mean_ms"] >= 20 > 2 > found.evidence["mean_ms_before"]
        assert not (await examine(target, checks=checks)).findings


def test_what_runs_out_first() -> None:
    """10 GB a day on a disk with 200 GB left is full in 20 days; one cleanup in between does not bend it; the error is told."""
    sizes = [800 + 10 * number for number in range(31)]
    (one,) = forecasts_of([look(number, size=size, bound=1300.0) for number, size in enumerate(sizes)])
    assert one.full_at is not None and abs(one.full_at - (BEGIN + timedelta(days=50))) < timedelta(hours=1)
    assert one.per_day == pytest.approx(10) and one.error_part < 0.001
    bent = [size - (40 if 9 < number < 12 else 0) for number, size in enumerate(sizes)]
    (one,) = forecasts_of([look(number, size=size, bound=1300.0) for number, size in enumerate(bent)])
    assert one.per_day == pytest.approx(10, rel=0.05)


def test_nothing_is_foretold_from_noise() -> None:
    """What goes up and down stays; few looks, or looks within an hour, say nothing."""
    (one,) = forecasts_of([look(number, size=100 + number % 2, bound=200.0) for number in range(20)])
    assert one.full_at is None and one.method == "stays"
    assert forecasts_of([look(number, size=number, bound=9.0) for number in range(5)]) == []
    assert forecasts_of([look(number, size=number, bound=99.0, every=timedelta(minutes=1)) for number in range(20)]) == []
    assert forecasts_of([]) == []
