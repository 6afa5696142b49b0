"""A large catalogue: a check takes seconds, and no lock that anybody waits for. 5,000 tables with MILEPOST_TEST_LONG, else 300."""

from __future__ import annotations

import asyncio

from effort import LONG
from milepost.doctor import Target
from milepost.doctor.examine import Examination, examine
from milepost.postgres import Database

TABLES = 5_000 if LONG else 300
SECONDS_MAX = 10.0

MAKE = """
DO $$ BEGIN FOR i IN {first}..{last} LOOP EXECUTE format(
    'CREATE TABLE t_%s (id int PRIMARY KEY, a int, b int REFERENCES t_0, note text); CREATE INDEX ON t_%s (a); '
    'CREATE INDEX ON t_%s (a, b); CREATE INDEX ON t_%s (note); INSERT INTO t_%s VALUES (1, 1, 1, ''x'')', i, i, i, i, i);
END LOOP; END $$
"""
LOCKS = """
SELECT DISTINCT l.mode FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE a.application_name LIKE 'milepost/doctor%' AND a.datname = current_database() AND l.locktype <> 'virtualxid'
"""


async def test_a_check_of_many_tables(database_url: str) -> None:
    """Under 10 s for 5,000 tables and 20,000 indexes, with no lock above ACCESS SHARE at any moment that another session saw."""
    async with await Database.connect_owner(database_url) as connection:
        await connection.execute(b"CREATE TABLE t_0 (id int PRIMARY KEY); INSERT INTO t_0 VALUES (1)")
        for first in range(1, TABLES, 100):
            await connection.execute(MAKE.format(first=first, last=min(first + 99, TABLES - 1)).encode())
        target = await Target.open(database_url)
        at_work: asyncio.Task[Examination] = asyncio.create_task(examine(target))
        modes: set[str] = set()
        while not at_work.done():
            modes |= {row[0] for row in await (await connection.execute(LOCKS.encode())).fetchall()}
            await asyncio.sleep(0.005)
        seen = await at_work
    assert not [one for one in seen.ran if one.left_out and "pg_stat_statements" not in one.left_out]
    assert seen.facts["tables"] >= TABLES and seen.facts["indexes"] >= 4 * (TABLES - 1)
    print(f"{seen.facts['tables']} tables, {seen.facts['indexes']} indexes: {seen.seconds:.2f} s; locks seen: {modes}")
    assert seen.seconds < SECONDS_MAX
    assert modes == {"AccessShareLock"}
