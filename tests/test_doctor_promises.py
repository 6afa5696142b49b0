"""Promises of findings: measured before and after beside controls, kept with the rollout, and learned from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from busy_shop import WAITS, Shop
from milepost.doctor.promises import Correction, Kept, Promise, corrections, expecting, kept, promises_of
from milepost.doctor.rollout import Change, Outcome, Rollout

pytest_plugins = ["fix_rollout"]

INDEX = {"operation": "create_index", "table": "public.orders", "columns": ["note"], "name": "by_note"}
LOOKUP = "SELECT total FROM orders WHERE note = 'n77'"
MADE = Promise(finding="f", kind="create_index", name="lookup", sql=LOOKUP, source="planner", promised=0.01)
CONTROL = Promise(finding="f", kind="create_index", name="all", sql="SELECT count(*) FROM orders", source=None, promised=None)
GONE = replace(MADE, name="gone", sql="SELECT * FROM nothing_there")
SIZE = Promise(finding="f", kind="create_index", name="public.by_note", sql=None, source="estimate", promised=100_000)


async def run(shop: Shop, *, hold: bool = False) -> Outcome:
    async with Rollout.open(shop.target, waits=WAITS, say=shop._say) as rollout:
        return await rollout.run(Change.of("f", [INDEX], [MADE, CONTROL, GONE, SIZE]), hold=hold)


async def test_what_came_of_a_promise(shop: Shop) -> None:
    """Held, nothing is known; completed, each has a figure, also when another run completes it; what cannot be run is said."""
    await run(shop, hold=True)
    assert await kept(shop.target) == []
    assert any("gone is not measured" in said for said in shop.said)
    assert (await run(shop)).standing.state == "completed"
    lookup, size = await kept(shop.target)
    assert (lookup.name, lookup.source, lookup.promised, lookup.expected) == ("lookup", "planner", 0.01, 0.01)
    assert lookup.before is not None and lookup.control is not None
    assert lookup.measured == pytest.approx(lookup.after / lookup.before / lookup.control) and lookup.measured < 0.5
    assert size.name == "public.by_note" and size.measured == await shop.value("SELECT pg_relation_size('by_note')")


async def test_a_rollout_that_was_taken_back_is_no_lesson(shop: Shop) -> None:
    """And where nothing was promised, nothing is kept."""
    await run(shop)
    await shop.roll_back()
    assert await kept(shop.target) == []
    assert (await shop.run({**INDEX, "name": "again"})).standing.state == "completed"


def came(promised: float, measured: float, *, before: float = 10.0, source: str = "planner") -> Kept:
    return Kept(
        finding="f", kind="create_index", name="s", source=source, promised=promised, expected=promised, measured=measured,
        before=before, after=measured * before, control=None, at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def test_a_floor_is_learned_of_the_planner() -> None:
    """Where small promises end at the same time, whatever they were; a promise that is far above it is left alone."""
    floored = [came(promised, promised + 0.016 / 10) for promised in (0.0001, 0.0002, 0.0005, 0.3)]
    (learned,) = corrections(floored).values()
    assert learned == Correction(kind="create_index", source="planner", count=4, floor_ms=0.016)
    assert learned.expected(0.0001, 10.0) == pytest.approx(0.0017) and learned.expected(0.3, 10.0) == pytest.approx(
        0.3, rel=0.01
    )
    (none,) = corrections([came(promised, promised) for promised in (0.0001, 0.01, 0.3)]).values()
    assert none.floor_ms == 0.0


def test_a_factor_is_learned_of_others_and_held_back() -> None:
    """One promise that was off by four moves the next by little, twenty by nearly all; kinds and sources do not mix."""
    once = corrections([came(0.1, 0.4, source="proof")])["create_index", "proof"]
    often = corrections([came(0.1, 0.4, source="proof")] * 20)["create_index", "proof"]
    assert once.factor == pytest.approx(4**0.2) and often.factor == pytest.approx(4 ** (20 / 24))
    proof, planner = replace(MADE, source="proof"), MADE
    expect = expecting([came(0.1, 0.4, source="proof")] * 20)
    assert (
        expect(proof, 5.0) == pytest.approx(0.01 * often.factor)
        and expect(planner, 5.0) == 0.01
        and expect(CONTROL, 5.0) is None
    )


def test_promises_are_read_from_the_evidence() -> None:
    """The proof's before the planner's; what nothing is promised of is a control; bytes of an index."""
    evidence = {
        "statements": {"a": [100.0, 5.0], "b": [10.0, 5.0], "hidden": [9.0, 1.0]},
        "measured": {"a": {"ratio": 0.2}},
        "estimated_bytes": 8192,
    }
    found = {one.name: one for one in promises_of("f", evidence, INDEX, {"a": "SELECT 1", "b": "SELECT 2", "c": "SELECT 3"})}
    assert {name: (one.source, one.promised) for name, one in found.items()} == {
        "a": ("proof", 0.2), "b": ("planner", 0.5), "c": (None, None), "public.by_note": ("estimate", 8192.0),
    }  # fmt: skip
