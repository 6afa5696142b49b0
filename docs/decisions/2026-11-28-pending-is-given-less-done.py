"""Prints what a pending list costs: `.venv/bin/python docs/decisions/2026-11-28-pending-is-given-less-done.py`.

One teacher's class of 30 students and 600 assignments a month, for 1 and for 12 months, of which the student asked for has done nearly
all; beside it the same as one row for each student and assignment that is open.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from milepost.access.tenants import create_tenant
from milepost.model import Model, parse_model
from milepost.postgres import Connection, Database, EmbeddedServer
from milepost.rollups.pending import Wanted, read_pending
from milepost.schema import migrate
from milepost.schema.models import apply_model
from milepost.settings import Settings

STUDENTS, A_MONTH, ROUNDS = 30, 600, 101
MODEL = """
name = "pending"
groups.class = {}
verbs.assign = { object = "assessment", data.due = "time" }
verbs.submit = { object = "assessment" }
pending.work = { given = "assign", done = "submit", due = "assign.due" }
"""
ROWS = (
    "INSERT INTO milepost.groups (tenant_id, group_id, external_id) VALUES (1, 1, 'class')",
    f"INSERT INTO milepost.actor (tenant_id, actor_id, external_id) SELECT 1, i, 'student-' || i FROM generate_series(1, {STUDENTS}) i",
    f"""INSERT INTO milepost.member (tenant_id, group_id, actor_id, since, until, role, added_at)
    SELECT 1, 1, i, '-infinity', 'infinity', '', now() FROM generate_series(1, {STUDENTS}) i""",
    """CREATE TABLE milepost.open_rows (tenant_id integer, actor_id bigint, due timestamptz, id uuid, object_kind text, object_id text,
    PRIMARY KEY (tenant_id, actor_id, object_kind, object_id))""",
    "CREATE INDEX ON milepost.open_rows (tenant_id, actor_id, due, id)",
)
GIVEN = """INSERT INTO milepost.given_work (tenant_id, group_id, object_kind, object_id, id, occurred_at, d_due)
SELECT 1, 1, 'assessment', 'a-' || i, gen_random_uuid(), now(), now() - interval '400 days' + i * interval '1 hour'
FROM generate_series({first}, {last}) i"""
DONE = """INSERT INTO milepost.done_work (tenant_id, actor_id, object_kind, object_id, id, occurred_at)
SELECT 1, s, 'assessment', 'a-' || i, gen_random_uuid(), now()
FROM generate_series(1, {students}) s, generate_series({first}, {last}) i WHERE i % 20 > 0 OR s > 1 AND i % 30 > 0"""
OPEN = """INSERT INTO milepost.open_rows
SELECT 1, s, now() + i * interval '1 hour', gen_random_uuid(), 'assessment', 'a-' || i
FROM generate_series(1, {students}) s, generate_series({first}, {last}) i"""
PAGE = """SELECT * FROM milepost.open_rows WHERE tenant_id = 1 AND actor_id = 1 ORDER BY due, id LIMIT 51"""


async def main() -> None:
    with TemporaryDirectory() as folder, EmbeddedServer.start(Path(folder) / "data") as server:
        await measure(server.ensure_database("pending"), Settings(data_dir=Path(folder)))


async def measure(url: str, settings: Settings) -> None:
    model = parse_model(MODEL)
    async with await Database.connect_owner(url) as owner, await opened(owner, url, settings) as db:
        print(
            "months  given  page ms  last page ms  all open ms  one row each: page ms  written for one assignment: rows, kB of WAL"
        )
        for months in (1, 12):
            first, last = (1, A_MONTH) if months == 1 else (A_MONTH + 1, 12 * A_MONTH)
            span = {"first": first, "last": last, "students": STUDENTS}
            for statement in (GIVEN, DONE):
                await owner.execute(statement.format(**span).encode())
            wal = await wal_of(owner, OPEN.format(first=last + 1_000_000, last=last + 1_000_000, students=STUDENTS))
            await owner.execute(b"VACUUM ANALYZE")
            page = await timed(db, model, limit=50)
            deep = await timed(db, model, limit=50, last_page=True)
            whole = await timed(db, model, limit=500)
            begun = perf_counter()
            for _ in range(ROUNDS):
                await owner.execute(PAGE.encode())
            each = (perf_counter() - begun) / ROUNDS * 1000
            print(
                f"{months:6} {months * A_MONTH:6} {page:8.2f} {deep:13.2f} {whole:12.2f} {each:22.2f}   {STUDENTS} rows, {wal / 1000:.1f} kB"
                " (against 1 row)"
            )


async def opened(owner: Connection, url: str, settings: Settings) -> Database:
    await migrate(owner)
    await apply_model(owner, MODEL)
    await create_tenant(owner, "acme", 1)
    for statement in ROWS:
        await owner.execute(statement.encode())
    return await Database.open(url, settings)


async def timed(db: Database, model: Model, *, limit: int, last_page: bool = False) -> float:
    took = []
    for _ in range(ROUNDS):
        async with db.transaction("point", tenant_id=1, snapshot=True) as conn:
            after = None
            if last_page:
                after = b'["%s","00000000-0000-0000-0000-000000000000",0,""]' % datetime.now(UTC).isoformat().encode()
            begun = perf_counter()
            await read_pending(conn, 1, model, "student-1", Wanted(), now=datetime.now(UTC), limit=limit, after=after)
            took.append((perf_counter() - begun) * 1000)
    return median(took)


async def wal_of(owner: Connection, statement: str) -> int:
    position = b"SELECT pg_current_wal_insert_lsn() - '0/0'"
    (before,) = await (await owner.execute(position)).fetchone() or (0,)
    await owner.execute(statement.encode())
    (after,) = await (await owner.execute(position)).fetchone() or (0,)
    return int(after - before)


asyncio.run(main())
