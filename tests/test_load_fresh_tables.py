"""The first large load: tables that nobody has analysed yet are read by the row, not once for each row."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from fix_queue import until
from lifecycle_site import LifecycleSite, lifecycle_site, ran
from milepost.postgres import Database
from milepost.settings import Settings

ROWS = 800
READ_MAX = 40  # index entries and rows, of each table, a loaded row


@pytest_asyncio.fixture
async def site(db: Database, settings: Settings) -> AsyncIterator[LifecycleSite]:
    async with lifecycle_site(db, settings) as made:
        yield made


async def none_left(site: LifecycleSite) -> bool:
    """Has PostgreSQL ended each session of the lane?"""
    lanes = "datname = current_database() AND application_name LIKE 'milepost/lane%%'"
    return await site.rows(f"SELECT FROM pg_stat_activity WHERE {lanes}") == []


async def test_a_load_reads_by_the_row(site: LifecycleSite) -> None:
    """As many actors as activities, into tables without statistics: no table gives more rows than some for each."""
    for half in range(2):
        await site.send([ran(n, days=1 + n % 3, actor=f"user-{n}") for n in range(half * ROWS, (half + 1) * ROWS)])
        await site.lane.run_once()
    await site.lane.close()  # its sessions tell what they read when they end, which is a moment after they are closed
    await until(lambda: none_left(site))
    read = await site.rows(
        "SELECT t.relname, (coalesce(t.seq_tup_read, 0)"
        " + (SELECT coalesce(sum(i.idx_tup_read), 0) FROM pg_stat_user_indexes i WHERE i.relid = t.relid))::bigint"
        " FROM pg_stat_user_tables t WHERE t.schemaname = 'milepost'"
    )
    assert sum(rows for _, rows in read) > ROWS
    assert {name: rows for name, rows in read if rows > READ_MAX * 2 * ROWS} == {}
