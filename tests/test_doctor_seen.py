"""Slow statements without pg_stat_statements: a fault is seen at work, or in a log, with the cure of its plan; its healthy twin is silent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from milepost.doctor import Finding, Target
from milepost.doctor.rollout import Change, Rollout
from milepost.doctor.seen import Seen, Sighting, folded, found, logged, sampled
from milepost.doctor.seen.findings import Limits
from milepost.errors import InvalidInput
from milepost.postgres import Database, translated

if TYPE_CHECKING:
    from fix_cli import Command

pytest_plugins = ["fix_cli"]

GROUND = """
CREATE TABLE reading (id integer PRIMARY KEY, sensor integer NOT NULL, body text NOT NULL);
INSERT INTO reading SELECT n, n % 9000, repeat('x', 60) FROM generate_series(1, 60000) n;
VACUUM ANALYZE reading
"""
SLOW = "SELECT count(body) FROM reading WHERE sensor = {0} AND id <> {0}"
SHORT = Limits(run_ms=2.0)


@pytest.fixture
async def target(database_url: str) -> Target:
    found = await Target.open(database_url)
    async with found.writing() as connection:
        for statement in GROUND.split(";"):
            await connection.execute(statement.encode())
    return found


@asynccontextmanager
async def in_use(target: Target, *, pause_s: float = 0.01) -> AsyncIterator[None]:
    """A client that asks the same again and again, with other values, as an application does."""
    ending = asyncio.Event()

    async def ask() -> None:
        number = 0
        async with await Database.connect_foreign(target.url, "app") as connection:
            with translated(connection):
                while not ending.is_set():
                    number += 1
                    await connection.execute(SLOW.format(number).encode())
                    await asyncio.sleep(pause_s)

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        ending.set()
        await asking


async def seen_in(target: Target) -> list[Finding]:
    async with in_use(target):
        return await found(target, folded([await sampled(target, seconds=1.5, every_s=0.01)]), limits=SHORT)


async def test_a_slow_statement_is_seen_and_cured(target: Target) -> None:
    """Whatever its values, it is one, with the index that it lacks; once a rollout has made that, nothing is seen on the same application."""
    assert "pg_stat_statements" not in target.extensions
    (finding,) = await seen_in(target)
    assert "FROM reading WHERE sensor" in finding.detail and finding.evidence["runs"] > 5
    assert finding.evidence["plan"][0].startswith("plan_late_filter")
    operation = finding.cure.operation
    assert operation is not None and (operation["operation"], operation["columns"]) == ("create_index", ["sensor"])
    async with Rollout.open(target) as rollout:
        assert (await rollout.run(Change.of(finding.id, [operation]))).standing.state == "completed"
    assert await seen_in(target) == []


async def test_one_that_waits_for_a_lock(target: Target) -> None:
    """It is not its plan that is to blame, and it is not run."""
    async with target.writing() as holder, target.writing() as waiting:
        await holder.execute("BEGIN")
        await holder.execute("LOCK TABLE reading IN ACCESS EXCLUSIVE MODE")
        await waiting.execute("SET application_name = 'app'")
        await waiting.execute("SET lock_timeout = 0")
        asking = asyncio.create_task(waiting.execute(SLOW.format(1).encode()))
        seen = await sampled(target, seconds=0.4, every_s=0.01)
        await holder.execute("COMMIT")
        await asking
    (finding,) = await found(target, folded([seen]), limits=Limits())
    assert finding.severity == "critical" and "waits for locks" in finding.cure.text
    assert finding.evidence["waits"]["Lock"] > 0.9 and finding.evidence["runs"] == 1


PLAN = {"Query Text": SLOW.format(7), "Plan": {"Node Type": "Aggregate"}}
LOGS: dict[str, str] = {
    "plain.log": "".join(
        f"2026-01-01 10:0{number}:00.000 UTC [77] LOG:  duration: 40.5 ms  plan:\n\tQuery Text: SELECT count(body)\n\t  FROM reading WHERE sensor = {number} AND id <> {number}\n"
        "\tAggregate  (cost=1.0..2.0 rows=1 width=8)\n\t  ->  Seq Scan on reading  (cost=0.0..1.0 rows=1 width=4)\n"
        f"2026-01-01 10:0{number}:00.000 UTC [77] LOG:  duration: 41.0 ms  statement: {SLOW.format(number)}\n"
        "2026-01-01 10:00:01.000 UTC [78] LOG:  checkpoint starting: time\n"
        for number in range(6)
    ),
    "server.json": "".join(
        json.dumps({"timestamp": f"2026-01-01 10:0{number}:00.000 UTC", "dbname": database, "message": f"duration: 40.5 ms  plan:\n{json.dumps(PLAN)}"})
        + "\n"
        for number in range(6)
        for database in ("THIS_ONE", "elsewhere")
    ),
    "server.csv": "".join(
        f'2026-01-01 10:0{number}:00.000 UTC,"app","THIS_ONE",77,"[local]",x.1,1,"SELECT",2026-01-01 09:00:00 UTC,3/4,0,LOG,00000,'
        f'"duration: 40.5 ms  execute s_1: {SLOW.format("$1")}",,,,,,,,,"app","client backend",,0\n'
        for number in range(6)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LOGS)
async def test_a_log_is_read(target: Target, tmp_path: Path, name: str) -> None:
    """In each of its forms: what auto_explain and log_min_duration_statement wrote of one execution counts once; other databases do not."""
    file = tmp_path / name
    file.write_text(LOGS[name].replace("THIS_ONE", target.dbname))
    listed = folded([logged(file, target.dbname)])
    assert len(listed) == 1, listed
    one = listed[0]
    assert (one.seen, one.run_ms) == (6, 40.5) and one.part == pytest.approx(6 * 0.0405 / 300)
    (finding,) = await found(target, [one], limits=Limits(part=0.0005))
    assert (finding.cure.operation or {}).get("columns") == ["sensor"], finding
    assert await found(target, [one], limits=Limits()) == [], "a thousandth of the time is not felt"


def test_a_log_that_is_none(tmp_path: Path) -> None:
    """Is refused; an empty one says nothing."""
    file = tmp_path / "server.json"
    file.write_text("no json\n")
    with pytest.raises(InvalidInput, match="as a log"):
        logged(file, "db")
    file.write_text("")
    assert folded([logged(file, "db")]) == []


ACTS = """
CREATE FUNCTION act(integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN pg_advisory_lock(77) IS NULL; END $$;
CREATE VIEW acting AS SELECT * FROM reading WHERE act(id);
CREATE VIEW outside AS SELECT * FROM acting
"""


@pytest.mark.parametrize(
    "sql", ["SELECT act(id) FROM reading LIMIT 3", "SELECT * FROM outside WHERE sensor = 7", "SELECT pg_reload_conf()"]
)
async def test_what_may_act_is_not_run(target: Target, sql: str) -> None:
    """Nobody asked for what a volatile function does, however it is called."""
    async with target.writing() as connection:
        await connection.execute(ACTS.encode())
    sightings = [Sighting(sql=sql, run=(number,), ms=100.0) for number in range(6)]
    (finding,) = await found(target, folded([Seen(sightings=sightings, looks=10, span_s=1.0)]), limits=Limits())
    assert "may do more than read" in finding.cure.text and finding.evidence["plan"] == []


async def test_a_text_that_is_cut_off(target: Target) -> None:
    """Cannot be explained: the setting that cuts it is the cure."""
    sightings = [Sighting(sql="SELECT * FROM reading WHERE (", run=(number,), ms=100.0) for number in range(6)]
    (finding,) = await found(target, folded([Seen(sightings=sightings, looks=10, span_s=1.0)]), limits=Limits())
    assert (finding.cure.operation or {})["setting"] == "track_activity_query_size"


def test_the_command(target: Target, command: Command, tmp_path: Path) -> None:
    """For people and as JSON; `check` says where to look when statements are not counted."""
    file = tmp_path / "server.log"
    file.write_text(LOGS["plain.log"])
    options: list[Any] = ["doctor", "statements", target.url, "--seconds", "0", "--log", file, "--part-min", "0.0001"]
    answer = command(*options, "--json").json
    assert answer["findings"][0]["cure"]["operation"]["operation"] == "create_index" and len(answer["statements"]) == 1
    shown = command(*options).out
    assert "CREATE INDEX CONCURRENTLY" in shown and "SELECT count(body)" in shown
    left_out = {one["name"]: one["left_out"] for one in command("doctor", "check", target.url, "--json").json["checks"]}
    assert "milepost doctor statements" in left_out["slow_statement"]
