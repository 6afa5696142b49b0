"""Lint: what statements do is measured on an empty clone; what a linter of text catches, and what it misses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from busy_shop import Shop
from milepost.doctor import Target
from milepost.doctor.rollout import Change, read_change
from milepost.doctor.rollout.file import toml_of
from milepost.doctor.rollout.lint import Measured, Problem, judged, measured
from milepost.doctor.rollout.plan import planned
from milepost.doctor.scratch import Scratch
from milepost.errors import InvalidInput
from milepost.postgres import EmbeddedServer

if TYPE_CHECKING:
    from fix_cli import Command

pytest_plugins = ["fix_cli", "fix_rollout"]

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

# One statement → the worst problem it has, and the operations that do it without.
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
    ("ALTER TABLE orders ADD UNIQUE (note)", "scans_under_lock", "add_key"),
    ("ALTER TABLE orders ADD UNIQUE NULLS NOT DISTINCT (note)", "scans_under_lock", None),
    ("ALTER TABLE orders RENAME COLUMN note TO remark", "no_lock_timeout", None),
    ("BEGIN; CREATE INDEX CONCURRENTLY ON orders (total); COMMIT", "fails", None),
    ("TRUNCATE audit", "no_lock_timeout", None),
    ("REINDEX INDEX orders_status", "scans_under_lock", "reindex"),
    ("VACUUM FULL orders", "rewrites_under_lock", "rewrite_table"),
    # What they miss
    ("DROP TRIGGER audit ON orders", "no_lock_timeout", "drop_trigger"),
    ("ALTER TABLE orders DISABLE TRIGGER audit", "no_lock_timeout", "disable_trigger"),
    ("CREATE TRIGGER b AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION note()", "no_lock_timeout", None),
    ("REFRESH MATERIALIZED VIEW sales", "rewrites_under_lock", "refresh_view"),
    ("CLUSTER orders USING orders_pkey", "rewrites_under_lock", None),
    (
        "ALTER TABLE event ATTACH PARTITION event_1 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
        "scans_under_lock",
        "add_check",
    ),
    (
        "CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO (MAXVALUE)",
        "no_lock_timeout",
        "create_partitions",
    ),
    (
        "CREATE OR REPLACE TRIGGER audit AFTER UPDATE OF status ON orders FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION note()",
        "no_lock_timeout",
        "narrow_trigger",
    ),
    (
        "DO $$ BEGIN EXECUTE 'ALTER TABLE orders ADD checked boolean NOT NULL DEFAULT false, ADD CHECK (total >= 0)'; END $$",
        "scans_under_lock",
        "add_column add_check",
    ),
    (
        "ALTER TABLE orders ADD reference uuid NOT NULL DEFAULT gen_random_uuid()",
        "rewrites_under_lock",
        "add_column",
    ),
    ("ALTER TABLE orders ADD CHECK (total >= 0), DROP COLUMN note", "scans_under_lock", None),
    ("ALTER SEQUENCE orders_order_id_seq AS bigint", "no_lock_timeout", "alter_sequence"),
    ("DROP INDEX orders_status", "no_lock_timeout", "drop_index"),
    ("UPDATE orders SET note = 'y'", "changes_all_rows", None),
    ("WITH gone AS (DELETE FROM public.orders o RETURNING 1) SELECT count(*) FROM gone", "changes_all_rows", None),
    ("UPDATE orders SET note = email FROM customer", "changes_all_rows", None),
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
    ("DELETE FROM orders USING customer WHERE note = email", None, None),
    ("CREATE TABLE fresh AS SELECT 1 AS a; UPDATE fresh SET a = 2; DELETE FROM fresh", None, None),
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
    for (text, rule, operations), problems in zip(KNOWN, found, strict=True):
        first = problems[0] if problems else None
        kinds = " ".join(one["operation"] for one in first.operations) if first else ""
        if (first.rule if first else None, kinds or None) != (rule, operations):
            wrong.append((text, rule, operations, first))
    assert not wrong, "\n".join(map(str, wrong))
    assert await shop_with_more.shape() == before


# Several statements, none of which fits into another's way, and what they are as operations.
MIGRATION = """
CREATE UNIQUE INDEX by_note ON orders USING btree (lower(note) DESC NULLS LAST, "customer_id") INCLUDE (total) WITH (fillfactor = 70) WHERE status <> 'x, (y';
CREATE INDEX ON orders USING brin (created_at);
ALTER TABLE orders ADD CONSTRAINT again FOREIGN KEY (customer_id) REFERENCES customer ON DELETE CASCADE, ADD CHECK (total >= 0);
ALTER TABLE orders ADD COLUMN "Odd" text NOT NULL DEFAULT 'a\\b "c"', ADD at timestamptz DEFAULT clock_timestamp();
ALTER TABLE orders ALTER status SET NOT NULL;
ALTER TABLE audit ALTER at TYPE date USING (at AT TIME ZONE 'UTC')::date;
ALTER TABLE audit ADD PRIMARY KEY (at);
DROP INDEX orders_status;
DROP TRIGGER audit ON orders;
CREATE TRIGGER audit AFTER UPDATE OF status, note ON orders FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE customer DISABLE TRIGGER touched;
DROP TRIGGER untouched ON customer;
REFRESH MATERIALIZED VIEW sales;
REINDEX INDEX customer_pkey;
"""
TRIGGERS = """
CREATE TRIGGER touched AFTER UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER untouched AFTER DELETE ON customer FOR EACH ROW EXECUTE FUNCTION note();
"""


async def test_operations_do_what_the_statements_do(shop_with_more: Shop, server: EmbeddedServer, tmp_path: Path) -> None:
    """Written to a file, planned and run, they leave what the statements leave."""
    await shop_with_more.query(TRIGGERS)
    async with Scratch.open(shop_with_more.target, server=server) as scratch:
        problems = [problem for each in await measured(scratch, MIGRATION) for problem in judged(each)]
        outcome = Shop(scratch.url, await Target.open(scratch.url))
        wanted = await outcome.shape()
    listed = [operation for problem in problems for operation in problem.operations]
    each_once = [operation for number, operation in enumerate(listed) if operation not in listed[:number]]
    file = tmp_path / "change.toml"
    file.write_text(toml_of(each_once))
    change = read_change(file)
    assert list(change.tables) == each_once
    assert len(await planned(shop_with_more.target, change)) == len(each_once) == 15
    for operation in each_once:
        assert (await shop_with_more.run(operation)).standing.state == "completed", operation
    assert await shop_with_more.shape() == wanted


TWIN = """
CREATE TABLE twin (LIKE orders INCLUDING DEFAULTS) PARTITION BY RANGE (created_at);
CREATE TABLE twin_2 PARTITION OF twin FOR VALUES FROM ('2026-02-01') TO (MAXVALUE);
CREATE TABLE twin_1 PARTITION OF twin FOR VALUES FROM (MINVALUE) TO ('2026-02-01');
INSERT INTO twin SELECT * FROM orders;
ALTER TABLE orders RENAME TO orders_old;
ALTER TABLE twin RENAME TO orders;
"""


async def test_a_table_that_is_partitioned_by_hand(shop: Shop, server: EmbeddedServer) -> None:
    """Several statements are seen as what they are together."""
    (problems,) = await linted(shop, server, TWIN)
    assert [problem.line for problem in problems] == [6, 6]
    (operation,) = problems[0].operations
    assert (operation["operation"], operation["by"], operation["widen_keys"]) == ("partition_table", "created_at", True)
    assert len(operation["bounds"]) == 3 and (operation["bounds"][0], operation["bounds"][-1]) == ("MINVALUE", "MAXVALUE")
    assert (await planned(shop.target, Change.of("lint", [operation])))[0]["operation"] == "partition_table"


async def test_after_the_check_attaching_reads_nothing(shop_with_more: Shop, server: EmbeddedServer) -> None:
    """What comes before a statement takes its harm away."""
    attach = (
        "SET lock_timeout = '1s'; ALTER TABLE event ATTACH PARTITION event_1 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')"
    )
    (problems,) = await linted(shop_with_more, server, attach)
    assert problems[0].precedes and problems[0].rule == "scans_under_lock"
    assert (await shop_with_more.run(*problems[0].operations)).standing.state == "completed"
    assert await linted(shop_with_more, server, attach) == [[]]


def test_a_file_that_there_is_not(shop: Shop, command: Command, tmp_path: Path) -> None:
    """Is said in words."""
    answer = command("rollout", "lint", tmp_path / "nope.sql", "--dsn", shop.url)
    assert answer.code == 2 and answer.err.endswith("nope.sql cannot be read: No such file or directory.\n")


def test_the_command(shop: Shop, command: Command, tmp_path: Path) -> None:
    """It shows operations once for each statement, and writes them as a file that can be planned."""
    file, change = tmp_path / "migration.sql", tmp_path / "change.toml"
    file.write_text("CREATE INDEX by_note ON orders (note);\nALTER TABLE orders ADD CHECK (total >= 0);\n")
    shown = command("rollout", "lint", file, "--dsn", shop.url, "--write", change)
    assert shown.code == 1 and shown.out.count("[[operations]]") == 2 and 'columns = ["note"]' in shown.out
    plan = command("rollout", "plan", change, shop.url, "--json").json["operations"]
    assert [one["operation"] for one in plan] == ["create_index", "add_check"]


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
