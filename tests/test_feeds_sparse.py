"""A page whose activities are few among many between them: each is looked up, however small the partitions are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest_asyncio

from lifecycle_site import LifecycleSite, lifecycle_site, ran
from milepost.feeds import read
from milepost.postgres import Database
from milepost.rollups.read import put_words
from milepost.settings import Settings
from milepost.storage.by_index import plan_by_index

BETWEEN = 1_000


@pytest_asyncio.fixture
async def site(db: Database, settings: Settings) -> AsyncIterator[LifecycleSite]:
    async with lifecycle_site(db, settings) as made:
        yield made


async def test_a_sparse_page_reads_its_own_activities(site: LifecycleSite) -> None:
    """Of an actor with a first and a last activity, and a thousand of others between them: no step of the plan meets those."""
    await site.send([ran(n, days=1 + n / BETWEEN, actor=f"user-{n % 9}") for n in range(BETWEEN)])
    await site.send([ran(BETWEEN, days=0.9, actor="rare"), ran(BETWEEN + 1, days=2.1, actor="rare")])
    await site.lane.run_once()
    rare = "SELECT s.id FROM milepost.activity s JOIN milepost.actor a USING (tenant_id, actor_id) WHERE a.external_id = 'rare'"
    ids = sorted(row[0] for row in await site.rows(rare))
    async with site.db.transaction("point", tenant_id=site.tenants["a"], snapshot=True) as conn:
        await plan_by_index(conn, sorts=False)
        query = put_words(read._queries.shown, columns="s.id")
        given = {"tenant_id": site.tenants["a"], "ids": ids, "first": ids[0], "last": ids[-1]}
        ((explained,),) = await (await conn.execute(f"EXPLAIN (ANALYZE, FORMAT JSON, COSTS OFF) {query}", given)).fetchall()
    met = [node["Actual Rows"] + node.get("Rows Removed by Join Filter", 0) for node in nodes(explained[0]["Plan"])]
    assert max(met) < BETWEEN / 10


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)
