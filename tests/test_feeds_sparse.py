"""A page whose activities are few among many between them: each is looked up, however small the partitions are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from lifecycle_site import LifecycleSite, lifecycle_site, ran
from milepost.feeds import aggregates, read
from milepost.postgres import Database
from milepost.rollups.read import put_words
from milepost.settings import Settings
from milepost.storage.by_index import plan_by_index

BETWEEN, FEW = 1_000, 20


@pytest_asyncio.fixture
async def site(db: Database, settings: Settings) -> AsyncIterator[LifecycleSite]:
    async with lifecycle_site(db, settings) as made:
        yield made


PAGE = put_words(read._queries.shown, columns="s.id")
AGGREGATES = put_words(
    aggregates._queries.aggregated, keys="s.group_id, NULL, NULL", sums="", activities=aggregates._queries.hot
)


@pytest.mark.parametrize("query", [PAGE, AGGREGATES], ids=["page", "aggregates"])
async def test_a_sparse_page_reads_its_own_activities(site: LifecycleSite, query: str) -> None:
    """Of an actor with a few activities and a thousand of others between them: no step of the plan meets those."""
    await site.send([ran(n, days=1 + n / BETWEEN, actor=f"user-{n % 9}") for n in range(BETWEEN)])
    await site.send([ran(BETWEEN + n, days=0.9 + 1.2 * n / FEW, actor="rare") for n in range(FEW + 1)])
    await site.lane.run_once()
    rare = "SELECT s.id FROM milepost.activity s JOIN milepost.actor a USING (tenant_id, actor_id) WHERE a.external_id = 'rare'"
    ids = sorted(row[0] for row in await site.rows(rare))
    async with site.db.transaction("point", tenant_id=site.tenants["a"], snapshot=True) as conn:
        await plan_by_index(conn, sorts=query == AGGREGATES)
        given = {"tenant_id": site.tenants["a"], "ids": ids, "days": [1] * len(ids), "first": ids[0], "last": ids[-1]}
        ((explained,),) = await (await conn.execute(f"EXPLAIN (ANALYZE, FORMAT JSON, COSTS OFF) {query}", given)).fetchall()
    met = [node["Actual Rows"] + node.get("Rows Removed by Join Filter", 0) for node in nodes(explained[0]["Plan"])]
    assert max(met) < BETWEEN / 10


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)
