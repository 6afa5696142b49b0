"""`create_index` and `drop_index`: under load, behind an old transaction, after a kill, and back."""

from __future__ import annotations

import asyncio

import pytest

from busy_shop import WAITS, Shop
from milepost.doctor.rollout import Waits
from milepost.errors import Conflict, NotFound

pytest_plugins = ["fix_rollout"]

CREATE = {
    "operation": "create_index",
    "table": "public.orders",
    "columns": ["customer_id", "created_at DESC"],
    "include": ["total"],
}
NAME = "orders_customer_id_created_at_desc_idx"


async def test_a_leftover_of_a_cancelled_build_is_taken_away(shop: Shop) -> None:
    """Behind a snapshot that stays open no attempt ends in time: nothing is left, and the next run, with time, builds it."""
    short = Waits(give_up_s=5, pause_s_max=0.1, build_timeout_s=0.5, build_attempts=2)
    async with shop.target.writing() as old:
        await old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await old.execute("SELECT * FROM unrelated")
        before = await shop.shape()
        outcome = await shop.run(CREATE, waits=short)
        assert outcome.standing.state == "rolled_back"
        assert outcome.error is not None and "statement timeout" in str(outcome.error)
        assert await shop.shape() == before
    assert (await shop.run(CREATE)).standing.state == "completed"
    assert await shop.value(f"SELECT indisvalid FROM pg_index WHERE indexrelid = '{NAME}'::regclass")


async def test_an_invalid_index_of_that_name_is_not_taken_for_success(shop: Shop) -> None:
    """A name that is taken is refused before anything is touched, by whatever relation."""
    await shop.query(f"CREATE INDEX {NAME} ON orders (status)")
    outcome = await shop.run(CREATE)
    assert isinstance(outcome.error, Conflict)
    assert await shop.value(f"SELECT pg_get_indexdef('{NAME}'::regclass) LIKE '%(status)'")


async def test_a_duplicate_ends_a_unique_build(shop: Shop) -> None:
    """No attempt is repeated that cannot succeed; the invalid index is gone."""
    before = await shop.shape()
    outcome = await shop.run({"operation": "create_index", "table": "orders", "columns": ["status"], "unique": True})
    assert isinstance(outcome.error, Conflict)
    assert "could not create unique index" in (outcome.standing.error or "")
    assert await shop.shape() == before


async def test_expressions_conditions_and_methods(shop: Shop) -> None:
    """Whatever PostgreSQL takes as an element of an index."""
    outcome = await shop.run(
        {
            "operation": "create_index",
            "table": "orders",
            "columns": ["lower(note)"],
            "where": "status = 'open'",
            "name": "by_note",
        },
        {
            "operation": "create_index",
            "table": "orders",
            "columns": ["created_at"],
            "method": "brin",
            "with": {"pages_per_range": 16},
        },
    )
    assert outcome.standing.state == "completed"
    assert await shop.value("SELECT pg_get_indexdef('by_note'::regclass) LIKE '%lower(note)) WHERE (status = ''open''%'")
    assert "pages_per_range" in await shop.value("SELECT pg_get_indexdef('orders_created_at_idx'::regclass)")


async def test_what_a_constraint_rests_on_is_not_dropped(shop: Shop) -> None:
    """Refused with the constraint's name; a name that nobody has is not found."""
    assert isinstance((await shop.run({"operation": "drop_index", "index": "public.orders_pkey"})).error, Conflict)
    assert isinstance((await shop.run({"operation": "drop_index", "index": "public.nothing"})).error, NotFound)


async def test_one_at_a_time(shop: Shop) -> None:
    """While one change is held, another is refused; the same one completes."""
    assert (await shop.run(CREATE, hold=True)).standing.state == "held"
    with pytest.raises(Conflict, match="under way"):
        await shop.run({"operation": "create_index", "table": "orders", "columns": ["status"]})
    assert (await shop.run(CREATE)).standing.state == "completed"


async def test_two_processes(shop: Shop) -> None:
    """Two runs of the same change at once: one does it, the other finds it done."""
    outcomes = await asyncio.gather(shop.run(CREATE, waits=WAITS), shop.run(CREATE, waits=WAITS))
    assert [outcome.standing.state for outcome in outcomes] == ["completed", "completed"]
    assert await shop.value("SELECT count(*) FROM milepost_doctor.rollout") == 1
