"""Reads: feed pages at any depth and rollup reads, on 5 million activities over 13 months, timed in the database.

A time is that of the statements a page needs, on a local socket, with its round trips; the connection is warm, as a pool's are. Depth
is the number of activities of that feed that are newer than the page.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

from milepost.bench._ground import Ground, ground, say
from milepost.bench._report import Figure, Report, percentile
from milepost.feeds.filters import Filter
from milepost.feeds.read import read_page
from milepost.postgres import Connection, load_queries
from milepost.rollups.read import Question, read_rollup
from milepost.schema.models import CurrentModel, current_model
from milepost.settings import Settings
from milepost.storage.activities import Presenter

__all__ = ["measure"]

_queries = load_queries(__package__, "reads.sql")

ROWS = 5_000_000
DAYS = 395
ACTORS, GROUPS = 100_000, 4_000
SAMPLES = 400
PAGE = 50
DEPTHS = (0, 10, 20_000)

Read = Callable[[Connection], Awaitable[Any]]


async def measure(settings: Settings, folder: Path) -> Report:
    chosen = {"rows": ROWS, "days": DAYS, "actors": ACTORS, "groups": GROUPS, "page": PAGE, "samples": SAMPLES}
    report = Report(scenario="reads", settings=chosen)
    async with ground(settings, folder, tenants=1, rows=ROWS, actors=ACTORS, groups=GROUPS, days=DAYS) as made:
        tenant_id = made.tenants[0]
        async with made.db.transaction("point") as conn:
            current = await current_model(conn)
        for name, reads in (await _reads(made, tenant_id, current)).items():
            times = await _time(made, tenant_id, reads)
            say(f"{name}: p50 {percentile(times, 0.5):.2f} ms, p95 {percentile(times, 0.95):.2f} ms")
            report.figures += [
                Figure(name=f"{name}_p50_ms", value=percentile(times, 0.5), unit="ms"),
                Figure(name=f"{name}_p95_ms", value=percentile(times, 0.95), unit="ms", at_most=5),
            ]
    return report


async def _reads(made: Ground, tenant_id: int, current: CurrentModel) -> dict[str, list[Read]]:
    rng = random.Random(5)
    presenter = Presenter(current.compiled.columns)

    def page(filter: Filter, before: UUID | None = None) -> Read:
        return lambda conn: read_page(conn, tenant_id, filter, current.model, presenter, limit=PAGE, before=before)

    def rollup(name: str, keys: dict[str, str], per: str) -> Read:
        question = Question(keys=keys, per=per)
        return lambda conn: read_rollup(conn, tenant_id, current.model, name, question, limit=PAGE)

    async def at_depth(query: Any, depth: int, **values: Any) -> UUID | None:
        row = await (await made.owner.execute(query, {"tenant_id": tenant_id, "depth": depth, **values})).fetchone()
        return row[0] if row else None

    busiest = await (await made.owner.execute(_queries.busiest_groups, {"tenant_id": tenant_id})).fetchall()
    reads: dict[str, list[Read]] = {}
    for depth in DEPTHS:
        own = reads[f"group_feed_depth_{depth}"] = []
        for group_id, name in busiest[:20]:
            before = await at_depth(_queries.group_at_depth, depth, group_id=group_id) if depth else None
            own.append(page(Filter(group=name), before))
        own = reads[f"list_depth_{depth}"] = []
        before = await at_depth(_queries.tenant_at_depth, depth) if depth else None
        own.append(page(Filter(), before))
    some_groups = [f"team-{int(GROUPS * rng.random() ** 2)}" for _ in range(SAMPLES)]
    some_actors = [f"user-{int(ACTORS * rng.random() ** 3)}" for _ in range(SAMPLES)]
    reads["group_feed"] = [page(Filter(group=name)) for name in some_groups]
    reads["actor_feed"] = [page(Filter(actor=name)) for name in some_actors]
    reads["object_feed"] = [page(Filter(object=("workout", f"h{rng.randrange(1, ROWS)}"))) for _ in range(SAMPLES)]
    reads["verb_list"] = [page(Filter(verb="ride"))]
    reads["team_days"] = [rollup("team_distance", {"group": name}, "day") for name in some_groups]
    reads["team_total"] = [rollup("team_distance", {"group": name}, "all") for name in some_groups]
    reads["member_days"] = [rollup("member_distance", {"actor": name}, "day") for name in some_actors]
    return reads


async def _time(made: Ground, tenant_id: int, reads: list[Read]) -> list[float]:
    """Milliseconds of SAMPLES reads, after one round that warms the caches as a running system's are."""
    times = []
    async with made.db.transaction("point", tenant_id=tenant_id, snapshot=True) as conn:
        for read in reads[:50]:
            await read(conn)
        for number in range(SAMPLES):
            began = perf_counter()
            await reads[number % len(reads)](conn)
            times.append((perf_counter() - began) * 1000)
    return times
