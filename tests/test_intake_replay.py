"""Dead letters are shown as they were sent, replayed exactly once, and discarded with a reason."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from dead_letter_site import MODEL, Site, a_run
from milepost.intake import replay as replay_module
from milepost.intake.dead_letters import LetterKind, set_aside_raw
from milepost.intake.fault import Fault
from milepost.intake.letters import Selection, contents, find, log_page, page
from milepost.intake.replay import Done, discard, replay
from milepost.schema.models import apply_model, current_model

pytest_plugins = ["fix_dead_letters"]

WHOLE: dict[str, Any] = {
    "object": {"kind": "workout", "id": "w-55"},
    "groups": ["team-1", "team-2"],
    "measures": {"distance_m": 5200.1, "duration_s": 1710},
    "data": {"note": "river ä", "device": "fenix", "deep": [1, {"a": None}]},
    "content": {"questions": [1, 2]},
    "visibility": "public",
    "source": "strava",
    "status": "ok",
}


async def again(site: Site, selection: Selection = Selection(), tenant: str = "a") -> Done:  # noqa: B008
    async with site.db.transaction("point") as conn:
        current = await current_model(conn)
    return await replay(site.db, site.tenants[tenant], selection, model=current.model, version=current.version, by="test")


async def shown(site: Site, tenant: str = "a") -> list[dict[str, Any]]:
    """What lies in each of a tenant's letters."""
    async with site.db.transaction("point", tenant_id=site.tenants[tenant]) as conn:
        found = []
        for one in await page(conn, site.tenants[tenant], Selection(), limit=100):
            letter = await find(conn, site.tenants[tenant], one.letter_id)
            found += await contents(conn, letter, rows=1000)
        return found


async def test_a_letter_shows_what_was_sent(site: Site) -> None:
    """Every field comes back as it was sent, and beside it its place, the id it was given and when it came."""
    await site.refuse("verb <> 'run'")
    sent = [a_run(1, **WHOLE), a_run(2)]
    await site.send(sent)
    await site.lane.run_once()
    one, two = await shown(site)
    assert (one["row"], two["row"]) == (0, 1)
    assert one["received_at"].tzinfo is not None
    activity = one["activity"]
    assert activity["occurred_at"] == "2026-03-01T00:01:00Z"
    assert json.loads(bytes(activity["data"])) == WHOLE["data"]
    assert json.loads(bytes(activity["content"])) == WHOLE["content"]
    assert float(activity["measures"]["distance_m"]) == 5200.1
    plain = {name: value for name, value in activity.items() if name not in ("data", "content", "measures", "occurred_at")}
    assert plain == {
        name: value for name, value in sent[0].items() if name not in ("data", "content", "measures", "occurred_at")
    }


async def test_replay_after_the_cause_is_gone(site: Site) -> None:
    """The letters are gone, their rows loaded, the numbers exact, and the log says who did it; again, nothing happens."""
    await site.refuse("key NOT IN ('run-3', 'run-4', 'run-8')")
    await site.send([a_run(number) for number in range(10)])
    await site.lane.run_once()
    assert [letter[:2] for letter in await site.letters()] == [(3, 2), (8, 1)]
    await site.allow()
    done = await again(site)
    assert (done.letters, done.rows, done.kept, len(done.batches)) == (2, 3, 0, 2)
    await site.lane.run_once()
    assert (await site.letters(), len(await site.keys())) == ([], 10)
    assert await again(site) == Done()
    async with site.db.transaction("point", tenant_id=site.tenants["a"]) as conn:
        (entry,) = await log_page(conn, site.tenants["a"], limit=10)
    assert (entry.done, entry.by, entry.letters, entry.rows, entry.errors) == ("replayed", "test", 2, 3, {"constraint": 3})
    assert tuple(entry.batches) == done.batches
    await site.check()


async def test_replaying_what_still_fails(site: Site) -> None:
    """It becomes a dead letter again, and one replay does not take it twice."""
    await site.refuse("key <> 'run-1'")
    await site.send([a_run(1)])
    await site.lane.run_once()
    assert (await again(site)).letters == 1
    await site.lane.run_once()
    assert [letter[:3] for letter in await site.letters()] == [(0, 1, "constraint")]


async def test_two_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever else replays the same letters at the same time: each goes into the queue once."""
    monkeypatch.setattr(replay_module, "LETTERS_PER_STEP_MAX", 7)
    await site.refuse("key NOT LIKE 'run-%%'")
    for number in range(50):
        await site.send([a_run(number)])
    await site.lane.run_once()
    assert len(await site.letters()) == 50
    await site.allow()
    done = await asyncio.gather(*(again(site) for _ in range(4)))
    assert sum(one.letters for one in done) == 50
    batches = [batch for one in done for batch in one.batches]
    assert len(batches) == len(set(batches)) == 50
    await site.lane.run_once()
    counted = await site.rows(
        "SELECT sum(loaded), sum(duplicates) FROM milepost.queue_1_loaded WHERE batch_id = ANY (%s)", batches
    )
    assert counted == [(50, 0)]


async def test_sent_again_meanwhile(site: Site) -> None:
    """What its client sent again counts once, whether it has a time of the client's, the server's, or no key at all."""
    await site.refuse("verb <> 'run'")
    with_time, without = a_run(1), {"key": "untimed", "actor": "ana", "verb": "run"}
    await site.send([with_time, without, {"actor": "ben", "verb": "run"}])
    await site.lane.run_once()
    await site.allow()
    await site.send([with_time, without])
    await site.lane.run_once()
    assert (await again(site)).rows == 3
    await site.lane.run_once()
    assert await site.rows("SELECT count(*), count(key) FROM milepost.activity") == [(3, 2)]
    await site.check()


async def test_under_another_model(site: Site) -> None:
    """Letters are accepted anew: what the model takes is loaded under its ids, the rest stays and says what is wrong now."""
    await site.refuse("verb <> 'run'")
    sent = [a_run(1, **WHOLE), a_run(2, measures={"distance_m": 90_000.5}), a_run(3, measures={"distance_m": 95_000}), a_run(4)]
    untimed = {"key": "untimed", "actor": "ana", "verb": "run"}
    await site.send([*sent, untimed])
    await site.lane.run_once()
    ids = {one["activity"].get("key"): one["id"] for one in await shown(site)}
    await site.allow()
    bounded = MODEL.replace('distance_m = { type = "decimal(1)" }', 'distance_m = { type = "decimal(1)", max = 50_000 }')
    assert bounded != MODEL
    assert (await apply_model(site.owner, bounded + '[verbs.ride]\nmeasures.climb_m = "integer"\n')).version == 2
    await site.send([untimed])
    await site.lane.run_once()
    done = await again(site)
    assert (done.letters, done.rows, done.kept) == (2, 3, 2)
    await site.lane.run_once()
    ((first, rows, error_class, tries),) = await site.letters()
    assert (first, rows, error_class) == (1, 2, "model")
    assert tries > 2
    ((error, facts),) = await site.rows("SELECT error, facts FROM milepost.dead_letter")
    assert facts["errors"][0]["pointer"] == "/measures/distance_m"
    assert error == "The activity would not be valid."
    loaded = dict(await site.rows("SELECT key, id::text FROM milepost.activity"))
    assert loaded.keys() == {"run-1", "run-4", "untimed"}
    assert (loaded["run-1"], loaded["run-4"]) == (ids["run-1"], ids["run-4"])
    assert [one["activity"]["key"] for one in await shown(site)] == ["run-2", "run-3"]
    assert (await site.rows("SELECT data->'deep', m_distance_m FROM milepost.activity WHERE key = 'run-1'")) == [
        ([1, {"a": None}], 52001)
    ]
    await site.check()
    await apply_model(site.owner, MODEL)
    assert (await again(site)).kept == 0
    await site.lane.run_once()
    assert await site.keys() == {"run-1", "run-2", "run-3", "run-4", "untimed"}
    await site.check()


async def test_selections(site: Site) -> None:
    """By number, class of error, kind and time of the failure; each tenant has its own alone."""
    await site.refuse("verb <> 'run'")
    await site.send([a_run(1)])
    await site.send([a_run(1)], "b")
    await site.put(b"nonsense", 3)
    await site.command({"nothing": "to do"})
    await site.lane.run_once()
    tenant_id = site.tenants["a"]

    async def numbers(**chosen: Any) -> list[int]:
        async with site.db.transaction("point", tenant_id=tenant_id) as conn:
            return [one.letter_id for one in await page(conn, tenant_id, Selection(**chosen), limit=10)]

    every = await numbers()
    assert len(every) == 3
    assert len(await numbers(error_class="constraint")) == 1
    assert len(await numbers(error_class="payload")) == 2
    assert len(await numbers(kind=LetterKind.COMMAND)) == 1
    assert await numbers(ids=(every[1], 10**9)) == [every[1]]
    assert await numbers(since=datetime.now(UTC)) == []
    assert await numbers(until=datetime(2026, 1, 1, tzinfo=UTC)) == []
    done = await discard(site.db, tenant_id, Selection(kind=LetterKind.COMMAND), by="ops", reason="a test's")
    assert (done.letters, done.rows) == (1, 1)
    done = await discard(site.db, tenant_id, Selection(), by="ops", reason="all of it")
    assert (done.letters, done.rows) == (2, 4)
    assert (await numbers(), len(await site.letters("b"))) == ([], 1)
    async with site.db.transaction("point", tenant_id=tenant_id) as conn:
        entries = await log_page(conn, tenant_id, limit=10)
    assert [(one.done, one.by, one.reason, one.letters) for one in entries] == [
        ("discarded", "ops", "all of it", 2),
        ("discarded", "ops", "a test's", 1),
    ]


async def test_a_command_holds_from_when_it_came(site: Site) -> None:
    """A replayed command takes effect at the time at which it was received, not at which it was replayed."""
    await site.owner.execute(b"ALTER TABLE milepost.member ADD CONSTRAINT poison CHECK (role <> 'member')")
    await site.command({"do": "put_group", "id": "team-1", "kind": "team"})
    await site.command({"do": "put_member", "group": "team-1", "actor": "ana", "role": "member"})
    await site.lane.run_once()
    ((received_at,),) = await site.rows("SELECT received_at FROM milepost.dead_letter WHERE kind = 1")
    await site.owner.execute(b"ALTER TABLE milepost.member DROP CONSTRAINT poison")
    assert (await again(site)).rows == 1
    await site.lane.run_once()
    assert await site.rows("SELECT since FROM milepost.member") == [(received_at,)]


async def test_raw_input(site: Site) -> None:
    """Input that could not be mapped is kept as it came, and mapped anew when it is replayed."""
    tenant_id = site.tenants["a"]
    message = {
        "type": "track",
        "event": "Swim",
        "userId": "ana",
        "messageId": "m-1",
        "timestamp": "2026-03-01T07:12:00Z",
        "properties": {},
    }
    async with site.db.transaction("write", tenant_id=tenant_id) as conn:
        await set_aside_raw(
            conn,
            tenant_id,
            json.dumps(message).encode(),
            Fault(error_class="mapping", error="no verb fits"),
            via="segment",
            model=1,
            received_at=datetime.now(UTC),
        )
    assert await shown(site) == [{"row": 0, "raw": message}]
    assert (await again(site)).kept == 1
    assert [letter[2] for letter in await site.letters()] == ["mapping"]
    await apply_model(site.owner, MODEL + "[verbs.swim]\n")
    done = await again(site)
    assert (done.letters, done.rows, done.kept) == (1, 1, 0)
    await site.lane.run_once()
    assert await site.rows("SELECT verb, key FROM milepost.activity") == [("swim", "m-1")]
    assert await site.letters() == []
