"""Invariants 1 to 3 of the design: whatever happens in whatever order, each activity counts once, and numbers equal a recomputation."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from fix_postgres import in_own_loop
from histories import MODEL, Player, changing_histories, expected, histories, shown
from milepost.access.tenants import create_tenant
from milepost.intake.queue import Queue
from milepost.model import parse_model
from milepost.postgres import Database, EmbeddedServer
from milepost.rollups.verify import verify
from milepost.schema.models import apply_model, current_model
from milepost.settings import Settings

_numbers = itertools.count(1)
EXAMPLES = int(os.environ.get("MILEPOST_TEST_EXAMPLES", "30"))


class Ground:
    """One database for all examples of a run: each example has tenants of its own."""

    def __init__(self, url: str, data_dir: Path) -> None:
        self.url = url
        self.settings = Settings(data_dir=data_dir, write_pool_min=0, point_pool_min=0, analytics_pool_min=0, lanes=2)
        self.tenants = 0

    async def example(self, by_tenant: list[list[tuple[Any, ...]]]) -> None:
        async with await Database.open(self.url, self.settings) as db:
            owner = await db.owner()
            async with db.transaction("write") as conn:
                current = await current_model(conn)
            queue = Queue(db, self.settings)
            await queue.start()
            players = []
            try:
                for number, _ in enumerate(by_tenant):
                    self.tenants += 1
                    tenant = await create_tenant(owner, f"t{self.tenants}", 2)
                    await owner.execute(
                        b"UPDATE milepost.tenant SET lane = %s WHERE tenant_id = %s", (number, tenant.tenant_id)
                    )
                    players.append(
                        Player(db, self.url, queue, self.settings, current.model, tenant.tenant_id, number, current.version)
                    )
                for player, history in zip(players, by_tenant, strict=True):
                    await player.play(history)
                    found = await shown(db, player.declared, player.tenant_id)
                    wanted = expected(player.truth, player.declared)
                    for name, rows in wanted.items():
                        assert found[name] == rows, name
                for player in players:
                    row = await (
                        await owner.execute(b"SELECT name FROM milepost.tenant WHERE tenant_id = %s", (player.tenant_id,))
                    ).fetchone()
                    outcome = await verify(db, tenant=row[0] if row else "")
                    assert outcome.differences == 0, outcome.items
                    assert outcome.checked > 10
                rows = await (await owner.execute(b"SELECT error FROM milepost.dead_letter")).fetchall()
                assert rows == []
            finally:
                for player in players:
                    await player.close()
                await queue.stop()
                await owner.close()


@pytest.fixture(scope="module")
def ground(server: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    url = server.clone_database(template, "property_history")

    async def prepare() -> None:
        async with await Database.connect_owner(url) as owner:
            await apply_model(owner, MODEL)

    in_own_loop(prepare)
    return Ground(url, tmp_path_factory.mktemp("history"))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(history=histories)
def test_random_histories_equal_the_plain_model(ground: Ground, history: list[tuple[Any, ...]]) -> None:
    """Duplicates, late data, corrections, retractions, moves and crashes in any order leave exactly what the plain model says."""
    in_own_loop(lambda: ground.example([history]))


@settings(max_examples=max(5, EXAMPLES // 5), deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(one=histories, other=histories)
def test_two_lanes_do_not_disturb_each_other(ground: Ground, one: list[tuple[Any, ...]], other: list[tuple[Any, ...]]) -> None:
    """Two tenants on two lanes, with the same names and keys, each equal their own plain model."""
    in_own_loop(lambda: ground.example([one, other]))


@settings(max_examples=max(5, EXAMPLES // 3), deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(history=changing_histories)
def test_the_model_changes_in_between(
    server: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory, history: list[tuple[Any, ...]]
) -> None:
    """Rollups that come, go and change while activities, corrections and moves go on are exact when they are filled."""
    name = f"changing_{next(_numbers)}"
    url = server.clone_database(template, name)

    async def run() -> None:
        async with await Database.connect_owner(url) as owner:
            await apply_model(owner, MODEL)
        await Ground(url, tmp_path_factory.getbasetemp()).example([history])

    in_own_loop(run)
    server.drop_database(name)


def test_the_model_is_the_one_that_histories_use() -> None:
    """The generator's words are the model's words."""
    model = parse_model(MODEL)
    assert set(model.verbs) == {"run", "ride", "open_issue", "close_issue"}
