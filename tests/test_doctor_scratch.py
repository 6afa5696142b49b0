"""`Scratch`: a copy on which things may be tried, of which nothing stays."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from milepost.doctor import Target
from milepost.doctor.scratch import PREFIX, Scratch
from milepost.errors import DatabaseError
from milepost.postgres import EmbeddedServer, major_version

SHOP = """
CREATE SCHEMA shop;
CREATE TABLE shop.customer (id bigserial PRIMARY KEY, region text NOT NULL);
CREATE TABLE shop.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id bigint NOT NULL REFERENCES shop.customer,
    amount int NOT NULL, doubled int GENERATED ALWAYS AS (amount * 2) STORED, note text);
CREATE TABLE shop."Odd Name" (a int);
CREATE TABLE shop.total (region text PRIMARY KEY, n bigint NOT NULL);
CREATE TABLE shop.event (at date NOT NULL, n int) PARTITION BY RANGE (at);
CREATE TABLE shop.event_2024 PARTITION OF shop.event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE FUNCTION shop.count_order() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE shop.total SET n = n + 1; RETURN NEW; END $$;
CREATE TRIGGER counted AFTER INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.count_order();
CREATE INDEX orders_customer ON shop.orders (customer_id);
INSERT INTO shop.customer (region) SELECT 'r' || i % 7 FROM generate_series(1, 3000) i;
INSERT INTO shop.orders (customer_id, amount, note) SELECT 1 + i % 3000, i, E'tab\\there' FROM generate_series(1, 20000) i;
INSERT INTO shop.event SELECT date '2024-01-01' + i, i FROM generate_series(0, 99) i;
ANALYZE
"""
DEFINITIONS = """SELECT (SELECT array_agg(indexdef ORDER BY indexdef) FROM pg_indexes WHERE schemaname = 'shop'),
    (SELECT array_agg(pg_get_triggerdef(oid) ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal),
    (SELECT array_agg(pg_get_constraintdef(oid) ORDER BY conname) FROM pg_constraint WHERE connamespace = 'shop'::regnamespace)"""


async def filled(url: str, text: str = SHOP) -> Target:
    target = await Target.open(url)
    async with target.writing() as connection:
        await connection.execute(text.encode())
    return target


async def test_the_schema_is_the_targets(server: EmbeddedServer, database_url: str) -> None:
    """Indexes, triggers and constraints are equal; there are no rows; afterwards there is no database."""
    target = await filled(database_url)
    async with target.reading() as connection:
        wanted = await (await connection.execute(DEFINITIONS)).fetchone()
    async with Scratch.open(target, server=server) as scratch:
        assert scratch.notes == () and scratch.major == target.major
        async with scratch.connect() as connection:
            assert await (await connection.execute(DEFINITIONS)).fetchone() == wanted
            assert await (await connection.execute("SELECT count(*) FROM shop.orders")).fetchone() == (0,)
        async with scratch.fresh() as url, (await Target.open(url)).writing() as other:
            await other.execute("DROP SCHEMA shop CASCADE")
        async with scratch.connect() as connection:
            assert await (await connection.execute(DEFINITIONS)).fetchone() == wanted
    with pytest.raises(DatabaseError, match="does not exist"):
        await Target.open(scratch.url)


async def test_a_sample_is_bounded_and_complete(server: EmbeddedServer, database_url: str) -> None:
    """Of a large table at most so many rows, with all that they refer to; no trigger fired, and new rows get free keys."""
    target = await filled(database_url)
    async with Scratch.open(target, rows=["shop.orders", "shop.event"], rows_max=2000, server=server) as scratch:
        orders, customers = scratch.tables_copied["shop.orders"], scratch.tables_copied["shop.customer"]
        assert orders.sampled and 500 < orders.rows <= 2000 and 0.02 < orders.share < 0.11
        assert customers.sampled and 0 < customers.rows <= 3000
        assert scratch.tables_copied["shop.event"].rows == 100
        async with scratch.connect() as connection:
            orphans = "SELECT count(*) FROM shop.orders o LEFT JOIN shop.customer c ON c.id = o.customer_id WHERE c.id IS NULL"
            assert await (await connection.execute(orphans)).fetchone() == (0,)
            shown = "SELECT count(*) FROM shop.orders WHERE doubled <> amount * 2 OR note <> E'tab\\there'"
            assert await (await connection.execute(shown)).fetchone() == (0,)
            analyzed = "SELECT reltuples::int, relallvisible > 0 FROM pg_class WHERE oid = 'shop.orders'::regclass"
            assert await (await connection.execute(analyzed)).fetchone() == (orders.rows, True)
            await connection.execute(
                "INSERT INTO shop.orders (customer_id, amount) SELECT customer_id, 1 FROM shop.orders LIMIT 1"
            )
            newest = await (await connection.execute("SELECT max(id) FROM shop.orders")).fetchone()
            assert newest == (20001,)


async def test_some_tables_only(server: EmbeddedServer, database_url: str) -> None:
    """Others are not made; a partitioned table comes with its partitions."""
    target = await filled(database_url)
    async with Scratch.open(target, tables=['shop."Odd Name"', "shop.event"], server=server) as scratch:
        async with scratch.connect() as connection:
            cursor = await connection.execute(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'shop'::regnamespace"
            )
            assert {name for (name,) in await cursor.fetchall()} == {"Odd Name", "event", "event_2024"}


async def test_what_cannot_be_made_is_said(server: EmbeddedServer, database_url: str) -> None:
    """A table that is not there is the caller's mistake."""
    target = await filled(database_url)
    with pytest.raises(DatabaseError, match="nothing"):
        async with Scratch.open(target, rows=["shop.nothing"], server=server):
            pass
    async with target.reading() as connection:
        left = await (
            await connection.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'milepost_scratch_%'")
        ).fetchone()
    assert left == (0,)


async def test_a_server_of_its_own_leaves_nothing(postgres_bin: Path, tmp_path: Path) -> None:
    """Of the target's version, with its planner settings; even after an error its folder is gone."""
    with EmbeddedServer.start(
        tmp_path, durable=False, bin_dir=postgres_bin, settings={"random_page_cost": "1.7"}
    ) as target_server:
        target = await filled(target_server.ensure_database("shop"))
        with pytest.raises(ZeroDivisionError):
            async with Scratch.open(target, rows=["shop.customer"]) as scratch:
                assert scratch.major == major_version(postgres_bin) and scratch.notes == ()
                assert scratch.tables_copied["shop.customer"].rows == 3000
                async with scratch.connect() as connection:
                    cost = await (await connection.execute("SHOW random_page_cost")).fetchone()
                assert cost == ("1.7",)
                raise ZeroDivisionError
    assert not list(places().glob(f"{PREFIX}{os.getpid()}-*"))


def places() -> Path:
    return Path(tempfile.gettempdir())


async def test_on_the_target_itself(database_url: str) -> None:
    """For whoever has no programs here: a database beside it, which is dropped."""
    target = await filled(database_url)
    async with Scratch.open(target, rows=["shop.customer"], on_target=True) as scratch:
        assert scratch.major == target.major and scratch.url != target.url
        assert scratch.tables_copied["shop.customer"].rows == 3000
    with pytest.raises(DatabaseError):
        await Target.open(scratch.url)
