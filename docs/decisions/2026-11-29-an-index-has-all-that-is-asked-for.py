"""A first load into tables without statistics, with the narrow indexes by bucket and with those that have the keys.

    .venv/bin/python docs/decisions/2026-11-29-an-index-has-all-that-is-asked-for.py [ACTIVITIES]

As many actors as activities, one rollup of actors and a goal on it. What was read is PostgreSQL's own count.
"""

from __future__ import annotations

import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import msgspec

from milepost.access.tenants import create_tenant
from milepost.activity import id_from
from milepost.intake.accept import Acceptor
from milepost.intake.load import Lane
from milepost.intake.queue import Kind, Queue
from milepost.postgres import Connection, Database, EmbeddedServer
from milepost.schema import migrate
from milepost.schema.models import apply_model, current_model
from milepost.settings import Settings
from milepost.storage.partitions import ensure_partitions

MODEL = """
name = "runs"
[verbs.run]
measures.distance_m = "decimal(1)"
[rollups.athlete]
of = "run"
by = ["actor"]
per = ["day", "week", "all"]
values = ["count", "sum(distance_m)"]
[goals.week]
value = "athlete.sum(distance_m)"
target = "900000"
per = "week"
milestones = [50, 100]
"""
BY_BUCKET = b"SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'milepost' AND indexdef LIKE '%(tenant_id, per, bucket, actor_id)%'"
READ = b"""
SELECT t.seq_tup_read + (SELECT sum(i.idx_tup_read) FROM pg_stat_user_indexes i WHERE i.relid = t.relid)::bigint
FROM pg_stat_user_tables t WHERE t.relname = 'rollup_athlete'
"""


async def narrow(owner: Connection) -> None:
    """As it was."""
    for name, definition in await (await owner.execute(BY_BUCKET)).fetchall():
        await owner.execute(f"DROP INDEX milepost.{name}".encode())
        await owner.execute(re.sub(r"INDEX \w+ ", "INDEX ", definition).replace(", actor_id)", ")").encode())


async def loaded(
    server: EmbeddedServer, settings: Settings, name: str, activities: int, *, with_keys: bool
) -> tuple[float, int]:
    """Seconds, and rows and index entries of the rollup that were read."""
    url, now = server.ensure_database(name), datetime.now(UTC)
    async with await Database.connect_owner(url) as owner:
        await migrate(owner, 1)
        await apply_model(owner, MODEL)
        if not with_keys:
            await narrow(owner)
        tenant = await create_tenant(owner, "tenant", 1)
        await ensure_partitions(owner, id_from(now - timedelta(days=1)), id_from(now + timedelta(days=1)), now)
        async with await Database.open(url, settings) as db:
            queue = Queue(db, settings)
            await queue.start()
            lane = Lane(db, queue, 0, "bench", settings)
            assert await lane.open()
            await lane.run_once()  # what is filled from history, which is none
            current = await current_model(owner)
            body = [{"actor": f"user-{n}", "verb": "run", "measures": {"distance_m": n}} for n in range(activities)]
            taken = Acceptor(current.model, current.version).accept(
                tenant.tenant_id, msgspec.json.encode({"activities": body}), now
            )
            await queue.enqueue(
                tenant_id=tenant.tenant_id,
                lane=0,
                kind=Kind.ACTIVITIES,
                model=current.version,
                rows=taken.rows,
                payload=taken.payload,
            )
            began = perf_counter()
            await lane.run_once()
            seconds = perf_counter() - began
            await lane.close()  # its sessions tell what they read when they end
            await queue.stop()
        await asyncio.sleep(1)  # and a moment later it is counted
        row = await (await owner.execute(READ)).fetchone()
    assert row is not None
    return seconds, row[0]


async def main(activities: int) -> None:
    with TemporaryDirectory() as folder, EmbeddedServer.start(Path(folder) / "data") as server:
        settings = Settings(data_dir=Path(folder), lanes=1)
        for name, with_keys in (("narrow", False), ("wide", True)):
            seconds, rows = await loaded(server, settings, name, activities, with_keys=with_keys)
            print(f"{name}: {activities:,} activities in {seconds:.1f} s, {rows:,} rows of the rollup read")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
