"""What a chain costs a load: the same batches into two databases, of the bench's model with and without `chain`, in turn.

    .venv/bin/python docs/decisions/2026-11-29-a-chain-is-kept-in-blocks.py [ROUNDS]

CPU is the loading session's own, as the kernel counts it, so that other work on the machine hardly shows; WAL is the server's.
Then the chunk of history of a filling, written as blocks and as a row for each activity; last, verifying all of it.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter

from milepost.access.tenants import create_tenant
from milepost.activity import id_from
from milepost.bench._ground import MODEL
from milepost.bench.intake import bodies
from milepost.intake.accept import Acceptor
from milepost.intake.load import Lane
from milepost.intake.queue import Kind, Queue
from milepost.postgres import Connection, Database, EmbeddedServer
from milepost.schema import migrate
from milepost.schema.models import apply_model, current_model
from milepost.settings import Settings
from milepost.storage.chain import chain_of
from milepost.storage.chain_verify import verify_chain
from milepost.storage.partitions import ensure_partitions

BATCHES, BATCH = 200, 100
ROWS = BATCHES * BATCH

BY_ROW = """
CREATE TABLE IF NOT EXISTS public.chain_entry (
    tenant_id integer NOT NULL, link bigint NOT NULL, place integer NOT NULL, kind text NOT NULL, id uuid NOT NULL, salt uuid,
    digest bytea NOT NULL, PRIMARY KEY (tenant_id, id, link));
CREATE INDEX IF NOT EXISTS chain_entry_link ON public.chain_entry (tenant_id, link, place)
"""


@dataclass(frozen=True, kw_only=True)
class Side:
    db: Database
    lane: Lane
    queue: Queue
    tenant_id: int
    acceptor: Acceptor
    owner: Connection


@dataclass(frozen=True, kw_only=True)
class Cost:
    """us: CPU of the session, a row. wal: bytes a row. rows_s: by the clock."""

    us: float
    wal: float
    rows_s: float


@asynccontextmanager
async def side(server: EmbeddedServer, settings: Settings, name: str, model: str) -> AsyncIterator[Side]:
    url = server.ensure_database(name)
    async with await Database.connect_owner(url) as owner:
        await migrate(owner, 1)
        await apply_model(owner, model)
        tenant = await create_tenant(owner, "tenant", 1)
        now = datetime.now(UTC)
        await ensure_partitions(owner, id_from(now - timedelta(days=40)), id_from(now + timedelta(days=2)), now)
        async with await Database.open(url, settings) as db:
            queue = Queue(db, settings)
            await queue.start()
            lane = Lane(db, queue, 0, "bench", settings)
            assert await lane.open()
            current = await current_model(owner)
            acceptor = Acceptor(current.model, current.version)
            yield Side(db=db, lane=lane, queue=queue, tenant_id=tenant.tenant_id, acceptor=acceptor, owner=owner)
            await lane.close()
            await queue.stop()


async def cost(conn: Connection, owner: Connection, work: Callable[[], Awaitable[object]]) -> Cost:
    spending = Path(f"/proc/{conn.info.backend_pid}/schedstat")

    async def at() -> tuple[float, float, float]:
        row = await (await owner.execute(b"SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")).fetchone()
        assert row is not None
        spent = int((await asyncio.to_thread(spending.read_text)).split()[0])
        return spent / 1e3, float(row[0]), perf_counter()

    before = await at()
    await work()
    us, wal, seconds = (after - was for after, was in zip(await at(), before, strict=True))
    return Cost(us=us / ROWS, wal=wal / ROWS, rows_s=ROWS / seconds)


async def load(one: Side, requests: list[bytes]) -> Cost:
    for body in requests:
        taken = one.acceptor.accept(one.tenant_id, body, datetime.now(UTC))
        await one.queue.enqueue(
            tenant_id=one.tenant_id, lane=0, kind=Kind.ACTIVITIES, model=1, rows=taken.rows, payload=taken.payload
        )
    return await cost(one.lane.conn, one.owner, one.lane.run_once)


async def history(one: Side) -> tuple[Cost, Cost, Cost]:
    """A chunk of history, as blocks, as rows, and only computed."""
    chain = chain_of((await current_model(one.owner)).compiled)
    assert chain is not None
    await one.owner.execute(BY_ROW.encode())
    row = await (await one.owner.execute(b"SELECT id FROM milepost.activity ORDER BY id OFFSET %s LIMIT 1", (ROWS,))).fetchone()
    assert row is not None
    values = {"tenant_id": one.tenant_id, "low": id_from(datetime(1, 1, 1, tzinfo=UTC)), "high": row[0], "kind": "found"}
    values |= {"why": "found", "kept": True, "files": True}
    first, _, rest = chain.found.partition(", gathered AS (")
    by_row = f"""{first}, written AS (
        INSERT INTO public.chain_entry (tenant_id, link, place, kind, id, salt, digest)
        SELECT %(tenant_id)s, b.number, row_number() OVER (ORDER BY n.id), n.kind, n.id, n.salt, n.digest
        FROM numbered n CROSS JOIN before b RETURNING kind, id, salt, digest
    ) SELECT sha256(string_agg(uuid_send(id) || digest, '' ORDER BY id)) FROM written"""
    computed = f"{first} SELECT count(digest) FROM numbered"
    assert rest
    costs = []
    for statement in (chain.found, by_row, computed):
        async with one.owner.transaction(force_rollback=True):
            await one.owner.execute(b"DELETE FROM milepost.chain_block")
            costs.append(await cost(one.owner, one.owner, partial(one.owner.execute, statement, values)))
    return costs[0], costs[1], costs[2]


async def main(rounds: int) -> None:
    with TemporaryDirectory() as folder, EmbeddedServer.start(Path(folder) / "data") as server:
        settings = replace(Settings(), data_dir=Path(folder), lanes=1)
        async with (
            side(server, settings, "plain", MODEL) as plain,
            side(server, settings, "chained", "chain = true\n" + MODEL) as chained,
        ):
            rng = Random(8)
            costs: dict[str, list[Cost]] = {"plain": [], "chained": []}
            for number in range(rounds + 2):
                requests = bodies(ROWS, rng)
                sides = [("plain", plain), ("chained", chained)]
                for name, one in sides if number % 2 else reversed(sides):
                    found = await load(one, requests)
                    if number >= 2:  # names are known, tables have grown
                        costs[name].append(found)
            for name, every in costs.items():
                middle = {what: statistics.median(getattr(one, what) for one in every) for what in ("us", "wal", "rows_s")}
                print(f"{name:8} {middle['us']:6.1f} us CPU {middle['wal']:7.0f} B WAL a row, {middle['rows_s']:8,.0f} rows/s")
            for _ in range(3):
                for name, spent in zip(("blocks", "rows", "computed"), await history(chained), strict=True):
                    print(f"{name:8} {spent.us:6.1f} us CPU {spent.wal:7.0f} B WAL a row")
            began = perf_counter()
            verified = await verify_chain(chained.db, "tenant")
            print(
                f"verify   {(rounds + 2) * ROWS / (perf_counter() - began):,.0f} activities a second, {verified.differences} differences"
            )


asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 7))
