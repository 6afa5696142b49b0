"""A model applied to a live database: new rollups are filled from history and exact when done, whatever comes in meanwhile."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from milepost.access.tenants import create_tenant
from milepost.errors import Conflict
from milepost.intake import history
from milepost.intake.accept import Acceptor
from milepost.intake.load import Lane
from milepost.intake.queue import Queue
from milepost.postgres import Database
from milepost.rollups.verify import verify
from milepost.schema.models import apply_model, current_model
from milepost.settings import Settings

FIRST = """
name = "changing"
[verbs.run]
measures.distance_m = "integer"
[verbs.open_issue]
[verbs.close_issue]
[rollups.per_actor]
of = "run"
by = ["actor"]
per = ["day"]
values = ["count"]
"""
SECOND = (
    FIRST.replace(
        "[verbs.open_issue]", 'data.device = { type = "text", filter = true }\ndata.laps = "integer"\n[verbs.open_issue]'
    )
    + """
[rollups.per_device]
of = "run"
by = ["data.device", "data.laps"]
per = ["week"]
values = ["sum(distance_m)", "max(distance_m)", "distinct(actor)"]
[latest.newest]
of = "run"
by = ["actor"]
values = ["distance_m", "data.device"]
[pairs.issue]
open = "open_issue"
close = "close_issue"
"""
)


class Site:
    """One tenant of a database whose model changes."""

    def __init__(self, db: Database, owner: Any, settings: Settings, queue: Queue, tenant_id: int) -> None:
        self.db, self.owner, self.settings, self.queue, self.tenant_id = db, owner, settings, queue, tenant_id
        self.lane = Lane(db, queue, 0, "test", settings)
        self.sent = 0

    async def send(self, count: int) -> None:
        """Runs and issues, days apart, with data that no model has declared yet."""
        async with self.db.transaction("point") as conn:
            current = await current_model(conn)
        activities: list[dict[str, Any]] = []
        for number in range(self.sent, self.sent + count):
            when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=7 * number)
            verb = ("run", "run", "open_issue", "close_issue")[number % 4]
            activity: dict[str, Any] = {
                "key": str(number),
                "occurred_at": when.isoformat(),
                "actor": f"a{number % 3}",
                "verb": verb,
            }
            activity["data"] = {
                "device": f"d{number % 5}" if number % 7 else number,
                "laps": number % 2 if number % 11 else "many",
            }
            if verb == "run":
                activity["measures"] = {"distance_m": number}
            else:
                activity["data"] = {}
                activity["object"] = {"kind": "issue", "id": str(number % 6)}
            if "device" in current.model.fields():  # from then on a wrong type is an error
                activity["data"] = {
                    name: value for name, value in activity["data"].items() if (name == "device") == isinstance(value, str)
                }
            activities.append(activity)
        self.sent += count
        accepted = Acceptor(current.model, current.version).accept(
            self.tenant_id, json.dumps({"activities": activities}).encode(), datetime.now(UTC)
        )
        assert not accepted.rejected, accepted.rejected
        await self.queue.enqueue(
            tenant_id=self.tenant_id, lane=0, kind=0, model=current.version, rows=accepted.rows, payload=accepted.payload
        )

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        async with self.db.transaction("point", tenant_id=self.tenant_id) as conn:
            return await (await conn.execute(query)).fetchall()


@pytest.fixture
async def site(template_url: str, settings: Settings) -> AsyncIterator[Site]:
    owner = await Database.connect_owner(template_url)
    await apply_model(owner, FIRST)
    async with owner, await Database.open(template_url, settings) as db:
        tenant = await create_tenant(owner, "site", 1)
        queue = Queue(db, settings)
        await queue.start()
        made = Site(db, owner, settings, queue, tenant.tenant_id)
        assert await made.lane.open()
        yield made
        await made.lane.close()
        await queue.stop()


async def test_new_tables_are_filled_from_history_while_intake_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of history and new batches, older and newer than what is filled, alternate; in the end all equals a recomputation."""
    monkeypatch.setattr(history, "CHUNK_ROWS", 7)
    await site.send(40)
    await site.lane.run_once()
    applied = await apply_model(site.owner, SECOND)
    assert set(applied.filling) == {"rollup_per_device", "latest_newest", "pairs_issue", "column d_device", "column d_laps"}
    chunks = 0
    site.sent = 20  # the next ones are duplicates at first, then new ones, and lie on both sides of what is filled
    while True:
        await site.send(3)
        while await site.lane.poll():
            while site.lane.waiting:
                await site.lane.step()
        if not await site.lane.history.fill():
            break
        chunks += 1
    assert chunks > 6
    outcome = await verify(site.db)
    assert (outcome.differences, outcome.filling) == (0, []), outcome.items
    assert await site.rows("SELECT sum(n) FROM milepost.rollup_per_device WHERE per = 'day'") == await site.rows(
        "SELECT count(*)::numeric FROM milepost.activity WHERE verb = 'run'"
    )


async def test_a_field_declared_later_counts_for_history(site: Site) -> None:
    """Activities that carried the field before it was declared are found by it; a value of another type is none."""
    await site.send(40)
    await site.lane.run_once()
    await apply_model(site.owner, SECOND)
    await site.lane.run_once()
    found = await site.rows(
        "SELECT data->>'device', jsonb_typeof(data->'device'), d_device FROM milepost.activity WHERE verb = 'run'"
    )
    assert len(found) == 20
    assert all(column == (text if kind == "string" else None) for text, kind, column in found)
    assert {column for _, _, column in found} == {"d0", "d1", "d2", "d3", "d4", None}
    keys = await site.rows("SELECT DISTINCT d_device FROM milepost.rollup_per_device")
    assert {key for (key,) in keys} == {"d0", "d1", "d2", "d3", "d4", ""}


async def test_what_is_gone_is_dropped_and_the_rest_stays(site: Site) -> None:
    """Removed tables go, with their filling; the others are not filled again."""
    await site.send(12)
    await site.lane.run_once()
    await apply_model(site.owner, SECOND)
    applied = await apply_model(site.owner, FIRST)
    assert set(applied.dropped) == {"milepost.rollup_per_device", "milepost.latest_newest", "milepost.pairs_issue"}
    assert applied.filling == ()
    await site.send(12)
    await site.lane.run_once()
    assert (await verify(site.db)).differences == 0
    assert await site.rows("SELECT name FROM milepost.filling") == []


async def test_a_changed_definition_is_filled_anew(site: Site) -> None:
    """The same name with other keys starts from history."""
    await site.send(12)
    await site.lane.run_once()
    changed = FIRST.replace('values = ["count"]', 'values = ["count", "sum(distance_m)"]')
    applied = await apply_model(site.owner, changed)
    assert applied.filling == ("rollup_per_actor",)
    await site.lane.run_once()
    assert (await verify(site.db)).differences == 0
    assert await site.rows("SELECT sum(sum_distance_m) FROM milepost.rollup_per_actor") == [(0 + 1 + 4 + 5 + 8 + 9,)]


async def test_the_same_model_again_changes_nothing(site: Site) -> None:
    """Other comments and spacing are the same model."""
    applied = await apply_model(site.owner, "# a comment\n" + FIRST)
    assert (applied.version, applied.changed) == (1, False)


async def test_an_incompatible_change_is_refused_with_what_to_do(site: Site) -> None:
    """What is stored cannot be read in another scale; the old model stays."""
    with pytest.raises(Conflict, match="distance_m"):
        await apply_model(site.owner, FIRST.replace('"integer"', '"decimal(2)"'))
    async with site.db.transaction("point") as conn:
        assert (await current_model(conn)).version == 1


async def test_a_name_keeps_its_type_also_when_it_was_away(site: Site) -> None:
    """A measure that an earlier model had cannot come back with another scale."""
    without = FIRST.replace('measures.distance_m = "integer"\n', "")
    await apply_model(site.owner, without)
    with pytest.raises(Conflict, match="was stored as integer"):
        await apply_model(site.owner, FIRST.replace('"integer"', '"decimal(2)"'))
    assert (await apply_model(site.owner, FIRST)).changed


async def test_a_batch_of_an_older_model_is_loaded_by_the_newer(site: Site) -> None:
    """What was accepted before the change is not lost by it."""
    await site.send(8)
    await apply_model(site.owner, SECOND)
    await site.send(8)
    await site.lane.run_once()
    assert await site.rows("SELECT count(*) FROM milepost.activity") == [(16,)]
    assert (await verify(site.db)).differences == 0


async def test_what_an_older_milepost_could_not_make(template_url: str) -> None:
    """A board that was declared when boards were only checked has no table: applying the same model again makes and fills it."""
    model = FIRST + '[boards.most]\nrank = "actor"\nwithin = "everywhere"\nby = "count"\nof = "run"\nwindows = "all"\n'
    async with await Database.connect_owner(template_url) as owner:
        await apply_model(owner, model)
        await owner.execute(b"DROP TABLE milepost.board_most, milepost.board_most_range")
        again = await apply_model(owner, model)
        assert (again.changed, again.filling) == (True, ("board_most",))
        assert not (await apply_model(owner, model)).changed
