"""Corrections and retractions that come before their activity wait for it, and are done in the load that brings it: once."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dead_letter_site import BEGIN, Site, a_run
from effort import examples
from fix_postgres import in_own_loop
from milepost import faults
from milepost.access.tenants import create_tenant
from milepost.activity import HASH_MASK, activity_id, key_hash, microseconds
from milepost.intake.letters import Selection
from milepost.intake.load import Lane
from milepost.intake.parked import expire
from milepost.intake.queue import Queue
from milepost.intake.replay import replay
from milepost.postgres import Database, EmbeddedServer
from milepost.rollups.verify import verify
from milepost.schema.models import current_model
from milepost.settings import Settings

pytest_plugins = ["fix_dead_letters"]

EXAMPLES = examples(15, 100)
FAULTS = ["load.copied", "load.inserted", "load.folded", "load.before_commit", "load.after_commit"]
KEYS = 4
_numbers = itertools.count(1)


def id_of(tenant_id: int, number: int) -> str:
    """As a client can know it before the activity is there."""
    digest = key_hash(tenant_id, "", f"run-{number}")
    moment = BEGIN + timedelta(minutes=number)
    return str(UUID(int=activity_id(microseconds(moment), int.from_bytes(digest[:8], "big") & HASH_MASK)))


def correcting(tenant_id: int, number: int, distance_m: float, **more: Any) -> dict[str, Any]:
    return {"do": "correct", "id": id_of(tenant_id, number), "patch": {"measures": {"distance_m": distance_m}}, **more}


async def stored(site: Site) -> list[tuple[Any, ...]]:
    return await site.rows("SELECT key, m_distance_m, version FROM milepost.activity ORDER BY key")


async def status(site: Site, batch_id: int) -> Any:
    return (await site.mark(batch_id))[2]["status"]


async def test_a_correction_before_its_activity(site: Site) -> None:
    """Parked where it asks for that, 404 where not; done, in order and before anyone can read the activity, when it comes."""
    tenant_id = site.tenants["a"]
    plain = await site.command(correcting(tenant_id, 1, 7))
    first = await site.command(correcting(tenant_id, 1, 10, park=True))
    second = await site.command({**correcting(tenant_id, 1, 20, park=True), "if_match": 2})
    other = await site.command(correcting(tenant_id, 2, 30, park=True), tenant="b")
    await site.lane.run_once()
    assert [await status(site, one) for one in (plain, first, second, other)] == [404, 202, 202, 202]
    await site.send([a_run(1), a_run(2)])
    await site.lane.run_once()
    assert await stored(site) == [("run-1", 200, 3), ("run-2", 25, 1)]
    assert await site.rows("SELECT count(*) FROM milepost.parked") == [(1,)]
    assert await site.letters() == []
    await site.check()


async def test_a_retraction_before_its_activity(site: Site) -> None:
    """The activity never counts; what waited behind the retraction becomes a dead letter, since nobody is there to be told."""
    tenant_id = site.tenants["a"]
    await site.command({"do": "retract", "id": id_of(tenant_id, 1), "park": True})
    await site.command(correcting(tenant_id, 1, 10, park=True))
    await site.lane.run_once()
    batch_id = await site.send([a_run(1), a_run(2)])
    await site.lane.run_once()
    assert await site.mark(batch_id) == (2, 0, None)
    assert await stored(site) == [("run-2", 25, 1)]
    assert [letter[2] for letter in await site.letters()] == ["parked"]
    again = await site.command(correcting(tenant_id, 1, 10, park=True))
    await site.send([a_run(1)])
    await site.lane.run_once()
    assert await status(site, again) == 404
    assert len(await stored(site)) == 1
    await site.check()


async def test_what_cannot_be_done_when_it_comes(site: Site) -> None:
    """Another version than it expects, an invalid result, what the tables refuse: a dead letter each, and the load goes on."""
    tenant_id = site.tenants["a"]
    await site.refuse("status <> 'poison'")
    await site.command({**correcting(tenant_id, 1, 10, park=True), "if_match": 5})
    await site.command({"do": "correct", "id": id_of(tenant_id, 2), "patch": {"verb": "rum"}, "park": True})
    await site.lane.run_once()
    await site.send([a_run(1), a_run(2)])
    await site.lane.run_once()
    await site.command({"do": "correct", "id": id_of(tenant_id, 3), "patch": {"status": "poison"}, "park": True})
    await site.send([a_run(3)])
    await site.lane.run_once()
    assert [row[1:] for row in await stored(site)] == [(15, 1), (25, 1), (35, 1)]
    assert sorted(letter[2] for letter in await site.letters()) == ["constraint", "parked", "parked"]
    await site.check()


async def test_an_activity_from_the_dead_letters(site: Site) -> None:
    """A correction of an activity that lies in the dead letters waits, too, and is done when that is replayed."""
    tenant_id = site.tenants["a"]
    await site.refuse("verb <> 'run'")
    await site.send([a_run(1)])
    await site.command(correcting(tenant_id, 1, 10, park=True))
    await site.lane.run_once()
    await site.allow()
    async with site.db.transaction("point") as conn:
        current = await current_model(conn)
    await replay(site.db, tenant_id, Selection(), model=current.model, version=current.version, by="test")
    await site.lane.run_once()
    assert await stored(site) == [("run-1", 100, 2)]
    await site.check()


async def test_what_waits_too_long(site: Site) -> None:
    """After the hours that the settings allow it becomes a dead letter, which a replay tries once more."""
    tenant_id = site.tenants["a"]
    await site.command(correcting(tenant_id, 1, 10, park=True))
    await site.command(correcting(tenant_id, 2, 10, park=True), {"do": "retract", "id": "no", "park": True})
    await site.lane.run_once()
    await site.owner.execute(
        b"UPDATE milepost.parked SET parked_at = now() - interval '2 hours' WHERE id = %s", (id_of(tenant_id, 1),)
    )
    assert await expire(site.owner, 1.0) == 1
    assert await expire(site.owner, 1.0) == 0
    ((error, error_class),) = await site.rows("SELECT error, error_class FROM milepost.dead_letter WHERE batch_id IS NULL")
    assert (error, error_class) == ("Its activity did not come within 1 hours.", "parked")
    assert await site.rows("SELECT count(*) FROM milepost.parked") == [(1,)]
    async with site.db.transaction("point") as conn:
        current = await current_model(conn)
    await site.send([a_run(1)])
    await site.lane.run_once()
    await replay(site.db, tenant_id, Selection(error_class="parked"), model=current.model, version=current.version, by="test")
    await site.lane.run_once()
    assert await stored(site) == [("run-1", 100, 2)]


async def test_ids_that_are_none_of_ours(site: Site) -> None:
    """An id that milepost cannot have made is not waited for."""
    batch_id = await site.command({"do": "retract", "id": "0b4d5b0e-8f5f-4ac5-9c9f-0123456789ab", "park": True})
    await site.lane.run_once()
    assert await status(site, batch_id) == 404


# ── Whatever comes in whatever order ───────────────────────────────────────────────────────────────────────────────

numbers = st.integers(0, KEYS - 1)
steps = st.one_of(
    st.tuples(st.just("send"), st.lists(numbers, min_size=1, max_size=3)),
    st.tuples(st.just("correct"), numbers, st.integers(0, 500), st.booleans()),
    st.tuples(st.just("correct"), numbers, st.integers(0, 500), st.just(True)),
    st.tuples(st.just("retract"), numbers, st.booleans()),
    st.tuples(st.just("load")),
    st.tuples(st.just("crash"), st.sampled_from(FAULTS)),
)


class Crash(BaseException):
    """The loader dies here."""


class Plain:
    """What must come of it: commands in the order of the lane, and those that wait in the order in which they came."""

    def __init__(self) -> None:
        self.there: dict[int, tuple[int, int]] = {}  # tenths of a metre, version
        self.gone: set[int] = set()
        self.waiting: dict[int, list[tuple[Any, ...]]] = {}
        self.letters = 0

    def do(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("send", sent):
                arrived = [n for n in dict.fromkeys(sent) if n not in self.there and n not in self.gone]
                for number in arrived:
                    self.there[number] = (10 * number + 5, 1)
                for number in arrived:
                    for one in self.waiting.pop(number, []):
                        self.letters += not self.change(one)
            case ("correct" | "retract", number, *_, park):
                if not self.change(step) and park and number not in self.gone:
                    self.waiting.setdefault(number, []).append(step)

    def change(self, step: tuple[Any, ...]) -> bool:
        number = step[1]
        if number not in self.there:
            return False
        if step[0] == "retract":
            del self.there[number]
            self.gone.add(number)
        else:
            self.there[number] = (step[2] * 10, self.there[number][1] + 1)
        return True


class Ground:
    """One database for all examples: each has a tenant and a lane session of its own."""

    def __init__(self, url: str, data_dir: Path) -> None:
        self.url = url
        self.settings = Settings(data_dir=data_dir, write_pool_min=0, point_pool_min=0, analytics_pool_min=0, lanes=1)

    @asynccontextmanager
    async def site(self) -> AsyncIterator[tuple[Site, str]]:
        async with await Database.open(self.url, self.settings) as db:
            owner = await db.owner()
            queue = Queue(db, self.settings)
            await queue.start()
            site = Site(db, owner, self.settings, queue)
            name = f"p{next(_numbers)}"
            if not await site.rows("SELECT 1 FROM milepost.model_version"):
                await site.prepare()
                await site.lane.close()
            site.tenants["a"] = (await create_tenant(owner, name, 1)).tenant_id
            try:
                yield site, name
            finally:
                await site.lane.close()
                await queue.stop()
                await owner.close()

    async def example(self, history: list[tuple[Any, ...]]) -> None:
        async with self.site() as (site, name):
            plain, tenant_id = Plain(), site.tenants["a"]
            assert await site.lane.open()
            for step in [*history, ("load",)]:
                plain.do(step)
                match step:
                    case ("send", sent):
                        await site.send([a_run(number) for number in sent])
                    case ("correct", number, distance_m, park):
                        await site.command(correcting(tenant_id, number, distance_m, park=park))
                    case ("retract", number, park):
                        await site.command({"do": "retract", "id": id_of(tenant_id, number), "park": park})
                    case ("load",):
                        await site.lane.run_once()
                    case ("crash", point):
                        await crash(site, point)
            rows = await site.rows("SELECT key, m_distance_m, version FROM milepost.activity WHERE tenant_id = %s", tenant_id)
            assert {int(key.removeprefix("run-")): (distance, version) for key, distance, version in rows} == plain.there
            waiting = await site.rows("SELECT count(*) FROM milepost.parked WHERE tenant_id = %s", tenant_id)
            assert waiting == [(sum(map(len, plain.waiting.values())),)]
            assert sum(letter[1] for letter in await site.letters()) == plain.letters
            outcome = await verify(site.db, tenant=name)
            assert outcome.differences == 0, outcome.items


async def crash(site: Site, wanted: str) -> None:
    """The loader dies at a point, if it comes there, and another one takes the lane."""

    def die(point: str) -> None:
        if point == wanted:
            raise Crash

    reach = faults.reach
    faults.reach = die
    try:
        await site.lane.run_once()
    except Crash:
        await site.lane.conn.close()
        await site.lane.close()
        site.lane = Lane(site.db, site.queue, 0, "site", site.settings)
        assert await site.lane.open()
    finally:
        faults.reach = reach


@pytest.fixture(scope="module")
def ground(server: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(server.clone_database(template, "property_parked"), tmp_path_factory.mktemp("parked"))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(history=st.lists(steps, min_size=3, max_size=20))
def test_random_histories(ground: Ground, history: list[tuple[Any, ...]]) -> None:
    """Corrections before and after their activities, duplicates, loads and crashes in any order leave what the plain model says."""
    in_own_loop(lambda: ground.example(history))
