"""Preparing a demo: whole, once, from where it was broken off, and only in a database that is its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fix_queue import owner_of, value
from milepost.demo import prepare as preparing
from milepost.demo.prepare import TENANT, prepare
from milepost.demo.state import StateFile
from milepost.errors import Conflict, MilepostError
from milepost.postgres import Database
from milepost.rollups.verify import verify
from milepost.schema.models import apply_model
from milepost.settings import Settings

SIZE = 600


def silent(step: str, done: int, total: int) -> None:
    """Tells nobody."""


class BrokenOff(Exception):
    """As by Ctrl-C."""


async def stored(url: str, settings: Settings) -> int:
    """Without the milestones that they reached."""
    async with await Database.open(url, settings) as db, owner_of(db) as owner:
        return int(await value(owner, "SELECT count(*) FROM milepost.activity WHERE verb <> 'milestone'"))


async def test_from_nothing(database_url: str, settings: Settings) -> None:
    """An empty database becomes a demo whose numbers are right, and whose key is kept for the owner's eyes alone."""
    steps: list[tuple[str, int, int]] = []
    made = await prepare(settings, database_url, "fitness", SIZE, lambda *step: steps.append(step))
    assert made.loaded == SIZE
    assert await stored(database_url, settings) == SIZE
    assert steps[-1] == ("activities", SIZE, SIZE)
    assert made.tenant.name == TENANT
    file = settings.data_dir / "demo" / "fitness.json"
    assert made.key in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    async with await Database.open(database_url, settings) as db:
        assert (await verify(db)).differences == 0


async def test_a_second_run_loads_nothing(database_url: str, settings: Settings) -> None:
    """The key is the same and so is the data, also if another size is asked for."""
    first = await prepare(settings, database_url, "research", SIZE, silent)
    second = await prepare(settings, database_url, "research", 2 * SIZE, silent)
    assert (second.key, second.loaded) == (first.key, 0)
    assert second.sample.size == SIZE
    assert await stored(database_url, settings) == SIZE


async def test_broken_off_it_goes_on(database_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken off at any point, the next run ends with every activity once."""
    monkeypatch.setattr(preparing, "ACTIVITIES_PER_BATCH", 100)
    monkeypatch.setattr(preparing, "COMMANDS_PER_BATCH", 20)
    monkeypatch.setattr(preparing, "PENDING_MAX", 2)
    for broken_off_in, at in (("groups and people", 20), ("activities", 200), ("activities", 400)):

        def tell(step: str, done: int, total: int, where: str = broken_off_in, when: int = at) -> None:
            if step == where and done >= when:
                raise BrokenOff

        with pytest.raises(BrokenOff):
            await prepare(settings, database_url, "audit", SIZE, tell)
    last = await prepare(settings, database_url, "audit", SIZE, silent)
    assert 0 < last.loaded < SIZE
    assert await stored(database_url, settings) == SIZE


async def test_a_lost_memory_loads_nothing_twice(database_url: str, settings: Settings, tmp_path: Path) -> None:
    """Without its file in the data folder a demo goes on with the data there is, and a new key."""
    first = await prepare(settings, database_url, "classroom", SIZE, silent)
    elsewhere = replace(settings, data_dir=tmp_path / "elsewhere")
    second = await prepare(elsewhere, database_url, "classroom", SIZE, silent)
    assert second.loaded == 0
    assert second.key != first.key
    assert await stored(database_url, settings) == SIZE


async def test_a_revoked_key_is_replaced(database_url: str, settings: Settings) -> None:
    """The key that a demo prints works."""
    first = await prepare(settings, database_url, "fitness", SIZE, silent)
    async with await Database.open(database_url, settings) as db, owner_of(db) as owner:
        await owner.execute("UPDATE milepost.api_key SET revoked_at = now()")
    second = await prepare(settings, database_url, "fitness", SIZE, silent)
    assert second.key != first.key


async def test_another_models_database_is_refused(database_url: str, settings: Settings) -> None:
    """A demo never changes the model of somebody else's database."""
    await prepare(settings, database_url, "fitness", 1, silent)
    async with await Database.open(database_url, settings) as db, owner_of(db) as owner:
        await apply_model(owner, 'name = "mine"\n[verbs.run]\n')
    with pytest.raises(Conflict, match="has the model mine"):
        await prepare(settings, database_url, "fitness", SIZE, silent)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """The error says which file to remove."""
    file = StateFile(tmp_path, "fitness")
    file.path.parent.mkdir()
    file.path.write_text("{")
    with pytest.raises(MilepostError, match=r"fitness\.json is damaged"):
        file.load("anything")
