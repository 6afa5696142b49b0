"""Each operation by the same harness: it starts, rolls back, starts again and completes, under load and under SIGKILL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from busy_shop import WAITS, Shop
from effort import LONG
from milepost.doctor.rollout import Change
from milepost.doctor.rollout.operations import OPERATIONS
from milepost.doctor.rollout.plan import planned
from milepost.errors import NotFound
from run_rollout import killed_at

pytest_plugins = ["fix_rollout"]

SLACK_MS = 250  # what a busy machine adds to a request, beside a lock timeout


@dataclass(frozen=True, kw_only=True)
class Case:
    """One operation. before: SQL that makes what it needs. done: a query that is true once it is complete. kill_at: the step at which
    it is killed in the short form; the long one goes through all. one_way: there is nothing to take back.
    """

    operation: Mapping[str, Any]
    done: str
    before: str = ""
    kill_at: int = 2
    one_way: bool = False

    def __str__(self) -> str:
        return str(self.operation["operation"])


# Of every row as the application sees it; by text, since a type may be another one.
HASH = """
SELECT md5(string_agg(concat_ws('|', order_id, customer_id, status, total, note, created_at), ';' ORDER BY order_id)) FROM orders
"""
TRIGGER = """
CREATE TABLE audit (at timestamptz);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO audit VALUES (now()); RETURN NULL; END';
CREATE TRIGGER audit AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION note();
"""
PARTITIONED = """
CREATE TABLE event (n integer PRIMARY KEY, kind text, at timestamptz DEFAULT now()) PARTITION BY RANGE (n);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (100);
CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (100) TO (200);
INSERT INTO event SELECT n, 'k' FROM generate_series(0, 199) n
"""
# Of `orders`, all that a table that takes its place has to have.
BELONGINGS = """
ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customer, ADD CONSTRAINT not_negative CHECK (total >= 0);
CREATE INDEX by_customer ON orders (customer_id DESC) INCLUDE (total) WHERE total > 3;
"""
CASES = [
    Case(
        operation={"operation": "create_index", "table": "public.orders", "columns": ["customer_id"]},
        done="SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('orders_customer_id_idx')",
    ),
    Case(
        operation={"operation": "drop_index", "index": "public.orders_status"},
        before="CREATE INDEX orders_status ON orders (status) INCLUDE (total) WHERE total > 3",
        done="SELECT to_regclass('orders_status') IS NULL",
    ),
    Case(
        operation={"operation": "reindex", "index": "public.orders_status"},
        before="CREATE INDEX orders_status ON orders (status)",
        done="SELECT count(*) = 1 FROM pg_index WHERE indisvalid AND indexrelid::regclass::text LIKE 'orders_status%'",
    ),
    Case(
        operation={"operation": "add_check", "table": "public.orders", "name": "not_negative", "check": "total >= 0"},
        done="SELECT convalidated FROM pg_constraint WHERE conname = 'not_negative'",
    ),
    Case(
        operation={"operation": "validate_constraint", "table": "orders", "constraint": "not_negative"},
        before="ALTER TABLE orders ADD CONSTRAINT not_negative CHECK (total >= 0) NOT VALID",
        done="SELECT convalidated FROM pg_constraint WHERE conname = 'not_negative'",
        one_way=True,
    ),
    Case(
        operation={
            "operation": "add_foreign_key",
            "table": "public.orders",
            "columns": ["customer_id"],
            "references": "public.customer",
            "on_delete": "cascade",
        },
        done="SELECT convalidated AND confdeltype = 'c' FROM pg_constraint WHERE conname = 'orders_customer_id_fkey'",
    ),
    Case(
        operation={"operation": "add_key", "table": "public.orders", "columns": ["order_id", "created_at"], "primary": True},
        before="ALTER TABLE orders DROP CONSTRAINT orders_pkey; ALTER TABLE orders ALTER order_id DROP NOT NULL",
        done="SELECT pg_get_constraintdef(oid) = 'PRIMARY KEY (order_id, created_at)' FROM pg_constraint WHERE conname = 'orders_pkey'",
        kill_at=6,
    ),
    Case(
        operation={"operation": "set_not_null", "table": "public.orders", "column": "status"},
        done="SELECT attnotnull FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'status'",
    ),
    Case(
        operation={"operation": "disable_trigger", "table": "public.orders", "trigger": "audit"},
        before=TRIGGER,
        done="SELECT tgenabled = 'D' FROM pg_trigger WHERE tgname = 'audit'",
    ),
    Case(
        operation={"operation": "drop_trigger", "table": "public.orders", "trigger": "audit"},
        before=TRIGGER + "ALTER TABLE orders ENABLE ALWAYS TRIGGER audit",
        done="SELECT NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'audit')",
    ),
    Case(
        operation={
            "operation": "narrow_trigger",
            "table": "public.orders",
            "trigger": "audit",
            "update_of": ["status"],
            "when": "OLD.status IS DISTINCT FROM NEW.status",
        },
        before=TRIGGER,
        done="SELECT pg_get_triggerdef(oid) LIKE '%UPDATE OF status ON%WHEN ((old.status%' FROM pg_trigger WHERE tgname = 'audit'",
    ),
    Case(
        operation={"operation": "set_setting", "setting": "random_page_cost", "value": 1.5, "scope": "database"},
        done="SELECT current_setting('random_page_cost') = '1.5'",
        kill_at=1,
    ),
    Case(
        operation={
            "operation": "set_options",
            "table": "orders",
            "options": {"fillfactor": 80, "toast.autovacuum_enabled": False},
        },
        before="ALTER TABLE orders SET (fillfactor = 95)",
        done="SELECT 'fillfactor=80' = ANY (reloptions) FROM pg_class WHERE oid = 'orders'::regclass",
    ),
    Case(
        operation={"operation": "vacuum", "table": "orders"},
        done="SELECT reltuples > 0 FROM pg_class WHERE oid = 'orders'::regclass",
        one_way=True,
        kill_at=1,
    ),
    Case(
        operation={"operation": "analyze", "table": "orders", "statistics": {"status": 500}},
        done="SELECT attstattarget = 500 FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'status'",
    ),
    Case(
        operation={"operation": "refresh_view", "view": "public.sales", "unique": ["day"]},
        before="CREATE MATERIALIZED VIEW sales AS SELECT created_at::date AS day, sum(total) FROM orders GROUP BY 1;"
        "INSERT INTO orders (customer_id, total, created_at) VALUES (1, 5, '2001-01-01')",
        done="SELECT count(*) = 1 FROM sales WHERE day = '2001-01-01'",
    ),
    Case(
        operation={
            "operation": "add_column",
            "table": "public.orders",
            "column": "reference",
            "type": "uuid",
            "default": "gen_random_uuid()",
            "not_null": True,
        },
        done="SELECT count(*) = count(DISTINCT reference) AND (SELECT attnotnull FROM pg_attribute WHERE attname = 'reference') FROM orders",
        kill_at=5,
    ),
    Case(
        operation={"operation": "create_index", "table": "public.event", "columns": ["kind"]},
        before=PARTITIONED,
        done="SELECT count(*) = 3 AND bool_and(indisvalid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname LIKE '%event_kind_idx'",
        kill_at=4,
    ),
    Case(
        operation={
            "operation": "partition_table",
            "table": "public.orders",
            "by": "created_at",
            "bounds": ["MINVALUE", "2026-02-01", "2026-03-01", "MAXVALUE"],
            "widen_keys": True,
        },
        before=BELONGINGS,
        done="SELECT count(*) = 3 FROM pg_inherits WHERE inhparent = 'orders'::regclass",
        kill_at=7,
    ),
    Case(
        operation={"operation": "rewrite_table", "table": "public.orders"},
        before=BELONGINGS + "ALTER TABLE orders ADD gone integer; ALTER TABLE orders DROP gone",
        done="SELECT NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attisdropped)",
        kill_at=9,
    ),
    Case(
        operation={"operation": "create_partitions", "table": "public.event", "bounds": [200, 300, 400]},
        before=PARTITIONED,
        done="SELECT count(*) = 4 FROM pg_inherits WHERE inhparent = 'event'::regclass",
        kill_at=3,
    ),
    Case(
        operation={"operation": "alter_sequence", "sequence": "short", "type": "bigint"},
        before="CREATE SEQUENCE short AS integer",
        done="SELECT seqmax = 9223372036854775807 FROM pg_sequence WHERE seqrelid = 'short'::regclass",
    ),
    Case(
        operation={"operation": "create_statistics", "table": "orders", "columns": ["status", "customer_id"]},
        done="SELECT count(*) = 1 FROM pg_stats_ext WHERE statistics_name = 'orders_status_customer_id_stats'",
    ),
    Case(
        operation={"operation": "create_extension", "extension": "pg_trgm"},
        done="SELECT count(*) = 1 FROM pg_extension WHERE extname = 'pg_trgm'",
    ),
    Case(
        operation={"operation": "change_type", "table": "public.orders", "column": "customer_id", "type": "bigint"},
        before="CREATE INDEX by_customer ON orders (customer_id DESC) INCLUDE (total); CREATE UNIQUE INDEX ON orders (order_id, customer_id)",
        done="SELECT count(*) = 2 FROM pg_indexes WHERE tablename = 'orders' AND indexdef LIKE '%customer_id%'",
        kill_at=8,
    ),
]
every = pytest.mark.parametrize("case", CASES, ids=str)


TYPO = "Did you mean customer_id"
COLUMNS: list[dict[str, Any]] = [
    {"operation": "create_index", "table": "orders", "columns": ["customr_id"]},
    {"operation": "create_index", "table": "orders", "columns": ["lower(note)", "(customr_id % 7) DESC"]},
    {"operation": "create_index", "table": "orders", "columns": ["note"], "include": ["customr_id"]},
    {"operation": "create_index", "table": "orders", "columns": ["note"], "where": "orders.customr_id > 7"},
    {"operation": "create_statistics", "table": "orders", "columns": ["status", "customr_id"]},
    {"operation": "add_check", "table": "orders", "name": "positive", "check": "customr_id > 0"},
    {"operation": "add_foreign_key", "table": "orders", "columns": ["customr_id"], "references": "customer"},
    {
        "operation": "add_foreign_key",
        "table": "orders",
        "columns": ["customer_id"],
        "references": "customer",
        "referenced": ["customr_id"],
    },
    {"operation": "add_key", "table": "orders", "columns": ["order_id", "customr_id"]},
    {"operation": "analyze", "table": "orders", "statistics": {"customr_id": 500}},
    {"operation": "set_not_null", "table": "orders", "column": "customr_id"},
    {"operation": "change_type", "table": "orders", "column": "customr_id", "type": "bigint"},
    {"operation": "change_type", "table": "orders", "column": "order_id", "type": "bigint", "using": "customr_id + 1"},
    {"operation": "partition_table", "table": "orders", "by": "customr_id", "bounds": ["MINVALUE", "MAXVALUE"]},
]


@pytest.mark.parametrize("operation", COLUMNS, ids=[f"{n}-{one['operation']}" for n, one in enumerate(COLUMNS)])
async def test_a_column_that_there_is_not(shop: Shop, operation: Mapping[str, Any]) -> None:
    """Refused when it is planned, with the nearest that there is."""
    with pytest.raises(NotFound, match=TYPO):
        await planned(shop.target, Change.of("typo", [operation]))


async def test_a_column_that_comes_can_be_named(shop: Shop) -> None:
    """By the operations after the one that adds it."""
    added = {"operation": "add_column", "table": "orders", "column": "reference", "type": "uuid"}
    after: list[Mapping[str, Any]] = [
        {"operation": "create_index", "table": "public.orders", "columns": ["reference", "(orders IS NULL)", "length(status)"]},
        {"operation": "set_not_null", "table": "orders", "column": "reference"},
    ]
    assert len(await planned(shop.target, Change.of("new", [added, *after]))) == 3
    with pytest.raises(NotFound, match="no column reference"):
        await planned(shop.target, Change.of("old", after))


def test_every_operation_has_a_case() -> None:
    """The harness knows all of them."""
    assert {str(case) for case in CASES} == OPERATIONS.keys()


@every
async def test_start_roll_back_start_complete(shop: Shop, case: Case) -> None:
    """Rolled back, the database is as it was found; nothing is served half; twice done is done once."""
    if case.before:
        await shop.query(case.before)
    before, rows = await shop.shape(), await shop.value(HASH)
    assert (await shop.run(case.operation, hold=True)).standing.state == "held", shop.said
    assert (await shop.roll_back()).standing.state == "rolled_back"
    assert case.one_way or await shop.shape() == before
    assert (await shop.run(case.operation, hold=True)).standing.state == "held"
    outcome = await shop.run(case.operation)
    assert outcome.standing.state == "completed", outcome
    assert await shop.value(case.done)
    assert await shop.value(HASH) == rows
    after = await shop.shape()
    assert (await shop.run(case.operation)).standing.state == "completed"
    assert await shop.shape() == after


@every
async def test_under_load(shop: Shop, case: Case) -> None:
    """No request fails, none is delayed beyond the lock timeout, no index is invalid, beside a writer that went idle elsewhere."""
    if case.before:
        await shop.query(case.before)
    async with shop.in_use() as load:
        outcome = await shop.run(case.operation)
        assert outcome.standing.state == "completed", outcome
    assert not load.failed, load.failed[:3]
    assert load.slowest_ms < WAITS.lock_timeout_ms + SLACK_MS
    assert await shop.value(case.done)
    assert await shop.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


@every
async def test_killed_at_each_step(shop: Shop, case: Case) -> None:
    """Whatever was done when it died, the next run goes on to the end; killed again one step further, and so on."""
    if case.before:
        await shop.query(case.before)
    number = 0 if LONG else case.kill_at - 1
    async with shop.in_use(idle_writer=False) as load:
        while await killed_at(shop.url, case.operation, number := number + 1) and LONG:
            pass
        assert (await shop.run(case.operation)).standing.state == "completed"
    assert number >= case.kill_at, "it has no such step"
    assert not load.failed, load.failed[:3]
    assert await shop.value(case.done)
    assert await shop.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
