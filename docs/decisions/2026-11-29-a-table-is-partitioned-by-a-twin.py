"""What partitioning a table online, or writing it anew, costs its application: rates and waits of requests before, during and after.

python docs/decisions/2026-11-29-a-table-is-partitioned-by-a-twin.py [ROWS] [partition_table | rewrite_table | vacuum_full]
"""

import asyncio
import random
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from time import perf_counter

from milepost.doctor import Target
from milepost.doctor.rollout import Change, Rollout
from milepost.doctor.rollout.work import Event
from milepost.postgres import Database, EmbeddedServer

ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
SCHEMA = f"""
CREATE TABLE orders (order_id bigserial PRIMARY KEY, customer_id integer NOT NULL, total numeric(12, 2) NOT NULL, note text,
    created_at timestamptz NOT NULL DEFAULT now());
INSERT INTO orders (customer_id, total, note, created_at)
    SELECT n % 5000, n % 977, repeat('x', 60), '2026-01-01'::timestamptz + n * interval '1 minute' FROM generate_series(1, {ROWS}) n;
CREATE INDEX ON orders (customer_id);
VACUUM ANALYZE orders
"""
WHAT = sys.argv[2] if len(sys.argv) > 2 else "partition_table"
BLOAT = "UPDATE orders SET note = note; UPDATE orders SET note = note; VACUUM ANALYZE orders"
SIZE = "SELECT pg_size_pretty(pg_relation_size('orders')), pg_size_pretty(pg_indexes_size('orders'))"
PARTITION = {
    "operation": "partition_table",
    "table": "public.orders",
    "by": "created_at",
    "bounds": ["MINVALUE", *(f"2026-{month:02}-01" for month in range(2, 13)), "MAXVALUE"],
    "widen_keys": True,
}
CHANGE = PARTITION if WHAT == "partition_table" else {"operation": WHAT, "table": "public.orders"}


async def serve(url: str, waits: list[tuple[float, float]], ending: asyncio.Event, seed: int) -> None:
    rng = random.Random(seed)
    async with await Database.connect_foreign(url, "app") as client:
        while not ending.is_set():
            began, number = perf_counter(), rng.randrange(1, ROWS)
            match rng.randrange(4):
                case 0:
                    await client.execute("INSERT INTO orders (customer_id, total) VALUES (%s, 1)", [number % 5000])
                case 1:
                    await client.execute("UPDATE orders SET total = total + 1 WHERE order_id = %s", [number])
                case 2:
                    await client.execute("DELETE FROM orders WHERE order_id = %s", [number])
                case _:
                    await client.execute("SELECT * FROM orders WHERE customer_id = %s LIMIT 20", [number % 5000])
            waits.append((began, (perf_counter() - began) * 1000))
            await asyncio.sleep(0.004)


async def roll_out(target: Target, moments: list[tuple[str, float]], say: Callable[[Event], None]) -> None:
    async with Rollout.open(target, say=say) as rollout:
        assert (await rollout.run(Change.of("measure", [CHANGE]), hold=True)).standing.state == "held"
        moments.append(("held: both in step", perf_counter()))
        await asyncio.sleep(5)
        assert (await rollout.run(Change.of("measure", [CHANGE]))).standing.state == "completed"


async def main(url: str) -> None:
    target = await Target.open(url)
    async with target.writing() as connection:
        for statement in f"{SCHEMA};{BLOAT if PARTITION['operation'] != WHAT else 'SELECT 1'}".split(";"):
            await connection.execute(statement.encode())
        print(await (await connection.execute(SIZE.encode())).fetchone())
    waits: list[tuple[float, float]] = []
    ending, moments = asyncio.Event(), [("before", perf_counter())]

    def say(event: Event) -> None:
        if event.total is None:
            moments.append((event.text, perf_counter()))

    clients = [asyncio.create_task(serve(url, waits, ending, seed)) for seed in range(3)]
    await asyncio.sleep(5)
    if WHAT == "vacuum_full":
        moments.append(("VACUUM FULL", perf_counter()))
        async with target.writing(settings={"lock_timeout": "0"}) as connection:
            await connection.execute("VACUUM FULL orders")
    else:
        await roll_out(target, moments, say)
    moments.append(("after", perf_counter()))
    await asyncio.sleep(5)
    ending.set()
    await asyncio.gather(*clients)
    moments.append(("end", perf_counter()))
    async with target.reading() as connection:
        print(await (await connection.execute(SIZE.encode())).fetchone())
    print(f"{'from':58} {'s':>6} {'requests':>9} {'p50':>7} {'p99':>7} {'slowest':>8} ms")
    for (name, began), (_, ended) in pairwise(moments):
        within = [ms for at, ms in waits if began <= at < ended]
        if len(within) > 1:
            cut = quantiles(within, n=100)
            print(f"{name[:58]:58} {ended - began:6.1f} {len(within):9} {cut[49]:7.2f} {cut[98]:7.2f} {max(within):8.1f}")


with TemporaryDirectory(prefix="milepost-") as folder, EmbeddedServer.start(Path(folder)) as server:
    asyncio.run(main(server.ensure_database("shop")))
