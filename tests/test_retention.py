"""Retention: what is over goes, what it counted for stays, and what is held, young or kept for ever is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from lifecycle_site import LIFECYCLE_MODEL, NOW, LifecycleSite, lifecycle_site, ran
from milepost.activity import LARGEST_ID, SMALLEST_ID, id_from
from milepost.errors import InvalidInput, NotFound
from milepost.jobs.job import Work
from milepost.jobs.retention import plan_retention, run_retention
from milepost.jobs.samples import verify_samples
from milepost.model import parse_model
from milepost.postgres import Database
from milepost.schema.models import apply_model
from milepost.settings import Settings
from milepost.storage import recall, retention
from milepost.storage.archive import run_once
from milepost.storage.cold_files import cold_files
from milepost.storage.due import Due, due_at
from milepost.storage.manifest import files_between
from milepost.storage.retention import holds, lift_hold, log_page, place_hold, put_rule, rules
from milepost.storage.rewrite import rewrite_buried


@pytest_asyncio.fixture
async def site(db: Database, settings: Settings) -> AsyncIterator[LifecycleSite]:
    async with lifecycle_site(db, settings) as made:
        yield made


COUNTED = ("rollup_of_team", "rollup_of_actor", "rollup_of_members", "rollup_whole", "board_distance", "board_best")


async def counted(site: LifecycleSite) -> dict[str, list[dict[str, Any]]]:
    found = {table: await site.numbers(table, "true ORDER BY per, bucket, t") for table in COUNTED}
    return {table: [row for row in rows if row["n"]] for table, rows in found.items()}


async def test_totals_stay(site: LifecycleSite) -> None:
    """Rollups and boards are, row for row, what they were; activities and what names them are gone; verify agrees."""
    old = [ran(n, days=40 + n, actor=f"user-{n % 3}") for n in range(9)]
    await site.send([*old, ran(20), ran(21, actor="user-2"), ran(22, days=35, actor="user-9")])
    await site.lane.run_once()
    before = await counted(site)
    assert await site.retain() == 10
    assert await counted(site) == before
    assert await site.keys() == {"run-20", "run-21"}
    assert {row["actor_id"] for row in await site.numbers("latest_newest", "true")} == {
        row[0] for row in await site.rows("SELECT actor_id FROM milepost.activity WHERE verb = 'run'")
    }
    await site.check()
    assert await site.retain() == 0


async def test_what_follows_counts_on(site: LifecycleSite) -> None:
    """After a removal new, corrected and retracted activities of the same days count as if nothing had been removed."""
    await site.send([ran(n, days=40, actor=f"user-{n % 2}") for n in range(6)])
    await site.lane.run_once()
    await site.retain()
    await site.send([ran(n, days=40, actor="user-1") for n in range(10, 13)])
    await site.lane.run_once()
    (row,) = await site.numbers("rollup_of_team")
    assert (row["n"], row["distinct_actor"], row["max_distance_m"]) == (9, 2, 1125)
    await site.check()
    ids = await site.rows("SELECT id::text FROM milepost.activity WHERE key = 'run-12'")
    await site.command({"do": "retract", "id": ids[0][0]})
    await site.lane.run_once()
    (row,) = await site.numbers("rollup_of_team")
    assert (row["n"], row["max_distance_m"]) == (8, 1115)
    await site.check()
    await site.retain()
    (row,) = await site.numbers("rollup_of_team")
    assert (row["n"], row["max_distance_m"]) == (8, 1115)
    await site.check()


async def test_an_extreme_of_what_is_gone_stays(site: LifecycleSite) -> None:
    """The longest run was removed; the retraction of a shorter one of its day computes the day anew, and keeps it."""
    await site.send([ran(90, days=40)])
    await site.lane.run_once()
    await site.retain()
    await site.send([ran(1, days=40), ran(2, days=40)])
    await site.lane.run_once()
    (found,) = await site.rows("SELECT id::text FROM milepost.activity WHERE key = 'run-2'")
    await site.command({"do": "retract", "id": found[0]})
    await site.lane.run_once()
    (row,) = await site.numbers("rollup_of_team")
    assert (row["n"], row["max_distance_m"]) == (2, 1905)
    await site.check()


async def test_a_late_retry_stays_removed(site: LifecycleSite) -> None:
    """The same activities sent once more are duplicates, and count nothing."""
    sent = [ran(n, days=40) for n in range(4)]
    await site.send(sent)
    await site.lane.run_once()
    await site.retain()
    before = await counted(site)
    again = await site.send(sent)
    await site.lane.run_once()
    assert (await site.mark(again))[:2] == (0, 4)
    assert await counted(site) == before
    await site.check()


async def test_what_is_not_over_stays(site: LifecycleSite) -> None:
    """Young ones, a verb that is kept for ever, milestones, and by `last change` all of an object on which something is new."""
    ticket: dict[str, Any] = {"object": {"kind": "ticket", "id": "t-1"}, "measures": None, "data": None}
    done: dict[str, Any] = {"object": {"kind": "ticket", "id": "t-2"}, "measures": None, "data": None}
    await site.send(
        [
            ran(1),
            ran(2, days=400, verb="sign", object=None, measures=None, data=None),
            ran(3, days=40, verb="open", **ticket),
            ran(4, days=1, verb="close", **ticket),
            ran(5, days=90, verb="open", **done),
            ran(6, days=80, verb="close", **done),
            ran(7, days=40, measures={"distance_m": 900}),
        ]
    )
    await site.lane.run_once()
    await site.owner.execute(b"UPDATE milepost.activity SET received_at = occurred_at")
    assert [await site.retain(rule) for rule in ("default", "signed", "tickets")] == [1, 0, 2]
    assert await site.keys() >= {"run-1", "run-2", "run-3", "run-4"}
    verbs = await site.rows("SELECT verb, count(*) FROM milepost.activity GROUP BY 1 ORDER BY 1")
    assert dict(verbs)["milestone"] >= 2
    await site.check()


async def test_the_first_entry_that_selects_counts(site: LifecycleSite) -> None:
    """By status, kind of group and a declared field together; what a narrower entry keeps, the wider one behind it does not take."""
    narrow = (
        '[keep.exams]\nof = "run"\nstatus = ["closed", "void"]\ndata.note = ["exam"]\nhot = "10 days"\nthen = "delete"\n'
        '[keep.of_teams]\ngroup = ["team"]\nstatus = ["kept"]\nhot = "1 year"\n[keep.default]'
    )
    await apply_model(site.owner, LIFECYCLE_MODEL.replace("[keep.default]", narrow))
    await site.lane.run_once()
    exam: dict[str, Any] = {"data": {"note": "exam"}}
    await site.send(
        [
            ran(1, days=20, status="closed", **exam),
            ran(2, days=20, status="void", **exam),
            ran(3, days=20, status="open", **exam),
            ran(4, days=20, status="closed"),
            ran(5, days=20, status="closed", data=None),
            ran(6, days=5, status="closed", **exam),
            ran(7, days=40, status="kept"),
            ran(8, days=40, status="kept", group=None),
            ran(9, days=40),
        ]
    )
    await site.lane.run_once()
    assert [await site.retain(rule) for rule in ("exams", "of_teams", "default")] == [2, 0, 2]
    assert await site.keys() == {"run-3", "run-4", "run-5", "run-6", "run-7"}
    await site.check()


async def archived(site: LifecycleSite) -> list[int]:
    """Rows of each file that is on the list."""
    async with site.db.transaction("point", tenant_id=site.tenants["a"]) as conn:
        return sorted(file.rows for file in await files_between(conn, site.tenants["a"], SMALLEST_ID, LARGEST_ID))


async def test_what_is_archived_goes_too(site: LifecycleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same rules and holds, window by window, out of the files as well; totals stay, and a plan tells it before."""
    monkeypatch.setattr(retention, "WINDOW_ROWS", 3)
    ticket: dict[str, Any] = {"measures": None, "data": None}
    await site.send(
        [
            *(ran(n, days=40 + n, actor=f"user-{n % 3}") for n in range(7)),
            ran(20, days=20),
            ran(21, days=400, verb="sign", object=None, measures=None, data=None),
            ran(22, days=90, verb="open", object={"kind": "ticket", "id": "busy"}, **ticket),
            ran(23, days=10, verb="close", object={"kind": "ticket", "id": "busy"}, **ticket),
            ran(24, days=90, verb="open", object={"kind": "ticket", "id": "done"}, **ticket),
        ]
    )
    await site.lane.run_once()
    await site.owner.execute(b"UPDATE milepost.activity SET received_at = occurred_at")
    before = await counted(site)
    everything = Due(condition="s.verb <> 'milestone'", parameters={}, border=NOW + timedelta(days=60))
    assert (await run_once(site.db, due=everything)).rows == 12
    assert await site.keys() == set()
    tenant_id = site.tenants["a"]
    async with site.db.transaction("write", tenant_id=tenant_id) as conn:
        held = await place_hold(conn, tenant_id, {"actor": "user-2"}, reason="case 9", by="me")
    plan = {item["rule"]: item["activities"] for item in await plan_retention(site.db, tenant="a")}
    assert plan == {"default": 5, "signed": 0, "tickets": 1}
    assert [await site.retain(rule) for rule in plan] == [0, 0, 0]
    # What is derived anew brings some back beside them, which then goes by the other way.
    gone = {rule: await site.retain(rule, cold=True) for rule in plan}
    gone = {rule: n + await site.retain(rule) for rule, n in gone.items()}
    assert gone == plan
    assert await counted(site) == before
    await site.check()
    assert sum(await archived(site)) == 12
    assert (await rewrite_buried(site.db, tenant_id, at_once=True)).rows == 6
    assert sum(await archived(site)) == 6
    assert (await rewrite_buried(site.db, tenant_id)).rows == 0
    async with site.db.transaction("write", tenant_id=tenant_id) as conn:
        await lift_hold(conn, tenant_id, held, by="me")
    assert await site.retain(cold=True) + await site.retain() == 2
    assert (await rewrite_buried(site.db, tenant_id)).rows == 2
    assert await counted(site) == before
    await site.check()


async def test_an_object_is_as_young_as_what_is_archived_of_it(site: LifecycleSite) -> None:
    """By `last change`: what is old and in PostgreSQL stays while something younger of its object is in the archive."""
    ticket: dict[str, Any] = {"object": {"kind": "ticket", "id": "t-1"}, "measures": None, "data": None}
    await site.send([ran(1, days=90, verb="open", **ticket), ran(2, days=10, verb="close", **ticket)])
    await site.lane.run_once()
    await site.owner.execute(b"UPDATE milepost.activity SET received_at = occurred_at")
    closed = Due(condition="s.verb = 'close'", parameters={}, border=NOW + timedelta(days=60))
    assert (await run_once(site.db, due=closed)).rows == 1
    assert [await site.retain("tickets", cold=cold) for cold in (False, True)] == [0, 0]
    assert await site.keys() == {"run-1"}
    await site.check()


async def test_what_is_shown_is_all_that_comes_back(site: LifecycleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the archive goes what is over, without the rest of its actors: their newest activities are others."""
    monkeypatch.setattr(recall, "ROWS_MAX", 4)
    await site.send([ran(n, days=40 + n) for n in range(4)] + [ran(n, days=n) for n in range(10, 20)])
    await site.lane.run_once()
    everything = Due(condition="s.verb <> 'milestone'", parameters={}, border=NOW + timedelta(days=60))
    await run_once(site.db, due=everything)
    assert (await site.retain(cold=True), await site.retain()) == (4, 0)
    assert await site.keys() == set()
    await site.check()


async def test_the_daily_sample_finds_what_is_wrong(site: LifecycleSite) -> None:
    """A number that was changed, and a damaged file: each is in what the job answers."""
    await site.send([ran(n, days=40 + n) for n in range(4)] + [ran(9)])
    await site.lane.run_once()
    everything = Due(condition="s.id < %(before)s", parameters={"before": id_from(NOW - timedelta(days=5))}, border=NOW)
    assert (await run_once(site.db, due=everything)).files == 1
    work = Work(db=site.db, settings=site.settings, owner=site.owner, now=NOW)
    found = await verify_samples(work)
    assert (found["tenants"], found["differences"], found["files"], found["damaged"]) == (["a", "b"], 0, 1, [])
    assert found["checked"] > 10
    await site.owner.execute(b"UPDATE milepost.rollup_of_team SET n = n + 1 WHERE per = 'day'")
    async with site.db.transaction("point", tenant_id=site.tenants["a"]) as conn:
        (file,) = await files_between(conn, site.tenants["a"], SMALLEST_ID, LARGEST_ID)
    files = cold_files(site.settings)
    await files.put(file.path, (await files.get(file.path))[:-7] + b"damaged")
    found = await verify_samples(work)
    assert found["differences"] > 0 and found["items"][0]["name"] == "rollup_of_team"
    assert [one["path"] for one in found["damaged"]] == [file.path]


async def test_a_run_goes_through_rules_and_files(site: LifecycleSite) -> None:
    """What the daily job does: hot and cold, one rule after the other, and the files in the end."""
    await site.send([ran(n, days=40 + n) for n in range(4)])
    await site.lane.run_once()
    assert (
        await run_once(site.db, due=Due(condition="s.key <> 'run-0'", parameters={}, border=NOW + timedelta(days=60)))
    ).rows >= 3
    running = asyncio.create_task(run_retention(site.db, site.settings, tenant="a"))
    while not running.done():
        await site.lane.run_once()
        await asyncio.sleep(0.01)
    assert running.result() == {"removed": {"a": {"default": 4}}}
    assert await archived(site) == []
    await site.check()


async def test_a_hold_keeps(site: LifecycleSite) -> None:
    """What a hold covers stays until it is lifted; then it goes. The hold stays on record."""
    await site.send([ran(1, days=40), ran(2, days=40, actor="user-2"), ran(3, days=40, group="team-2")])
    await site.lane.run_once()
    tenant_id = site.tenants["a"]
    async with site.db.transaction("write", tenant_id=tenant_id) as conn:
        one = await place_hold(conn, tenant_id, {"actor": "user-2"}, reason="case 7", by="me")
        other = await place_hold(conn, tenant_id, {"group": "team-2", "verb": "run"}, reason="case 8", by="me")
    assert await site.retain() == 1
    assert await site.keys() == {"run-2", "run-3"}
    async with site.db.transaction("write", tenant_id=tenant_id) as conn:
        for number in (one, other):
            await lift_hold(conn, tenant_id, number, by="me")
        with pytest.raises(NotFound):
            await lift_hold(conn, tenant_id, one, by="me")
        assert await holds(conn, tenant_id) == []
        assert [hold["reason"] for hold in await holds(conn, tenant_id, lifted=True)] == ["case 8", "case 7"]
    assert await site.retain() == 2
    await site.check()


async def test_a_hold_on_a_group_covers_those_below(site: LifecycleSite) -> None:
    """Also what a group that has left the tree since did while it was in it; neither removed nor archived."""
    tree = [("league", None, "2020"), ("other", None, "2020"), ("team-7", "league", "2020"), ("team-7", "other", "2025")]
    for group, parent, year in [*tree, ("team-8", "league", "2020")]:
        done = await site.did(
            do="put_group", id=group, kind="team" if parent else "league", parent=parent, since=f"{year}-01-01T00:00:00Z"
        )
        assert done["status"] == 200, done
    await site.send([ran(1, days=40), ran(2, days=40, group="team-7"), ran(3, days=40, group="team-8")])
    await site.lane.run_once()
    tenant_id = site.tenants["a"]
    async with site.db.transaction("write", tenant_id=tenant_id) as conn:
        await place_hold(conn, tenant_id, {"group": "league"}, reason="case 9", by="me")
    model = parse_model(LIFECYCLE_MODEL.replace('then = "delete"', 'archive = "1 year"\nthen = "delete"', 1))
    await run_once(site.db, due=await due_at(site.owner, model, NOW + timedelta(days=60)))
    assert await site.keys() == {"run-2", "run-3"}
    assert (await site.retain(cold=True), await site.retain()) == (1, 0)
    assert await site.keys() == {"run-2", "run-3"}
    await site.check()


async def test_a_plan_changes_nothing(site: LifecycleSite) -> None:
    """The dry run names, by rule and verb, exactly what the next run removes; what went is counted in the log."""
    await site.send([ran(n, days=40 + n) for n in range(3)])
    await site.lane.run_once()
    (planned,) = [one for one in await plan_retention(site.db, tenant="a") if one["activities"]]
    assert (planned["rule"], planned["activities"], planned["verbs"]) == ("default", 3, {"run": 3})
    assert len(await site.keys()) == 3
    assert await site.retain() == planned["activities"]
    async with site.db.transaction("point", tenant_id=site.tenants["a"]) as conn:
        (logged,) = await log_page(conn, site.tenants["a"], limit=5)
    assert (logged["removed"], logged["verbs"], logged["first_at"]) == (3, {"run": 3}, planned["first_at"])


async def test_rules_within_the_models_bounds(site: LifecycleSite) -> None:
    """An administrator may have a rule delete sooner, and take that back; not later, and not what the model keeps."""
    tenant_id, model = site.tenants["a"], parse_model(LIFECYCLE_MODEL)
    await site.send([ran(1, days=10), ran(2, days=2)])
    await site.lane.run_once()
    async with site.db.transaction("write", tenant_id=tenant_id) as conn:
        await put_rule(conn, tenant_id, model, "default", delete_after="5 days", by="me")
        for name, wanted in (("default", "31 days"), ("signed", "1 day")):
            with pytest.raises(InvalidInput):
                await put_rule(conn, tenant_id, model, name, delete_after=wanted, by="me")
        with pytest.raises(NotFound):
            await put_rule(conn, tenant_id, model, "nothing", delete_after="1 day", by="me")
    assert await site.retain() == 1
    assert await site.keys() == {"run-2"}
    async with site.db.transaction("write", tenant_id=tenant_id) as conn:
        await put_rule(conn, tenant_id, model, "default", delete_after=None, by="me")
        found = {rule.name: rule.delete_after for rule in await rules(conn, tenant_id, model, datetime.now(UTC))}
    assert found == {"default": "30 days", "signed": None, "tickets": "30 days"}


async def test_residue_goes_with_its_rollup(site: LifecycleSite) -> None:
    """A rollup that is made otherwise counts what is there, and what is left of others stays exact."""
    await site.send([ran(1, days=40), ran(2)])
    await site.lane.run_once()
    await site.retain()
    await apply_model(site.owner, LIFECYCLE_MODEL.replace('"distinct(actor)", "distinct(object)"]', '"distinct(actor)"]'))
    await site.lane.run_once()
    (row,) = await site.numbers("rollup_of_team")
    assert row["n"] == 1
    await site.check()
