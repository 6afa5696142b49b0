"""What an index more, or a wider one, costs an insert of activities: CPU of the backend, WAL and size, variants in turn."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from milepost.access.tenants import create_tenant
from milepost.activity import id_from
from milepost.bench._history import MODEL
from milepost.postgres import Connection, Database, EmbeddedServer, load_queries
from milepost.schema import migrate
from milepost.schema.models import apply_model
from milepost.storage.partitions import ensure_partitions

ROWS, CHUNK, ROUNDS = 400_000, 20_000, 3
queries = load_queries("milepost.bench", "history.sql")


def actors(include: str = "") -> str:
    return f"CREATE INDEX activity_actor ON milepost.activity (tenant_id, actor_id, audience, id) {include}"


def objects(include: str = "") -> str:
    columns = "tenant_id, object_kind, object_id, audience, id"
    return f"CREATE INDEX activity_object ON milepost.activity ({columns}) {include} WHERE object_id IS NOT NULL"


VARIANTS = {
    "as it was": (actors(), objects()),
    "group included": (actors("INCLUDE (group_id)"), objects("INCLUDE (group_id)")),
    "groups included": (actors("INCLUDE (group_id, more_groups)"), objects("INCLUDE (group_id, more_groups)")),
    "second index of actors": (
        actors(),
        objects(),
        "CREATE INDEX activity_more ON milepost.activity (tenant_id, actor_id, group_id, id) WHERE audience = 1",
    ),
    "index of public rows": (
        actors(),
        objects(),
        "CREATE INDEX activity_public ON milepost.activity (tenant_id, id) WHERE audience = 0",
    ),
}
DROP = "DROP INDEX IF EXISTS " + ", ".join(f"milepost.activity_{name}" for name in ("actor", "object", "more", "public"))


async def asked(owner: Connection, query: str) -> int:
    row = await (await owner.execute(query.encode())).fetchone()
    assert row is not None
    return int(row[0])


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def main(folder: Path) -> None:
    with EmbeddedServer.start(folder / "data") as server:
        async with await Database.connect_owner(server.ensure_database("variants")) as owner:
            await migrate(owner, 1)
            await apply_model(owner, MODEL)
            tenant_id = (await create_tenant(owner, "acme", 1)).tenant_id
            now = datetime.now(UTC)
            await ensure_partitions(owner, id_from(now - timedelta(days=31)), id_from(now + timedelta(days=2)), now)
            counts = {"rows": ROWS, "days": 30, "actors": 100_000, "groups": 4_000, "objects": 200_000, "devices": 200}
            values = {"tenant_id": tenant_id, **counts}
            for query in (queries.actors, queries.groups, queries.reach):
                await owner.execute(query, values)
            await owner.execute(queries.activities, {**values, "first": 1, "last": ROWS})
            chunked = f"SELECT *, (row_number() OVER (ORDER BY id) - 1) / {CHUNK} AS chunk FROM milepost.activity"
            await owner.execute(f"CREATE TABLE source AS {chunked}".encode())
            await owner.execute(b"CREATE INDEX ON source (chunk)")
            await owner.execute(b"ANALYZE source")
            found = await owner.execute(
                b"SELECT attname FROM pg_attribute WHERE attrelid = 'milepost.activity'::regclass AND attnum > 0 AND NOT attisdropped"
            )
            columns = ", ".join(row[0] for row in await found.fetchall())
            pid = await asked(owner, "SELECT pg_backend_pid()")
            figures: dict[str, list[tuple[float, float, float]]] = {name: [] for name in VARIANTS}
            for _ in range(ROUNDS):
                for name, indexes in VARIANTS.items():
                    await owner.execute(b"TRUNCATE milepost.activity")
                    for statement in (DROP, *indexes, "CHECKPOINT"):
                        await owner.execute(statement.encode())
                    wal = await asked(owner, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")
                    cpu = cpu_seconds(pid)
                    for chunk in range(ROWS // CHUNK):
                        rows = f"SELECT {columns} FROM source WHERE chunk = {chunk} ORDER BY id"
                        await owner.execute(f"INSERT INTO milepost.activity ({columns}) {rows}".encode())
                    cpu = cpu_seconds(pid) - cpu
                    wal = await asked(owner, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')") - wal
                    partitions = "SELECT inhrelid FROM pg_inherits WHERE inhparent = 'milepost.activity'::regclass"
                    size = await asked(
                        owner, f"SELECT sum(pg_relation_size(indexrelid)) FROM pg_index WHERE indrelid IN ({partitions})"
                    )
                    figures[name].append((cpu * 1e6 / ROWS, wal / ROWS, size / ROWS))
    for name, runs in figures.items():
        cpu_us, wal_bytes, index_bytes = (median(column) for column in zip(*runs, strict=True))
        print(f"{name:24s} {cpu_us:5.1f} us, {wal_bytes:6.0f} bytes of WAL, {index_bytes:5.0f} bytes of indexes a row")


with TemporaryDirectory() as temporary:
    asyncio.run(main(Path(temporary)))
