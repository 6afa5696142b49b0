"""The search index: what it takes in and when, that it is filled anew where the model changes, and what verify says of it."""

from __future__ import annotations

import pytest

from fix_queue import owner_of, value
from milepost.access.tenants import create_tenant
from milepost.errors import Timeout
from milepost.jobs.maintenance import JOURNAL_HOURS, Maintenance
from milepost.postgres import Connection, advisory_lock
from milepost.rollups.filling import BeingFilled
from milepost.rollups.verify import verify
from milepost.schema.models import current_model
from milepost.search import index
from milepost.search.indexer import LOCK
from milepost.search.progress import caught_up
from milepost.settings import Settings
from searching import MODEL, Site

pytest_plugins = ["fix_search"]


async def test_only_what_declares_it_is_indexed(site: Site) -> None:
    """A verb without searched fields, and a text without words, have no document."""
    await site.load("river", "", "and the")
    await site.load("river", verb="walk", name="w")
    await site.indexer.run_once()
    assert await site.documents() == 1
    assert await site.notes("river") == ["river"]


async def test_what_is_not_taken_in_is_not_found_wrongly(site: Site) -> None:
    """Between a change and the indexer's next look, nothing is shown by words that it does not have, or that is gone."""
    gone, changed = await site.load("river one", "river two")
    await site.indexer.run_once()
    await site.command(do="retract", id=gone)
    await site.command(do="correct", id=changed, patch={"data": {"note": "hill"}})
    assert await site.notes("river") == []
    assert await site.notes("hill") == []
    await site.indexer.run_once()
    assert await site.notes("hill") == ["hill"]
    assert await site.documents() == 1


async def test_history_is_filled_when_the_model_changes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the newest back, chunk by chunk; meanwhile only what is covered is searched, and the answer says so."""
    await site.load(*(f"note {number}" for number in range(9)), title="the river")
    await site.indexer.run_once()
    assert (await site.search("note")).more == {}
    await site.apply(MODEL.replace('data.title = "text"', 'data.title = { type = "text", search = "german" }'))
    with pytest.raises(BeingFilled):
        await site.search("river")
    monkeypatch.setattr(index, "CHUNK_ROWS", 4)
    async with owner_of(site.db) as owner:
        search = (await current_model(owner)).compiled.search
        assert search is not None
        await index.work(owner, search)
        assert (await site.search("river")).more == {"covered_from": None}
        await index.fill(owner, site.tenant_id, search)
        answer = await site.search("river")
        assert [item["data"]["note"] for item in answer.items] == ["note 8", "note 7", "note 6", "note 5", "note 4"]
        assert answer.more == {"covered_from": "2026-02-01T00:04:00Z"}
        assert (await verify(site.db)).filling == ["site: search"]
    await site.indexer.run_once()
    assert len(await site.notes("river")) == 9
    assert (await site.search("river")).more == {}
    assert (await verify(site.db)).differences == 0


async def test_the_order_of_verbs_makes_no_other_index(site: Site) -> None:
    """A model that says the same in another order leaves the index as it is."""
    await site.load("river")
    await site.indexer.run_once()
    begin, run, walk = MODEL.partition("[verbs.run]")[0], *MODEL.partition("[verbs.run]")[2].split("[verbs.walk]")
    walk = walk.replace('"text"', '{ type = "text", search = "simple" }')
    await site.apply(f"{begin}[verbs.run]{run}[verbs.walk]{walk}")
    assert await site.indexer.run_once() > 0
    await site.apply(f"{begin}[verbs.walk]{walk}[verbs.run]{run}data.more = {{ filter = true }}\n")
    assert await site.indexer.run_once() == 0
    assert await site.notes("river") == ["river"]


async def test_nothing_is_kept_when_nothing_is_searched(site: Site) -> None:
    """A model without searched fields empties the index; one with them makes it again."""
    await site.load("river")
    await site.indexer.run_once()
    await site.apply(MODEL.replace(', search = "english"', ""))
    await site.indexer.run_once()
    async with owner_of(site.db) as owner:
        assert await value(owner, "SELECT count(*) FROM milepost.search_progress") == 0
    assert await site.documents() == 0
    await site.apply(MODEL)
    await site.indexer.run_once()
    assert await site.notes("river") == ["river"]


async def test_verify_names_what_is_wrong(site: Site) -> None:
    """A document that is missing, wrong or of nothing; but not one that the index has yet to take in."""
    await site.load("river", "hill", "lake")
    await site.indexer.run_once()
    await site.load("pond", name="later")
    assert (await verify(site.db)).differences == 0
    async with owner_of(site.db) as owner:
        await owner.execute(b"DELETE FROM milepost.search_document WHERE words @@ 'river'")
        await owner.execute(b"UPDATE milepost.search_document SET words = 'sea:1A' WHERE words @@ 'hill'")
        await owner.execute(b"UPDATE milepost.search_document SET version = 7 WHERE words @@ 'lake'")
        await owner.execute(
            b"INSERT INTO milepost.search_document VALUES (%s, gen_random_uuid(), 1, 'ghost')", (site.tenant_id,)
        )
    outcome = await verify(site.db)
    assert outcome.differences == 4
    assert {item["kind"] for item in outcome.items} == {"search"}


async def test_one_indexer_works_at_a_time(site: Site) -> None:
    """While another session has the lock, nothing is indexed; the next one goes on from where it was."""
    await site.load("river")
    async with owner_of(site.db) as other, advisory_lock(other, LOCK):
        with pytest.raises(Timeout):
            await site.indexer.run_once()
    assert await site.indexer.run_once() > 0
    assert await site.indexer.run_once() == 0


async def test_the_journal_waits_for_the_index(site: Site, settings: Settings) -> None:
    """What the index has not taken in stays in the journal, however old it is."""
    await site.load("river")
    await site.indexer.run_once()
    await site.load("hill", name="later")
    async with owner_of(site.db) as owner:
        aged = f"UPDATE milepost.journal SET loaded_at = loaded_at - interval '{JOURNAL_HOURS + 1} hours'"
        await owner.execute(aged.encode())
        await Maintenance(site.db, settings).run_once()
        assert await value(owner, "SELECT count(*) FROM milepost.journal") == 1
        await site.indexer.run_once()
        await Maintenance(site.db, settings).run_once()
        assert await value(owner, "SELECT count(*) FROM milepost.journal") == 0
    assert await site.notes("hill") == ["hill"]


async def test_a_running_indexer_follows(site: Site) -> None:
    """Started, it takes in what is loaded, and can be awaited; a tenant that cannot be indexed holds up no other."""
    await site.indexer.start()
    await site.load("river")
    assert await caught_up(site.db, site.tenant_id, within_s=20)
    assert await site.notes("river") == ["river"]
    async with owner_of(site.db) as owner:
        other = await create_tenant(owner, "other", 1)
        assert await caught_up(site.db, other.tenant_id, within_s=20)
        await _spoil(owner, other.tenant_id)
    await site.load("hill", name="later")
    assert await caught_up(site.db, site.tenant_id, within_s=20)
    assert not await caught_up(site.db, other.tenant_id, within_s=0)
    await site.indexer.stop()
    await site.indexer.stop()
    assert await site.notes("hill") == ["hill"]


async def _spoil(owner: Connection, tenant_id: int) -> None:
    """No document can be written for the tenant."""
    check = f"ALTER TABLE milepost.search_progress ADD CONSTRAINT spoiled CHECK (tenant_id <> {tenant_id} OR position = 0)"
    await owner.execute(check.encode())
    await owner.execute(
        b"INSERT INTO milepost.journal (tenant_id, position, ids, groups, actors) VALUES (%s, 99, '{}', '{}', '{}')",
        (tenant_id,),
    )


async def test_long_texts(site: Site) -> None:
    """Of a text of megabytes the beginning is searched; nothing in it stops the index."""
    many = " ".join(f"word{number}" for number in range(300_000))
    await site.load(f"river {many}", "x" * 3_000_000, "hill " + "y" * 5_000 + " lake", name="long")
    await site.load("pond", name="later")
    await site.indexer.run_once()
    assert len(await site.notes("river")) == 1
    assert len(await site.notes("word100")) == 1
    assert await site.notes("word299999") == []
    assert len(await site.notes("hill lake")) == 1
    assert await site.notes("pond") == ["pond"]
