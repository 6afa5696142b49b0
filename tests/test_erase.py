"""Erasure: an actor is gone from all that is read, what others count stays exact, and what comes late stays out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from lifecycle_site import NOW, LifecycleSite, lifecycle_site, ran
from milepost.access.tenants import find_tenant
from milepost.intake import erase
from milepost.jobs.erasing import erase_actor, ledger, reapply, receipt_holds
from milepost.jobs.leftovers import leftovers
from milepost.postgres import Database
from milepost.search.indexer import Indexer
from milepost.settings import Settings
from milepost.storage.archive import run_once
from milepost.storage.content import Contents, kept_of
from milepost.storage.due import Due
from milepost.storage.objects import object_store
from milepost.storage.retention import place_hold
from milepost.storage.versions import made_versions, read_version


@pytest_asyncio.fixture
async def site(db: Database, settings: Settings) -> AsyncIterator[LifecycleSite]:
    async with lifecycle_site(db, settings) as made:
        yield made


async def number_of(site: LifecycleSite, actor: str) -> int:
    rows = await site.rows(
        "SELECT actor_id FROM milepost.actor WHERE tenant_id = %s AND external_id = %s", site.tenants["a"], actor
    )
    return int(rows[0][0])


async def subject(site: LifecycleSite, actor: str) -> str:
    ((digest,),) = await site.rows("SELECT encode(milepost.subject_of(%s, %s), 'hex')", site.tenants["a"], actor)
    return str(digest)


async def erased(site: LifecycleSite, actor: str, **more: Any) -> list[dict[str, Any]]:
    """What each step answered."""
    steps = []
    while True:
        answer = await site.did(do="erase", subject=await subject(site, actor), by="me", **more)
        assert answer["status"] == 200, answer
        steps.append(answer["body"])
        if not answer["body"]["left"]:
            return steps


async def busy(site: LifecycleSite) -> None:
    """Three runners, one of them with runs that retention has removed, in a team, on boards, with milestones and pairs."""
    await site.send([ran(n, days=40 + n, actor=f"user-{n % 3}") for n in range(6)])
    await site.lane.run_once()
    await site.retain()
    ticket = {"object": {"kind": "ticket", "id": "t-1"}, "measures": None, "data": None}
    await site.send(
        [ran(n, days=n % 3, actor=f"user-{n % 3}") for n in range(10, 40)]
        + [ran(50, days=3, actor="user-1", verb="open", **ticket), ran(51, days=2, actor="user-2", verb="close", **ticket)]
    )
    await site.command(
        {"do": "put_actor", "id": "user-1", "name": "Ada", "attributes": {"mail": "ada@example.org"}},
        {"do": "follow", "actor": "user-2", "kind": "actor", "target": "user-1"},
    )
    await site.lane.run_once()
    await site.check()


async def test_totals_stay_of_nobody(site: LifecycleSite) -> None:
    """Numbers that count others too are what they were, people counted once included; the actor's own are gone, and so is all that
    names it. Verify agrees, before and after more comes."""
    await busy(site)
    one = await number_of(site, "user-1")
    shared = [await site.numbers(table, "true ORDER BY t") for table in ("rollup_of_team", "rollup_of_members", "rollup_whole")]
    assert any(row["actor_id"] == one for row in await site.numbers("rollup_of_actor", "true"))
    (step,) = await erased(site, "user-1")
    assert step["removed"]["activity"] == 13
    assert step["removed"]["actor"] == 1
    await site.check()
    again = [await site.numbers(table, "true ORDER BY t") for table in ("rollup_of_team", "rollup_of_members", "rollup_whole")]
    assert again == shared
    for table in ("rollup_of_actor", "board_distance", "latest_newest", "milestones_own", "rollup_of_actor_seen_group"):
        assert all(row["actor_id"] != one for row in await site.numbers(table, "true")), table
    assert await site.rows("SELECT FROM milepost.activity WHERE actor_id = %s", one) == []
    await site.send([ran(60, actor="user-2"), ran(61, actor="user-1", occurred_at=(NOW + timedelta(hours=1)).isoformat())])
    await site.lane.run_once()
    assert await number_of(site, "user-1") != one
    await site.check()


@pytest.mark.parametrize("totals", ["keep", "shrink"])
async def test_snapshots_of_boards_have_nobody(site: LifecycleSite, settings: Settings, totals: str) -> None:
    """Where it stood, in each snapshot, is nobody, and the others stand where they stood; or, without totals, those behind have moved up.
    Snapshots of boards of groups are left alone, whatever numbers groups have. The look for what is left says so, before and after."""
    await busy(site)
    for board, group in (("distance", "team-1"), ("distance", None), ("best", None)):
        taken = await site.did(do="put_snapshot", board=board, snapshot="kickoff", group=group, window="all")
        assert taken["status"] == 200, taken
    async with site.db.transaction("point") as conn:
        tenant = await find_tenant(conn, "a")
    assert (await leftovers(site.owner, settings, tenant, "user-1"))["snapshot_place"] == 2
    one = await number_of(site, "user-1")
    of_groups = await site.rows(PLACES, "best")
    # A group of this very number stands there, too.
    await site.rows(
        "UPDATE milepost.snapshot_place SET member_id = %s WHERE snapshot_id = %s RETURNING 1", one, of_groups[0][0]
    )
    of_groups = await site.rows(PLACES, "best")
    before = await site.rows(PLACES, "distance")
    (step,) = await erased(site, "user-1", totals=totals)
    assert step["removed"]["snapshot_place"] == 2
    after = await site.rows(PLACES, "distance")
    heads = await site.rows("SELECT DISTINCT members, kept FROM milepost.snapshot WHERE board = 'distance'")
    if totals == "keep":
        assert [row[:3] for row in after] == [row[:3] for row in before]
        assert [row[3] if row[3] > 0 else one for row in after] == [row[3] for row in before]
        assert heads == [(3, 3)]
    else:
        others = [row for row in before if row[3] != one]
        assert [(row[0], row[3], row[4]) for row in after] == [(row[0], row[3], row[4]) for row in others]
        assert [row[1:3] for row in after] == [(1, 1), (2, 2)] * 2
        assert heads == [(2, 2)]
    assert one not in {row[3] for row in after}
    assert await site.rows(PLACES, "best") == of_groups
    assert "snapshot_place" not in await leftovers(site.owner, settings, tenant, "user-1")
    await site.check()


PLACES = """
SELECT p.snapshot_id, p.ordinal, p.rank, p.member_id, p.score
FROM milepost.snapshot_place p JOIN milepost.snapshot s USING (tenant_id, snapshot_id)
WHERE s.board = %s ORDER BY 1, 2
"""


async def test_totals_shrink_by_rule(site: LifecycleSite) -> None:
    """Without totals, every number is as if the actor's activities had been retracted."""
    await busy(site)
    (before,) = await site.numbers("rollup_of_team")
    await erased(site, "user-1", totals="shrink")
    (after,) = await site.numbers("rollup_of_team")
    assert (before["n"] - after["n"], before["distinct_actor"]) == (10, 3)
    await site.check()


async def test_what_comes_late_stays_out(site: LifecycleSite) -> None:
    """From a spill, activities from before the erasure are duplicates of nothing, whether their ids were there or not; others' are
    loaded; and the actor may come back with what it does from then on."""
    await busy(site)
    await erased(site, "user-1")
    before = await site.numbers("rollup_of_team", "true ORDER BY t")
    late = await site.send([ran(10, days=1, actor="user-1"), ran(70, days=1, actor="user-1")])
    await site.lane.run_once()
    assert (await site.mark(late))[:2] == (0, 2)
    assert await site.numbers("rollup_of_team", "true ORDER BY t") == before
    mixed = await site.send(
        [
            ran(71, days=1, actor="user-1"),
            ran(72, actor="user-2"),
            ran(73, actor="user-1", occurred_at=(NOW + timedelta(hours=1)).isoformat()),
        ]
    )
    await site.lane.run_once()
    assert (await site.mark(mixed))[:2] == (2, 1)
    await site.check()


async def test_of_many_activities_in_steps(site: LifecycleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step is bounded, and derived = recomputed between them."""
    monkeypatch.setattr(erase, "STEP_ROWS", 4)
    await busy(site)
    steps = 0
    while (await site.did(do="erase", subject=await subject(site, "user-1")))["body"]["left"]:
        steps += 1
        await site.check_sums()
    assert steps == 3
    await site.check()
    assert await site.rows("SELECT count(*), min(state) FROM milepost.erasure") == [(1, "removed")]


async def test_a_hold_stops_it(site: LifecycleSite) -> None:
    """409 while a hold covers the actor; nothing is removed."""
    await busy(site)
    async with site.db.transaction("write", tenant_id=site.tenants["a"]) as conn:
        await place_hold(conn, site.tenants["a"], {"actor": "user-1"}, reason="case 7", by="me")
    answer = await site.did(do="erase", subject=await subject(site, "user-1"))
    assert answer["status"] == 409
    assert await site.rows("SELECT FROM milepost.erasure") == []


async def test_one_who_is_not_there(site: LifecycleSite) -> None:
    """Is in the ledger all the same: what it did until now stays out, wherever it lies."""
    (step,) = await erased(site, "user-7")
    assert step["removed"] == {}
    late = await site.send([ran(1, days=1, actor="user-7")])
    await site.lane.run_once()
    assert (await site.mark(late))[:2] == (0, 1)


async def test_what_is_left_is_told(site: LifecycleSite, settings: Settings) -> None:
    """Before, the name is in many places; after, in the queue's tables alone, until these rotate; the receipt says so, is signed, and
    has no name. What others said of the actor is found, and is theirs."""
    await busy(site)
    await site.refuse("status <> 'poison'")
    await site.send([ran(80, status="poison"), ran(81, actor="user-2", status="poison")])
    await site.lane.run_once()
    await site.allow()
    await Indexer(site.db).run_once()
    async with site.db.transaction("point") as conn:
        tenant = await find_tenant(conn, "a")
    before = await leftovers(site.owner, settings, tenant, "user-1")
    assert {"actor", "activity", "dead_letter", "queue_1"} <= before.keys()
    async with served(site):
        shown = await erase_actor(site.db, settings, tenant, "user-1", totals="keep", by="me")
    after = await leftovers(site.owner, settings, tenant, "user-1")
    assert after.keys() <= {"queue_1"}, after
    assert shown["state"] == "done"
    receipt = shown["receipt"]
    assert receipt["removed"]["dead_letter"] == 1
    assert "user-1" not in json.dumps(receipt)
    assert await receipt_holds(site.owner, receipt)
    assert not await receipt_holds(site.owner, receipt | {"removed": {}})
    assert len(await site.letters()) == 1
    await site.owner.execute(b"TRUNCATE milepost.queue_1, milepost.queue_1_loaded")
    assert await leftovers(site.owner, settings, tenant, "user-1") == {}
    await site.send([ran(90, actor="user-2", data={"note": "with user-1, and user-10"})])
    await site.lane.run_once()
    assert (await leftovers(site.owner, settings, tenant, "user-1"))["activity"] == 1
    await site.check()


async def test_versions_of_what_was_its_own_once(site: LifecycleSite, settings: Settings) -> None:
    """A correction made its activity another's: what it was before goes, from the archive's file too, which the corrected one only hides;
    what it is since stays, made by nobody where the erased one made it, and goes on."""
    essay = {"key": "e", "verb": "hand_in", "measures": None, "data": None, "object": None, "content": {"text": "x" * 3000}}
    await site.send([ran(1, days=70, actor="user-1", **essay), ran(2, actor="user-1"), ran(3, actor="user-2")])
    await site.lane.run_once()
    ((id,),) = await site.rows("SELECT id FROM milepost.activity WHERE key = 'e'")
    async with site.db.transaction("point") as conn:
        tenant = await find_tenant(conn, "a")
    tenant_id = tenant.tenant_id

    async def correct(by: str, **patch: Any) -> None:
        assert (await site.did(do="correct", id=str(id), patch=patch, by=by))["status"] == 200

    await correct("user-1", content={"text": "y" * 3000})
    await Indexer(site.db).run_once()
    await run_once(site.db, due=Due(condition="s.key = 'e'", parameters={}, border=NOW), settle_s=5)
    await correct("key 7", actor="user-2", content={"text": "z" * 3000})
    await correct("user-1", content={"text": "z" * 2990 + "the end"})
    before = await leftovers(site.owner, settings, tenant, "user-1")
    assert (before["activity_version"], before["cold"]) == (3, 1)
    async with served(site):
        shown = await erase_actor(site.db, settings, tenant, "user-1", totals="shrink", by="me")
    assert {"activity": 1, "activity_version": 3, "cold": 1}.items() <= shown["removed"].items()
    await site.owner.execute(b"TRUNCATE milepost.queue_1, milepost.queue_1_loaded")
    assert await leftovers(site.owner, settings, tenant, "user-1") == {}
    await correct("user-2", content={"text": "short"})
    kept = await made_versions(site.owner, tenant_id, id)
    assert [(one.version, one.by) for one in kept] == [(5, "user-2"), (4, None), (3, "key 7")]
    texts = [(await read_version(site.owner, tenant_id, id, n)).activity["content"]["text"] for n in (3, 4, 5)]
    assert texts == ["z" * 3000, "z" * 2990 + "the end", "short"]
    assert await site.rows("SELECT FROM milepost.actor_was") == []
    await site.check()


async def test_contents_that_others_have_stay(site: LifecycleSite, settings: Settings) -> None:
    """The same essay of two: its object is there for the one who is left. That of the erased one alone is gone at once."""
    both: dict[str, Any] = {"verb": "hand_in", "measures": None, "data": None, "object": None, "content": {"text": "x" * 3000}}
    own = {**both, "content": {"text": "user-1 " * 500}}
    await site.send([ran(1, **both), ran(2, actor="user-2", **both), ran(3, **own)])
    await site.lane.run_once()
    async with site.db.transaction("point") as conn:
        tenant = await find_tenant(conn, "a")
    assert (await leftovers(site.owner, settings, tenant, "user-1"))["content"] == 1
    store = object_store(settings)
    assert len([one async for one in store.list(f"content/{tenant.tenant_id}")]) == 2
    async with served(site):
        shown = await erase_actor(site.db, settings, tenant, "user-1", totals="keep", by="me")
    assert shown["removed"]["content"] == 1
    assert len([one async for one in store.list(f"content/{tenant.tenant_id}")]) == 1
    ((id,),) = await site.rows("SELECT id FROM milepost.activity WHERE verb = 'hand_in'")
    async with site.db.transaction("point", tenant_id=tenant.tenant_id) as conn:
        kept = (await kept_of(conn, tenant.tenant_id, [id]))[id]
    assert json.loads(await Contents(store).whole(kept)) == both["content"]


@asynccontextmanager
async def served(site: LifecycleSite) -> AsyncIterator[None]:
    """Whatever comes is loaded, as a server does."""
    over = asyncio.Event()

    async def serve() -> None:
        while not over.is_set():
            await site.lane.run_once()
            await site.queue.wait_for_batches(0, 0.05)

    serving = asyncio.create_task(serve())
    yield
    over.set()
    await serving


async def test_a_restore_is_erased_again(site: LifecycleSite, settings: Settings) -> None:
    """The ledger, kept elsewhere, has no names; applied to a database that was restored from before, it erases the same actors."""
    await busy(site)
    async with site.db.transaction("point") as conn:
        tenant = await find_tenant(conn, "a")
    entry = {"tenant": "a", "subject": await subject(site, "user-1"), "until": NOW.isoformat(), "totals": "keep", "by": "me"}
    async with served(site):
        assert await reapply(site.db, settings, {"a": tenant}, [entry]) == 1
    assert await site.rows("SELECT FROM milepost.actor WHERE external_id = 'user-1'") == []
    (kept,) = await ledger(site.owner, "a")
    assert (kept["subject"], kept["totals"]) == (entry["subject"], "keep")
    await site.check()
