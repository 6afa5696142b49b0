"""A shop that is in use, for rollouts: tables with rows, and writers and readers that count what happens to them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from milepost.doctor import Target
from milepost.doctor.rollout import Change, Outcome, Rollout, Waits
from milepost.doctor.rollout.work import Event
from milepost.postgres import Connection, Database, translated

__all__ = ["ROWS", "SCHEMA", "WAITS", "Load", "Shop"]

ROWS = 3_000
SCHEMA = f"""
CREATE TABLE customer (customer_id integer PRIMARY KEY, email text NOT NULL);
INSERT INTO customer SELECT n, 'c' || n || '@example.org' FROM generate_series(1, 200) n;
CREATE TABLE orders (
    order_id serial PRIMARY KEY, customer_id integer NOT NULL, status text, total numeric(12, 2) NOT NULL DEFAULT 0,
    note text, created_at timestamptz NOT NULL DEFAULT now());
INSERT INTO orders (customer_id, status, total, note, created_at)
    SELECT 1 + n % 200, (ARRAY['open', 'paid', 'sent'])[1 + n % 3], n % 977, 'n' || n, '2026-01-01'::timestamptz + n * interval '40 minutes'
    FROM generate_series(1, {ROWS}) n;
CREATE TABLE unrelated (a integer);
"""
WAITS = Waits(give_up_s=30, pause_s_max=0.5, build_timeout_s=30, batch_rows=200)


@dataclass
class Load:
    """What a write and read load met. slowest_ms: of one request."""

    requests: int = 0
    failed: list[str] = field(default_factory=list)
    slowest_ms: float = 0.0
    under_way: asyncio.Event = field(default_factory=asyncio.Event)


class Shop:
    """A database in use. `run` and `roll_back` do it as the command does; `said` is what was shown."""

    def __init__(self, url: str, target: Target) -> None:
        self.url = url
        self.target = target
        self.said: list[str] = []
        self.statements: list[str] = []

    async def run(self, *operations: Mapping[str, Any], hold: bool = False, waits: Waits = WAITS) -> Outcome:
        async with Rollout.open(self.target, waits=waits, say=self._say) as rollout:
            return await rollout.run(Change.of("test", operations), hold=hold)

    async def roll_back(self, waits: Waits = WAITS) -> Outcome:
        async with Rollout.open(self.target, waits=waits, say=self._say) as rollout:
            return await rollout.roll_back()

    async def query(self, statement: str) -> list[tuple[Any, ...]]:
        async with self.target.writing() as connection:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

    async def value(self, statement: str) -> Any:
        return (await self.query(statement))[0][0]

    async def shape(self) -> str:
        """Everything that a rollout could leave behind or change, as text, the journal aside."""
        return "\n".join(str(row) for row in await self.query(SHAPE))

    @asynccontextmanager
    async def in_use(
        self, *, idle_writer: bool = True, work: Callable[[Connection, random.Random], Awaitable[None]] | None = None
    ) -> AsyncIterator[Load]:
        """Two writers and a reader at full speed, and a session that wrote elsewhere and went idle in its transaction."""
        load = Load()
        ending = asyncio.Event()
        async with AsyncExitStack() as stack:
            if idle_writer:
                idle = await stack.enter_async_context(
                    self.target.writing(settings={"idle_in_transaction_session_timeout": "0"})
                )
                await idle.execute("BEGIN")
                await idle.execute("INSERT INTO unrelated VALUES (1)")
            clients = [
                await stack.enter_async_context(await Database.connect_foreign(self.url, f"app{number}")) for number in range(3)
            ]
            workers = [
                asyncio.create_task(
                    self._serve(client, load, ending, random.Random(number), work or (writes if number < 2 else reads))
                )
                for number, client in enumerate(clients)
            ]
            try:
                await asyncio.wait_for(load.under_way.wait(), 30)
                yield load
            finally:
                ending.set()
                await asyncio.gather(*workers)

    async def _serve(
        self, client: Connection, load: Load, ending: asyncio.Event, rng: random.Random,
        request: Callable[[Connection, random.Random], Awaitable[None]],
    ) -> None:  # fmt: skip
        while not ending.is_set():
            began = perf_counter()
            try:
                with translated(client):
                    await request(client, rng)
            except Exception as error:
                load.failed.append(f"{type(error).__name__}: {error}")
            load.requests += 1
            if load.requests == 30 or load.failed:
                load.under_way.set()
            load.slowest_ms = max(load.slowest_ms, (perf_counter() - began) * 1000)
            await asyncio.sleep(0.002)

    def _say(self, event: Event) -> None:
        self.said.append(event.text)


async def writes(client: Connection, rng: random.Random) -> None:
    """One of the statements that an application has, prepared as a driver would."""
    number = rng.randrange(1, ROWS)
    match rng.randrange(4):
        case 0:
            await client.execute(
                "INSERT INTO orders (customer_id, status, total, note) VALUES (%s, %s, %s, %s)",
                [1 + number % 200, "open", number, "new"],
            )
        case 1:
            await client.execute("UPDATE orders SET total = total + 1, note = %s WHERE order_id = %s", [f"w{number}", number])
        case 2:
            await client.execute("UPDATE orders SET status = 'paid' WHERE order_id = %s", [number])
        case _:
            await client.execute("DELETE FROM orders WHERE order_id = %s", [number])


async def reads(client: Connection, rng: random.Random) -> None:
    await client.execute("SELECT order_id, status, total FROM orders WHERE customer_id = %s", [rng.randrange(1, 200)])


SHAPE = """
SELECT 'column', attrelid::regclass::text, attname, atttypid::regtype::text, attnotnull, attidentity, attstorage,
       pg_get_expr(adbin, adrelid) AS fallback
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
WHERE c.relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped AND c.relkind IN ('r', 'p', 'm', 'S')
UNION ALL
SELECT 'index', indrelid::regclass::text, pg_get_indexdef(indexrelid), indisvalid::text, indisready, '', '', NULL
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated, '', '', NULL
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL
SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), tgenabled = 'O', '', '', NULL
FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'function', pronamespace::regnamespace::text, proname, '', true, '', '', NULL
FROM pg_proc WHERE pronamespace::regnamespace::text IN ('public', 'milepost_doctor')
UNION ALL
SELECT 'relation', relnamespace::regnamespace::text, relname, relkind::text, true, '', '', reloptions::text
FROM pg_class WHERE relnamespace::regnamespace::text = 'milepost_doctor' AND relname NOT LIKE 'rollout%'
ORDER BY 1, 2, 3
"""
