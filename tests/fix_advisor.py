"""`store`: a database with orders and customers, large enough for an index to matter."""

from __future__ import annotations

import asyncio

import pytest

from milepost.doctor import Target

SHOP = """
CREATE TABLE customer (customer_id bigint PRIMARY KEY, email text NOT NULL, country text NOT NULL);
CREATE TABLE orders (order_id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customer, status text NOT NULL,
    ordered_at timestamptz NOT NULL, total numeric(12, 2) NOT NULL, note text);
INSERT INTO customer SELECT n, 'Member' || n || '@example.org', (ARRAY['de', 'fr', 'us'])[1 + n % 3] FROM generate_series(1, 5000) n;
INSERT INTO orders
SELECT n, 1 + (n * 7919) % 5000, CASE WHEN n % 100 = 0 THEN 'open' ELSE 'done' END, timestamptz '2026-01-01' + n * interval '1 min',
       n % 1000, repeat('x', 80)
FROM generate_series(1, 60000) n;
ALTER TABLE orders ALTER status SET STATISTICS 200
"""
# What an index alone can answer depends on it, and so does which index is the best.
ALL_VISIBLE = "SELECT every(relallvisible = relpages) FROM pg_class WHERE oid IN ('customer'::regclass, 'orders'::regclass)"
TRIES = 50


@pytest.fixture
async def store(database_url: str) -> Target:
    target = await Target.open(database_url)
    async with target.writing() as connection:
        for statement in SHOP.split(";"):
            await connection.execute(statement.encode())
        # Autovacuum may be at work in this database, and then holds back what is visible to all.
        for _ in range(TRIES):
            await connection.execute("VACUUM ANALYZE")
            if await (await connection.execute(ALL_VISIBLE)).fetchone() == (True,):
                return target
            await asyncio.sleep(0.1)
    raise AssertionError("rows that stay invisible")
