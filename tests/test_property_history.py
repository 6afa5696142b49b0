"""Invariants 1 to 3 of the design: whatever happens in whatever order, each activity counts once, and numbers equal a recomputation."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings

from effort import examples
from histories import BUSY, MODEL, VALUE_GONE, Player, changing_histories, histories, local_histories
from milepost.access.keys import create_key
from milepost.access.tenants import create_tenant
from milepost.feeds import _sides, listed
from milepost.model import parse_model
from milepost.postgres import Database, EmbeddedServer
from milepost.rollups.verify import verify
from milepost.schema.models import apply_model
from milepost.search import find, index
from milepost.search.indexer import Indexer
from milepost.settings import Settings
from milepost.web.application import build_app
from milepost.web.services import Services
from reading import Reader

_numbers = itertools.count(1)
EXAMPLES = examples(5, 100)


class Ground:
    """One database and its server of HTTP for many examples, on an event loop of their own: each example has tenants of its own."""

    def __init__(self, url: str, data_dir: Path) -> None:
        self.url = url
        self.settings = Settings(data_dir=data_dir, write_pool_min=0, point_pool_min=0, analytics_pool_min=0, lanes=2)
        self.tenants = 0
        self._loop = asyncio.Runner()

    def __enter__(self) -> Ground:
        self._loop.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._stop())
        self._loop.close()

    def play(self, *by_tenant: list[tuple[Any, ...]], days_only: bool = False) -> None:
        """days_only: what depends on no local day is not read."""
        self._loop.run(self._play(by_tenant, days_only))

    async def _start(self) -> None:
        self.owner = await Database.connect_owner(self.url)
        await apply_model(self.owner, MODEL)
        self.services = await Services.start(self.settings, self.url, load=False)
        transport = httpx.ASGITransport(cast("Any", build_app(self.services)))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://milepost", timeout=60)

    async def _stop(self) -> None:
        await self.client.aclose()
        await self.services.stop()
        await self.owner.close()

    async def _play(self, by_tenant: tuple[list[tuple[Any, ...]], ...], days_only: bool) -> None:
        db, current = self.services.db, self.services.models.current
        played: list[tuple[str, Player]] = []
        try:
            for lane, history in enumerate(by_tenant):
                self.tenants += 1
                name = f"t{self.tenants}"
                tenant_id = (await create_tenant(self.owner, name, 2)).tenant_id
                await self.owner.execute(b"UPDATE milepost.tenant SET lane = %s WHERE tenant_id = %s", (lane, tenant_id))
                player = Player(
                    db, self.url, self.services.queue, self.settings, current.model, tenant_id, lane, current.version
                )
                played.append((name, player))
                await player.play(history)
            await self.services.models.run_once()
            await Indexer(db).run_once()
            for name, player in played:
                reader = Reader(
                    client=self.client,
                    db=db,
                    tenant_id=player.tenant_id,
                    key=await create_key(self.owner, player.tenant_id, ["read"], "reader"),
                    model=player.declared,
                    truth=player.truth,
                    public={sent.identity: sent.id for sent in player.sent},
                )
                await (reader.compare_local if days_only else reader.compare)(a_moment_of(player))
                outcome = await verify(db, tenant=name, now=player.now)
                assert outcome.differences == 0, outcome.items
                assert outcome.checked > 10
            rows = await (await self.owner.execute(b"SELECT error FROM milepost.dead_letter")).fetchall()
            assert rows == []
        finally:
            for _, player in played:
                await player.close()


def a_moment_of(player: Player) -> datetime:
    """At which something happened in a group, if anything did: an hour and a day that goals count."""
    times = sorted(item.occurred_at for item in player.truth.activities.values() if item.groups)
    return times[len(times) // 2] if times else player.now


@pytest.fixture(scope="module", autouse=True)
def few_rows_are_looked_at() -> Iterator[None]:
    """Lists whose filters are tested row by row end their pages early, as they do after thousands of rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listed, "SCANNED_MAX", 3)
        patch.setattr(find, "LED_MAX", 5)
        patch.setattr(find, "WALKED_MAX", 6)
        patch.setattr(find, "CANDIDATES_MIN", 4)
        patch.setattr(find, "CANDIDATES_MAX", 12)
        patch.setattr(index, "CHUNK_ROWS", 7)
        patch.setattr(index, "ROWS_MAX", 9)
        patch.setattr(_sides, "LOOKS", (2, 3, 5))
        patch.setattr(_sides, "LEG_ROWS_MIN", 2)
        patch.setattr(_sides, "LEGS_UNWINDOWED_MAX", 1)
        yield


@pytest.fixture(scope="module")
def ground(server: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with Ground(server.clone_database(template, "property_history"), tmp_path_factory.mktemp("history")) as made:
        yield made


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(history=histories)
@example(history=BUSY)
@example(history=VALUE_GONE)
def test_random_histories_equal_the_plain_model(ground: Ground, history: list[tuple[Any, ...]]) -> None:
    """Duplicates, late data, corrections, retractions, moves and crashes in any order leave exactly what the plain model says."""
    ground.play(history)


@settings(max_examples=max(2, EXAMPLES // 5), deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(one=histories, other=histories)
def test_two_lanes_do_not_disturb_each_other(ground: Ground, one: list[tuple[Any, ...]], other: list[tuple[Any, ...]]) -> None:
    """Two tenants on two lanes, with the same names and keys, each equal their own plain model."""
    ground.play(one, other)


@settings(max_examples=max(3, EXAMPLES // 3), deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(history=changing_histories)
def test_the_model_changes_in_between(
    server: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory, history: list[tuple[Any, ...]]
) -> None:
    """Rollups that come, go and change while activities, corrections and moves go on are exact when they are filled."""
    name = f"changing_{next(_numbers)}"
    url = server.clone_database(template, name)
    with Ground(url, tmp_path_factory.getbasetemp()) as ground:
        ground.play(history)
    server.drop_database(name)


@settings(max_examples=max(2, EXAMPLES // 5), deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(history=local_histories())
def test_local_days_and_weeks_of_odd_zones(ground: Ground, history: list[tuple[Any, ...]]) -> None:
    """At the edges of local days and weeks, on both changes of clocks, and after a group has moved to another zone, rollups, goals,
    boards and the days of feeds are the plain model's."""
    ground.play(history, days_only=True)


def test_the_model_is_the_one_that_histories_use() -> None:
    """The generator's words are the model's words."""
    model = parse_model(MODEL)
    assert set(model.verbs) == {"run", "ride", "open_issue", "close_issue", "hand_in"}
