"""Lint: what statements do is measured on an empty clone; what a linter of text catches, and what it misses."""

from __future__ import annotations

from pathlib import Path

import pytest

from busy_shop import Shop
from milepost.doctor.rollout.lint import Measured, Problem, judged, measured
from milepost.doctor.scratch import Scratch
from milepost.errors import InvalidInput
from milepost.postgres import EmbeddedServer

pytest_plugins = ["fix_rollout"]

MORE = """
ALTER TABLE orders ADD CONSTRAINT orders_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customer;
CREATE INDEX orders_status ON orders (status);
CREATE MATERIALIZED VIEW sales AS SELECT created_at::date AS day, sum(total) FROM orders GROUP BY 1;
CREATE UNIQUE INDEX ON sales (day);
CREATE TABLE audit (at timestamptz);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER audit AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION note();
CREATE TABLE event (at timestamptz NOT NULL, body text) PARTITION BY RANGE (at);
CREATE TABLE event_1 (at timestamptz NOT NULL, body text);
"""

# One statement → the worst problem it has, what it locks at worst, and the operation that does it without.
KNOWN: list[tuple[str, str | None, str | None]] = [
    # What linters of text catch as well
    ("CREATE INDEX ON orders (total)", "scans_under_lock", "create_index"),
    ("ALTER TABLE orders ALTER COLUMN order_id TYPE bigint", "rewrites_under_lock", "change_type"),
    ("ALTER TABLE orders ALTER COLUMN status SET NOT NULL", "scans_under_lock", "set_not_null"),
    ("ALTER TABLE orders ADD COLUMN reference uuid DEFAULT gen_random_uuid()", "rewrites_under_lock", "add_column"),
    ("ALTER TABLE orders ADD CHECK (total >= 0)", "scans_under_lock", "add_check"),
    (
        "ALTER TABLE orders ADD CONSTRAINT again FOREIGN KEY (customer_id) REFERENCES customer",
        "scans_under_lock",
        "add_foreign_key",
    ),
    ("ALTER TABLE orders ADD UNIQUE (note)", "scans_under_lock", None),
    ("ALTER TABLE orders RENAME COLUMN note TO remark", "no_lock_timeout", None),
    ("BEGIN; CREATE INDEX CONCURRENTLY ON orders (total); COMMIT", "fails", None),
    ("TRUNCATE audit", "no_lock_timeout", None),
    ("REINDEX INDEX orders_status", "scans_under_lock", "reindex"),
    ("VACUUM FULL orders", "rewrites_under_lock", None),
    # What they miss
    ("DROP TRIGGER audit ON orders", "no_lock_timeout", "drop_trigger"),
    ("ALTER TABLE orders DISABLE TRIGGER audit", "no_lock_timeout", "disable_trigger"),
    ("CREATE TRIGGER b AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION note()", "no_lock_timeout", None),
    ("REFRESH MATERIALIZED VIEW sales", "rewrites_under_lock", "refresh_view"),
    ("CLUSTER orders USING orders_pkey", "rewrites_under_lock", None),
    ("ALTER TABLE event ATTACH PARTITION event_1 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')", "scans_under_lock", None),
    ("DROP INDEX orders_status", "no_lock_timeout", "drop_index"),
    # What is fine
    ("CREATE INDEX CONCURRENTLY ON orders (total)", None, None),
    ("DROP INDEX CONCURRENTLY orders_status", None, None),
    ("REINDEX INDEX CONCURRENTLY orders_status", None, None),
    ("VACUUM orders", None, None),
    ("REFRESH MATERIALIZED VIEW CONCURRENTLY sales", None, None),
    ("SET lock_timeout = '200ms'; ALTER TABLE orders ADD COLUMN reference uuid", None, None),
    ("SET lock_timeout = '200ms'; ALTER TABLE orders ADD CHECK (total >= 0) NOT VALID", None, None),
    ("CREATE TABLE fresh (a bigint PRIMARY KEY); CREATE INDEX ON fresh (a)", None, None),
    ("UPDATE orders SET total = 0 WHERE order_id = 1", None, None),
]


@pytest.fixture
async def shop_with_more(shop: Shop) -> Shop:
    await shop.query(MORE)
    return shop


async def linted(shop: Shop, server: EmbeddedServer, *texts: str) -> list[list[Problem]]:
    found = []
    async with Scratch.open(shop.target, server=server) as scratch:
        for text in texts:
            async with scratch.fresh() as url:
                one = Scratch(url=url, major=scratch.major, notes=(), maintenance_url=scratch.maintenance_url)
                found.append([problem for each in await measured(one, text) for problem in judged(each)])
    return found


async def test_known_statements(shop_with_more: Shop, server: EmbeddedServer) -> None:
    """Each has the problem that it has, and no other first; what is fine has none; the target is as it was."""
    before = await shop_with_more.shape()
    found = await linted(shop_with_more, server, *(text for text, _, _ in KNOWN))
    wrong = []
    for (text, rule, operation), problems in zip(KNOWN, found, strict=True):
        first = problems[0] if problems else None
        if (first.rule if first else None, first.operation if first else None) != (rule, operation):
            wrong.append((text, rule, operation, first))
    assert not wrong, "\n".join(map(str, wrong))
    assert await shop_with_more.shape() == before


async def test_a_concurrent_build_is_seen_in_its_waits(shop: Shop, server: EmbeddedServer) -> None:
    """It holds SHARE UPDATE EXCLUSIVE on the table in each of them, and nothing stronger."""
    async with Scratch.open(shop.target, server=server) as scratch:
        (found,) = await measured(scratch, "CREATE INDEX CONCURRENTLY ON orders (total)")
    assert isinstance(found, Measured)
    assert found.alone and found.error is None
    assert found.locks["orders"] == "ShareUpdateExclusiveLock"


async def test_lines_and_breaking_changes(shop: Shop, server: EmbeddedServer) -> None:
    """A problem has the line of its statement; what clients lose is named."""
    text = "-- first\nSET lock_timeout = '1s';\n\nALTER TABLE orders DROP COLUMN note;\nALTER TABLE orders ADD COLUMN at timestamp;\n"
    (found,) = await linted(shop, server, text)
    assert [(problem.line, problem.rule) for problem in found] == [(4, "breaks_clients"), (5, "type")]
    assert "orders.note" in found[0].message


async def test_what_is_no_sql(shop: Shop, server: EmbeddedServer, tmp_path: Path) -> None:
    """Is refused with the parser's words."""
    with pytest.raises(InvalidInput):
        await linted(shop, server, "ALTER TABEL orders")
