"""`change_type`: keys with sequences, values that do not fit, what is refused, and the way back without a loss."""

from __future__ import annotations

import pytest

from busy_shop import Shop
from milepost.errors import Conflict, DatabaseError

pytest_plugins = ["fix_rollout"]

KEY = {"operation": "change_type", "table": "public.orders", "column": "order_id", "type": "bigint"}


async def test_a_key_becomes_bigint_and_goes_back(shop: Shop) -> None:
    """The primary key, its sequence and its default follow; rows written on either side of the swap are there after the way back."""
    before = await shop.shape()
    assert (await shop.run(KEY, hold=True)).standing.state == "held"
    assert await shop.value("SELECT pg_typeof(order_id)::text FROM orders LIMIT 1") == "bigint"
    await shop.query("INSERT INTO orders (customer_id, note) VALUES (7, 'after the swap')")
    assert await shop.value("SELECT count(*) FROM orders WHERE order_id = order_id_milepost_old") == 3001
    assert (await shop.roll_back()).standing.state == "rolled_back"
    assert await shop.shape() == before
    assert await shop.value("SELECT count(*) FROM orders WHERE note = 'after the swap' AND order_id = 3001") == 1
    assert (await shop.run(KEY)).standing.state == "completed"
    await shop.query("SELECT setval('orders_order_id_seq', 3000000000); INSERT INTO orders (customer_id) VALUES (1)")
    assert await shop.value("SELECT max(order_id) FROM orders") == 3_000_000_001
    with pytest.raises(Conflict, match="the old column is dropped"):
        await shop.roll_back()


async def test_the_way_back_loses_nothing_silently(shop: Shop) -> None:
    """A value that the old type cannot take does not fail the application's statement; it stops the way back until it is gone."""
    await shop.run(KEY, hold=True)
    await shop.query("INSERT INTO orders (order_id, customer_id) VALUES (5000000000, 1)")
    with pytest.raises(DatabaseError, match="out of range"):
        await shop.roll_back()
    assert await shop.value("SELECT count(*) FROM orders WHERE order_id = 5000000000") == 1
    await shop.query("DELETE FROM orders WHERE order_id = 5000000000")
    assert (await shop.roll_back()).standing.state == "rolled_back"


async def test_values_that_do_not_fit_are_found_before_the_swap(shop: Shop) -> None:
    """A row that cannot be converted ends it, and it is rolled back."""
    before = await shop.shape()
    outcome = await shop.run({"operation": "change_type", "table": "orders", "column": "note", "type": "integer"})
    assert outcome.standing.state == "rolled_back"
    assert "invalid input syntax" in str(outcome.error)
    assert await shop.shape() == before


async def test_what_rests_on_the_column_is_named(shop: Shop) -> None:
    """A view, or an index's condition, would not follow: it is refused before anything is touched."""
    await shop.query("CREATE VIEW totals AS SELECT sum(total) FROM orders; CREATE INDEX ON orders (note) WHERE status = 'open'")
    of_view = await shop.run({"operation": "change_type", "table": "orders", "column": "total", "type": "float8"})
    assert isinstance(of_view.error, Conflict) and "view totals" in str(of_view.error)
    of_index = await shop.run({"operation": "change_type", "table": "orders", "column": "status", "type": "varchar(9)"})
    assert isinstance(of_index.error, Conflict) and "orders_note_idx" in str(of_index.error)
