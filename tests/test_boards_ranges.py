"""Counted ranges: whatever comes, goes and moves, each counts exactly who stands in it, and there are neither too many nor too few."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, cast

import httpx
import pytest

from effort import LONG
from histories import Player
from milepost.access.keys import create_key
from milepost.access.tenants import create_tenant
from milepost.intake.derive import rebuild_ranges
from milepost.model import parse_model
from milepost.postgres import Connection, Database
from milepost.rollups.verify import verify
from milepost.schema.compile import _ranges, compile_model
from milepost.schema.models import apply_model
from milepost.settings import Settings
from milepost.web.application import build_app
from milepost.web.services import Services
from reading import Reader

MODEL = """
name = "crowd"
[verbs.run]
measures.distance_m = "decimal(1)"
measures.duration_s = "integer"
data.device = "text"
[verbs.ride]
measures.distance_m = "decimal(1)"

[boards.distance]
rank = "actor"
within = ["group", "everywhere"]
by = "sum(distance_m)"
of = ["run", "ride"]
windows = ["day", "all"]

[boards.farthest]
rank = "actor"
within = "everywhere"
by = "max(distance_m)"
of = ["run", "ride"]
windows = "all"
ties = "shared"
order = "up"
"""
ACTORS = [f"actor-{number}" for number in range(90)]
DAY = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def ranges_are_small() -> Iterator[None]:
    """So small that a board of ninety has every kind of range, and each is split and merged all the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_ranges, "LOWER_MEMBERS", 3)
        patch.setattr(_ranges, "LOWER_MEMBERS_MAX", 5)
        patch.setattr(_ranges, "LOWER_MEMBERS_MIN", 2)
        patch.setattr(_ranges, "UPPER_RANGES", 3)
        patch.setattr(_ranges, "UPPER_RANGES_MAX", 5)
        yield


@pytest.fixture
async def services(template_url: str, settings: Settings) -> AsyncIterator[Services]:
    """With the model, and nobody who loads but the test."""
    async with await Database.connect_owner(template_url) as owner:
        await apply_model(owner, MODEL)
    made = await Services.start(settings, template_url, load=False)
    yield made
    await made.stop()


@pytest.fixture
async def owner(template_url: str) -> AsyncIterator[Connection]:
    async with await Database.connect_owner(template_url) as connection:
        yield connection


@pytest.mark.parametrize("seed", range(2 if LONG else 1))
async def test_ranges_follow_every_change(services: Services, owner: Connection, template_url: str, seed: int) -> None:
    """A board grows from nobody to ninety, is shuffled, corrected, and empties again: at each step its ranks are the plain model's, and
    `verify` finds each range to hold what it says. Levels come as they are needed."""
    chance = random.Random(seed)
    model = parse_model(MODEL)
    tenant_id = (await create_tenant(owner, "crowd", 1)).tenant_id
    player = Player(services.db, template_url, services.queue, services.settings, model, tenant_id, 0, 1)
    seen: set[int] = set()
    transport = httpx.ASGITransport(cast("Any", build_app(services)))
    async with httpx.AsyncClient(transport=transport, base_url="http://milepost", timeout=60) as client:
        key = await create_key(owner, tenant_id, ["read"], "reader")
        for step in range(12):
            if step < 8:
                await player.send([workout(chance, step, number) for number in range(chance.choice([1, 8, 60]))])
            for _ in range(chance.choice([0, 3, 30])):
                await player.correct(chance.randrange(1000), {"distance_m": distance(chance)})
            for _ in range(chance.choice([0, 5]) if step < 8 else len(player.sent) // 4):
                await player.retract(chance.randrange(1000))
            await player.load()
            public = {sent.identity: sent.id for sent in player.sent}
            reader = Reader(
                client=client, db=services.db, tenant_id=tenant_id, key=key, model=model, truth=player.truth, public=public
            )
            if step % 4 == 3:  # it reads every page of every ranking
                groups, actors = await reader.numbers()
                await reader.compare_boards(groups, actors)
            outcome = await verify(services.db, tenant="crowd", now=player.now)
            assert outcome.items == []
            rows = await (await owner.execute(b"SELECT DISTINCT level FROM milepost.board_distance_range")).fetchall()
            seen |= {row[0] for row in rows}
            await bounded(owner)
    await player.close()
    assert seen == {0, 1, 2}


async def test_ranges_can_be_rebuilt(services: Services, owner: Connection, template_url: str) -> None:
    """From the rows of members alone, at once: what was lost is there again, and exact. Until then `verify` says what is wrong."""
    chance = random.Random(5)
    tenant_id = (await create_tenant(owner, "crowd", 1)).tenant_id
    player = Player(services.db, template_url, services.queue, services.settings, parse_model(MODEL), tenant_id, 0, 1)
    await player.send([workout(chance, 0, number) for number in range(200)])
    await player.load()
    await owner.execute(b"DELETE FROM milepost.board_distance_range WHERE level = 2")
    await owner.execute(b"UPDATE milepost.board_distance_range SET n = n + 1 WHERE level = 0")
    outcome = await verify(services.db, tenant="crowd")
    assert {item["kind"] for item in outcome.items} == {"range"}
    assert player.lane is not None
    compiled = compile_model(parse_model(MODEL))
    async with player.lane.transaction(tenant_id):
        await rebuild_ranges(player.lane.conn, compiled.boards[0], tenant_id)
    assert (await verify(services.db, tenant="crowd")).items == []
    await bounded(owner)
    await player.close()


async def bounded(owner: Connection) -> None:
    """No range has outgrown its bound, and none but the first of a level, or of an upper one, is all but empty."""
    large = b"SELECT * FROM milepost.board_distance_range WHERE level = 0 AND n > 5"
    assert await (await owner.execute(large)).fetchall() == []
    small = b"""SELECT * FROM milepost.board_distance_range r WHERE level = 0 AND n < 2 AND place > -9223372036854775808 AND NOT EXISTS (
        SELECT FROM milepost.board_distance_range u WHERE u.level = 1 AND (u.per, u.bucket, u.group_id, u.place, u.tie, u.member)
        = (r.per, r.bucket, r.group_id, r.place, r.tie, r.member))"""
    assert await (await owner.execute(small)).fetchall() == []


def workout(chance: random.Random, step: int, number: int) -> dict[str, Any]:
    item: dict[str, Any] = {
        "actor": chance.choice(ACTORS),
        "verb": "run",
        "key": f"k{step}-{number}",
        "occurred_at": DAY + timedelta(hours=chance.randrange(60), seconds=number),
        "groups": [chance.choice("ab")],
        "source": "",
        "visibility": "public",
    }
    if chance.random() < 0.9:
        item["distance_m"] = distance(chance)
    return item


def distance(chance: random.Random) -> Fraction:
    """Few enough that many are equal, some of them nothing."""
    return Fraction(chance.choice([0, 5, 10, chance.randrange(10, 400)]), 10)
