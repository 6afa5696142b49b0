"""What the two folds of `milepost bench intake` cost: PostgreSQL's CPU time for each activity of a load, and how many rows they change.

    .venv/bin/python docs/decisions/2026-11-28-rows-go-straight-into-partitions.py [ROWS_OF_A_LOAD]

Two sessions fold at the same time, each for a tenant of its own, as two lanes do. The tables are filled anew for each fillfactor, in the
order of their keys, and for each what a session used (`/proc/PID/schedstat`) is told as the median of its loads.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

from milepost.bench._ground import Ground, ground
from milepost.intake.load import SESSION
from milepost.postgres import Database
from milepost.schema.models import current_model
from milepost.settings import Settings

ACTORS, GROUPS, LOADS = 100_000, 4_000, 15
DELTA = """
INSERT INTO delta (sign, id, occurred_at, actor_id, group_id, audience, verb, m_distance_m)
SELECT 1, gen_random_uuid(), now() - random() * interval '1 hour', a.low + n.actor, g.low + n.actor %% 4000, 1, 'run', 1000
FROM (SELECT floor(power(100000, random()))::bigint - 1 AS actor FROM generate_series(1, %(rows)s)) n,
     (SELECT min(actor_id) AS low FROM milepost.actor WHERE tenant_id = %(tenant_id)s) a,
     (SELECT min(group_id) AS low FROM milepost.groups WHERE tenant_id = %(tenant_id)s AND kind = 'team') g"""
REACH = """
INSERT INTO delta_reach SELECT group_id, ancestor_id, time_zone, since, until, group_id = ancestor_id
FROM milepost.group_reach WHERE tenant_id = %(tenant_id)s"""
UPDATED = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = %s::regclass"


async def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(data_dir=folder)
        async with ground(settings, folder, tenants=2, rows=500_000, actors=ACTORS, groups=GROUPS, days=30) as made:
            rollups = list((await current_model(made.owner)).compiled.rollups)
            for one in rollups:
                await made.owner.execute(f"CREATE TABLE kept_{one.name} AS SELECT * FROM {one.table}".encode())
            for fillfactor in (75, 50, 40):
                for one in rollups:
                    for statement in (
                        f"ALTER TABLE {one.table} SET (fillfactor = {fillfactor})",
                        f"TRUNCATE {one.table}",
                        f"INSERT INTO {one.table} SELECT * FROM kept_{one.name} ORDER BY 1, 2, 3, 4",
                        f"VACUUM ANALYZE {one.table}",
                    ):
                        await made.owner.execute(statement.encode())
                await made.owner.execute("SELECT pg_stat_reset()")
                took: dict[str, list[float]] = {}
                await asyncio.gather(*(lane(made, tenant, rows, took) for tenant in made.tenants))
                await asyncio.sleep(1.5)  # sessions that ended have told their statistics by then
                for one in rollups:
                    row = await (await made.owner.execute(UPDATED, (one.table,))).fetchone()
                    assert row is not None
                    print(
                        f"fillfactor {fillfactor}, {one.name}: {statistics.median(took[one.name]):.2f} us an activity, "
                        f"{row[0] / (2 * LOADS * rows):.2f} rows changed, {row[1] / row[0]:.0%} of them in their page"
                    )


async def lane(made: Ground, tenant_id: int, rows: int, took: dict[str, list[float]]) -> None:
    values = {"tenant_id": tenant_id, "rows": rows}
    async with await Database.connect_owner(made.url, settings=SESSION) as conn:
        compiled = (await current_model(conn)).compiled
        for statement in compiled.activity.temp_ddl:
            await conn.execute(statement)
        for _ in range(LOADS):
            async with conn.transaction():
                await conn.execute(DELTA, values)
                await conn.execute(REACH, values)
                for one in compiled.rollups:
                    before = cpu_us(conn.info.backend_pid)
                    await conn.execute(one.fold, values)
                    took.setdefault(one.name, []).append((cpu_us(conn.info.backend_pid) - before) / rows)


def cpu_us(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1000


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
