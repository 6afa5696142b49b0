"""Loads into tables that nobody has analysed yet: they are read by the row, not once for each row; and which plans are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from fix_queue import until
from lifecycle_site import LifecycleSite, lifecycle_site, ran
from milepost.intake import load
from milepost.postgres import Database
from milepost.settings import Settings

ROWS = 800
SMALL = 100  # loads of one activity
CORRECTED = 25
READ_MAX = 40  # index entries and rows, of each table, a loaded row


@pytest_asyncio.fixture
async def site(db: Database, settings: Settings) -> AsyncIterator[LifecycleSite]:
    async with lifecycle_site(db, settings) as made:
        tables = await made.rows(
            "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'milepost'::regnamespace AND relkind = 'r'"
        )
        for (table,) in tables:  # autovacuum would analyse them when it comes by
            await made.owner.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)".encode())
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
    read = await rows_read(site)
    assert sum(read.values()) > ROWS
    assert {name: rows for name, rows in read.items() if rows > READ_MAX * 2 * ROWS} == {}


async def rows_read(site: LifecycleSite) -> dict[str, int]:
    """Ends the lane's session. → rows and index entries read so far, by table."""
    await site.lane.close()  # its sessions tell what they read when they end, which is a moment after they are closed
    await until(lambda: none_left(site))
    read = await site.rows(
        "SELECT t.relname, (coalesce(t.seq_tup_read, 0)"
        " + (SELECT coalesce(sum(i.idx_tup_read), 0) FROM pg_stat_user_indexes i WHERE i.relid = t.relid))::bigint"
        " FROM pg_stat_user_tables t WHERE t.schemaname = 'milepost'"
    )
    return dict(read)


async def plans(site: LifecycleSite) -> tuple[int, int]:
    """How often the lane's session ran a statement of a fold by a plan that it kept, and by one made for that time."""
    (row,) = await (
        await site.lane.conn.execute(
            "SELECT sum(generic_plans)::bigint, sum(custom_plans)::bigint FROM pg_prepared_statements WHERE statement LIKE 'WITH c AS%'"
        )
    ).fetchall()
    return row


async def test_small_loads_keep_their_plans(site: LifecycleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first are made for tables that are empty; when those have grown, others: kept plans read no more than such as are made each time."""
    await site.send([ran(0, days=1)])
    await site.lane.run_once()
    kept, made = await plans(site)
    assert kept > 0
    assert made == 0
    await site.send([ran(n, days=1 + n % 3, actor=f"user-{n}") for n in range(1, 2 * ROWS)])
    await site.lane.run_once()
    large = (await plans(site))[1]
    assert (await plans(site))[0] == kept
    assert large > 0
    await small_loads(site, 2 * ROWS)
    assert await plans(site) == ((SMALL + 1) * kept, large)
    by_kept = await rows_read(site)
    assert await site.lane.open()
    monkeypatch.setattr(load, "SMALL_ROWS_MAX", 0)
    await small_loads(site, 2 * ROWS + SMALL)
    assert (await plans(site))[0] == 0
    read = await rows_read(site)
    for_large = READ_MAX * 2 * ROWS
    assert {name: rows for name, rows in by_kept.items() if rows > for_large + 1.5 * (read[name] - rows)} == {}


async def small_loads(site: LifecycleSite, first: int) -> None:
    for n in range(first, first + SMALL):
        await site.send([ran(n, days=1, actor=f"user-{n}")])
        await site.lane.run_once()


async def test_corrections_keep_their_plans(site: LifecycleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """And retractions: by plans that are kept they read no more than by such as are made each time."""
    await site.send([ran(n, days=1 + n % 3, actor=f"user-{n}") for n in range(2 * ROWS)])
    await site.lane.run_once()
    ids = [
        row[0]
        for row in await site.rows("SELECT id FROM milepost.activity WHERE verb = 'run' ORDER BY id LIMIT %s", 2 * CORRECTED)
    ]
    before = await rows_read(site)
    assert await site.lane.open()
    await corrected_and_retracted(site, ids[:CORRECTED])
    kept, made = await plans(site)
    assert kept >= 2 * CORRECTED
    assert made == 0
    by_kept = await rows_read(site)
    assert await site.lane.open()
    monkeypatch.setattr(load, "SMALL_ROWS_MAX", 0)
    await corrected_and_retracted(site, ids[CORRECTED:])
    assert (await plans(site))[0] == 0
    read = await rows_read(site)
    more = {name: by_kept[name] - before[name] for name in read}
    assert {name: rows for name, rows in more.items() if rows > READ_MAX * ROWS + 1.5 * (read[name] - by_kept[name])} == {}


async def corrected_and_retracted(site: LifecycleSite, ids: list[UUID]) -> None:
    for one in ids:
        assert (await site.did(do="correct", id=str(one), patch={"measures": {"distance_m": 7}}))["status"] == 200
        assert (await site.did(do="retract", id=str(one)))["status"] == 204


async def test_plans_are_kept_for_a_while(site: LifecycleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tables grow meanwhile: after a minute they are made again."""
    said: list[str] = []
    execute = site.lane.conn.execute

    async def noted(query: Any, *given: Any, **options: Any) -> Any:
        said.append(str(query))
        return await execute(query, *given, **options)

    monkeypatch.setattr(site.lane.conn, "execute", noted)
    for kept_s, forgotten in ((60.0, 1), (60.0, 1), (0.0, 2)):
        monkeypatch.setattr(load, "PLANS_KEPT_S", kept_s)
        await site.send([ran(len(said), days=1)])
        await site.lane.run_once()
        assert sum("DISCARD PLANS" in query for query in said) == forgotten
