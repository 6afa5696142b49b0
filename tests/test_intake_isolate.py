"""What cannot be loaded is set aside, as little of it as possible, while its lane goes on."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dead_letter_site import Site, a_run
from milepost.intake import _rows, isolate
from milepost.intake._batches import Batch, Loaded
from milepost.intake.fault import Fault
from milepost.intake.isolate import Isolation
from milepost.settings import Settings
from payloads import payload_of

pytest_plugins = ["fix_dead_letters"]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DATA = Fault(error_class="data", error="out of range")
SCHEMA = Fault(error_class="schema", error="no such column")


def isolation_of(rows: int, fault: Fault = DATA) -> Isolation:
    batch = Batch(batch_id=1, lane=0, tenant_id=1, kind=0, model=1, rows=rows, received_at=NOW, table=1, txid=1)
    payload = payload_of([struct.pack(">hiii16s", 2, 4, 1, 16, number.to_bytes(16, "big")) for number in range(rows)])
    return Isolation(batch, payload, tries=1, first_failed_at=NOW, fault=fault)


def ids_in(payload: bytes) -> list[int]:
    opened = _rows.open_payload(payload)
    return [int.from_bytes(opened.rows[end - 16 : end], "big") for end in opened.ends()]


def search(isolation: Isolation, poison: set[int], fault: Fault = DATA) -> tuple[list[int], list[list[int]], int]:
    """→ the rows that were loaded, those that were refused (each stretch), and how many loads it took."""
    loaded: list[int] = []
    loads = 0
    while not isolation.done:
        batch, payload = isolation.stretch()
        ids = ids_in(payload)
        assert len(ids) == batch.rows
        loads += 1
        if poison & set(ids):
            isolation.failed(fault)
        else:
            loaded += ids
            isolation.went_well(Loaded(batch_id=1, position=loads, loaded=len(ids), duplicates=0))
    return loaded, [ids_in(isolation.payload_of(one)) for one in isolation.refused], loads


@hypothesis_settings(deadline=None, max_examples=200)
@given(rows=st.integers(1, 300), poison=st.sets(st.integers(0, 299), max_size=40))
def test_exactly_the_poison_rows_are_refused(rows: int, poison: set[int]) -> None:
    """Whichever rows are poison: the others are loaded, once and in their order, and no row is lost."""
    poison = {number for number in poison if number < rows}
    loaded, refused, loads = search(isolation_of(rows), poison)
    assert loaded == [number for number in range(rows) if number not in poison]
    assert [number for stretch in refused for number in stretch] == sorted(poison)
    assert loads <= 2 * (len(poison) + 1) * (rows.bit_length() + 1)


def test_one_poison_row_costs_few_loads() -> None:
    """One in 10,000 is found in some 28 loads; 10,000 of them in a load each, and lie together."""
    assert search(isolation_of(10_000), {7_321})[2] <= 28
    loaded, refused, loads = search(isolation_of(10_000), set(range(10_000)))
    assert (loaded, len(refused), len(refused[0])) == ([], 1, 10_000)
    assert loads < 10_100


def test_what_holds_for_every_row_is_not_searched_for() -> None:
    """Three rows in a row with an error of the tables, and none loaded: the batch is refused as it is, in a few loads."""
    _, refused, loads = search(isolation_of(10_000, SCHEMA), set(range(10_000)), SCHEMA)
    assert [len(stretch) for stretch in refused] == [10_000]
    assert loads < 20


def test_time_is_up() -> None:
    """What was not looked into is refused together, and says so."""
    isolation = isolation_of(100)
    isolation.failed(DATA)
    isolation.give_up()
    (one,) = isolation.refused
    assert (one.first_row, one.rows, one.fault.facts) == (0, 100, {"searched": False})


# ── On real tables ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_one_poison_row_of_ten_thousand(site: Site) -> None:
    """It alone becomes a dead letter, with its error and its place; the 9,999 others are loaded, and all numbers are exact."""
    await site.refuse("key <> 'run-7321'")
    batch_id = await site.send([a_run(number) for number in range(10_000)])
    after = await site.send([a_run(20_000)])
    await site.lane.run_once()
    assert await site.letters() == [(7321, 1, "constraint", pytest.approx(8, abs=7))]
    ((error, facts, found, rows),) = await site.rows("SELECT error, facts, batch_id, batch_rows FROM milepost.dead_letter")
    assert 'violates check constraint "poison"' in error
    assert (facts["sqlstate"], facts["constraint"]) == ("23514", "poison")
    assert (found, rows) == (batch_id, 10_000)
    assert len(await site.keys()) == 10_000
    assert await site.mark(batch_id) == (9_999, 0, {"status": 207, "set_aside": 1, "detail": error})
    assert await site.mark(after) == (1, 0, None)
    await site.check()


async def test_what_postgresql_cannot_compute(site: Site) -> None:
    """A sum that no longer fits is found in the fold, and only the row that made it so is set aside."""
    largest = 9e14
    await site.owner.execute(b"ALTER TABLE milepost.rollup_per_actor ADD CONSTRAINT small CHECK (n < 3)")
    batch_id = await site.send([a_run(number, actor="user-1", measures={"distance_m": largest / 10}) for number in range(4)])
    await site.lane.run_once()
    assert [letter[:3] for letter in await site.letters()] == [(2, 2, "constraint")]
    assert (await site.mark(batch_id))[:2] == (2, 0)


async def test_an_unreadable_payload(site: Site) -> None:
    """It is set aside whole, since its rows cannot be told apart, and the tenant goes on."""
    broken = await site.put(b"not zstd at all", 5)
    cut_off = await site.put(_rows.seal_payload(payload_of([struct.pack(">hi", 1, 16) + b"short"])), 1)
    await site.send([a_run(1)])
    await site.lane.run_once()
    assert [letter[:3] for letter in await site.letters()] == [(0, 5, "payload"), (0, 1, "payload")]
    assert (await site.mark(broken))[2]["status"] == (await site.mark(cut_off))[2]["status"] == 500
    assert await site.keys() == {"run-1"}


async def test_the_lane_goes_on_between_tries(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may pass by itself is tried again later; until then the tenant waits, in its order, and the others do not."""
    monkeypatch.setattr(isolate, "RETRY_S", 60.0)
    await site.owner.execute(b"ALTER TABLE milepost.rollup_per_actor RENAME TO away")
    first = await site.send([a_run(1)])
    await site.lane.run_once()
    assert await site.letters() == []
    care = site.lane.trouble._tenants[site.tenants["a"]]
    assert (care.tries, care.batches_max) == (1, 1)
    await site.owner.execute(b"ALTER TABLE milepost.away RENAME TO rollup_per_actor")
    await site.send([a_run(2)])
    await site.send([a_run(3)], "b")
    await site.lane.run_once()
    assert (await site.keys("a"), await site.keys("b")) == (set(), {"run-3"})
    care.not_before = 0.0
    await site.lane.run_once()
    assert await site.keys("a") == {"run-1", "run-2"}
    assert await site.mark(first) == (1, 0, None)
    await site.check()


async def test_a_lasting_error_of_the_tables(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the tries that the settings allow, the batch is set aside as one letter; nothing of it is loaded."""
    monkeypatch.setattr(isolate, "RETRY_S", 0.0)
    await site.owner.execute(b"ALTER TABLE milepost.rollup_per_actor DROP COLUMN n")
    batch_id = await site.send([a_run(number) for number in range(50)])
    while not await site.letters():
        await site.lane.run_once()
    ((first, rows, error_class, tries),) = await site.letters()
    assert (first, rows, error_class) == (0, 50, "schema")
    assert tries >= site.settings.load_tries_max
    assert await site.keys() == set()
    assert (await site.mark(batch_id))[2]["status"] == 500


async def test_a_missing_partition_comes_back(site: Site) -> None:
    """A partition that was dropped behind the loader's back is made again: that is nobody's poison row."""
    await site.send([a_run(1)])
    await site.lane.run_once()
    ((partition,),) = await site.rows("SELECT tableoid::regclass::text FROM milepost.activity WHERE key = 'run-1'")
    await site.owner.execute(f"DROP TABLE {partition}".encode())
    await site.send([a_run(2)])
    await site.lane.run_once()
    assert await site.letters() == []
    assert await site.keys() == {"run-2"}


async def test_poison_among_many_batches(site: Site) -> None:
    """Of 60 batches in one run, those without poison are loaded whole, and the order within the tenant is kept."""
    await site.refuse("key <> ALL ('{run-55,run-205,run-206}')")
    batches = [await site.send([a_run(10 * number + row) for row in range(10)]) for number in range(60)]
    await site.lane.run_once()
    assert [letter[:3] for letter in await site.letters()] == [(5, 1, "constraint"), (5, 2, "constraint")]
    assert len(await site.keys()) == 597
    ((ordered,),) = await site.rows(
        "SELECT bool_and(position >= before) FROM"
        " (SELECT position, lag(position) OVER (ORDER BY batch_id) AS before FROM milepost.queue_1_loaded) AS marks"
    )
    assert ordered
    assert {(await site.mark(batch_id))[0] for batch_id in batches} == {8, 9, 10}
    await site.check()


async def test_poison_commands(site: Site) -> None:
    """A command that breaks is set aside alone: the others of its list are done, and a later retraction finds its activity."""
    await site.owner.execute(b"ALTER TABLE milepost.groups ADD CONSTRAINT poison CHECK (external_id <> 'bad')")
    ids = await site.send([a_run(1)])
    batch_id = await site.command(
        {"do": "put_group", "id": "good", "kind": "team"},
        {"do": "put_group", "id": "bad", "kind": "team"},
        {"do": "put_group", "id": "better", "kind": "team"},
    )
    nonsense = await site.command({"nothing": "to do"})
    await site.lane.run_once()
    ((activity,),) = await site.rows("SELECT id FROM milepost.activity")
    retracted = await site.command({"do": "retract", "id": str(activity)})
    await site.lane.run_once()
    assert [letter[:2] for letter in await site.letters()] == [(1, 1), (0, 1)]
    groups = await site.rows("SELECT external_id FROM milepost.groups WHERE kind = 'team' ORDER BY 1")
    assert groups == [("better",), ("good",)]
    answers = (await site.mark(batch_id))[2]["answers"]
    assert [answer["status"] for answer in answers] == [200, 500, 200]
    assert (await site.mark(nonsense))[2]["status"] == 500
    assert (await site.mark(retracted))[2]["status"] == 204
    assert (await site.mark(ids))[0] == 1
    await site.check()


async def test_an_older_models_batch(site: Site) -> None:
    """A batch that was accepted under a model whose column is gone is set aside whole; the rest goes on."""
    batch_id = await site.send([a_run(1), a_run(2)])
    await site.owner.execute(b"ALTER TABLE milepost.activity DROP COLUMN m_duration_s")
    site.lane.settings = Settings(data_dir=site.settings.data_dir, load_tries_max=1)
    await site.lane.run_once()
    assert [letter[:3] for letter in await site.letters()] == [(0, 2, "schema")]
    assert (await site.mark(batch_id))[2]["status"] == 500


async def test_the_search_is_bounded(site: Site) -> None:
    """When the time for a batch is up, what is left is set aside together, and what went well stays."""
    await site.refuse("key NOT LIKE 'run-%%5'")
    site.lane.settings = Settings(data_dir=site.settings.data_dir, isolate_s=0.1)
    await site.send([a_run(number) for number in range(2_000)])
    await site.lane.run_once()
    letters = await site.rows("SELECT first_row, rows, facts FROM milepost.dead_letter ORDER BY letter_id")
    assert sum(row[1] for row in letters) + len(await site.keys()) == 2_000
    assert letters[-1][2]["searched"] is False
    await site.check()


def test_json_of_faults() -> None:
    """What PostgreSQL cannot hold is taken out of an error before it is kept."""
    from milepost.intake.fault import fault_of

    fault: Any = fault_of(ValueError("a\0b\ud800"))
    assert (fault.error_class, fault.error) == ("payload", "ValueError: a�b�")
    json.dumps(fault.facts)
