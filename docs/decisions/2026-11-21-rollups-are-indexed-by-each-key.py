"""Prints what indexes by key cost a fold: `.venv/bin/python docs/decisions/2026-11-21-rollups-are-indexed-by-each-key.py`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from milepost.bench._history import DATABASE, MODEL, make_history
from milepost.intake.load import Lane
from milepost.intake.queue import Queue
from milepost.postgres import Connection, Database, EmbeddedServer
from milepost.schema.models import apply_model
from milepost.settings import Settings

TABLE = "milepost.rollup_x"
MODEL_X = (
    MODEL
    + """
[rollups.x]
of = ["run", "ride", "walk", "climb"]
by = ["group", "actor"]
per = ["day", "all"]
values = ["count", "sum(distance_m)"]
"""
)
BUCKETS = "(tenant_id, per, bucket)"
BUCKETS_AND_KEYS = "(tenant_id, per, bucket, group_id, actor_id)"
SHORT = ("(tenant_id, actor_id, per, bucket)", "(tenant_id, group_id, per, bucket)")
FULL = ("(tenant_id, actor_id, per, bucket, group_id)", "(tenant_id, group_id, per, bucket, actor_id)")
ALTERNATIVES = {
    "buckets": (BUCKETS,),
    "and each key": (BUCKETS, *SHORT),
    "and each key, in order": (BUCKETS, *FULL),
    "buckets, in order": (BUCKETS_AND_KEYS,),
    "buckets and each key, in order": (BUCKETS_AND_KEYS, *FULL),
}
ROUNDS, LOADS = 3, 8
OWN = f"SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = '{TABLE}'::regclass AND NOT indisprimary"
SPENT = (
    "SELECT sum(total_exec_time) / sum(calls), sum(wal_bytes) / sum(calls) / 1e6 FROM pg_stat_statements"
    " WHERE query LIKE 'WITH c AS MATERIALIZED%'"
)


async def measure(owner: Connection, db: Database, indexes: tuple[str, ...]) -> tuple[float, float, float]:
    await apply_model(owner, MODEL)
    await apply_model(owner, MODEL_X)
    for (name,) in await (await owner.execute(OWN)).fetchall():
        await owner.execute(f"DROP INDEX {name}")
    for columns in indexes:
        await owner.execute(f"CREATE INDEX ON {TABLE} {columns}")
    await owner.execute("CHECKPOINT")
    await owner.execute("SELECT pg_stat_statements_reset()")
    lane = Lane(db, Queue(db, db.settings), 0, "bench", db.settings)
    assert await lane.open()
    for _ in range(LOADS):
        await lane.fill()
    await lane.close()
    spent = await (await owner.execute(SPENT)).fetchone()
    size = await (await owner.execute(f"SELECT pg_indexes_size('{TABLE}') / 1e6")).fetchone()
    assert spent is not None
    assert size is not None
    return float(spent[0]), float(spent[1]), float(size[0])


async def main(folder: Path) -> None:
    history = await make_history(Settings(data_dir=folder), folder, rows=300_000)
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ALTERNATIVES}
    with EmbeddedServer.start(folder / "data") as server:
        url = server.url(DATABASE)
        async with await Database.connect_owner(url) as owner, await Database.open(url, history.settings) as db:
            await owner.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            for _ in range(ROUNDS):
                for name, indexes in ALTERNATIVES.items():
                    found[name].append(await measure(owner, db, indexes))
    for name, rounds in found.items():
        ms, wal, size = (median(one) for one in zip(*rounds, strict=True))
        print(f"{name}: {ms:.0f} ms, {wal:.1f} MB of WAL a load, {size:.0f} MB of indexes")


with TemporaryDirectory() as name:
    asyncio.run(main(Path(name)))
