"""A year of activities to read: made once, in a data folder, and served from there as often as a benchmark wants it just started.

    history = await make_history(settings, folder)
    async with served(history) as db:       # nothing is in the server's shared buffers now
        ...

Five million activities by Zipf's law: a few teams, actors and objects have hundreds of thousands, most have some hundred or some ten,
scattered over thirteen partitions. Each half of the year is written in the order of time, as intake writes it, and the numbers come from the refill that
a changed model takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from milepost.access.tenants import create_tenant
from milepost.activity import id_from
from milepost.intake.load import Lane
from milepost.intake.queue import Queue
from milepost.postgres import Connection, Database, EmbeddedServer, load_queries
from milepost.schema import migrate
from milepost.schema.models import apply_model
from milepost.settings import Settings
from milepost.storage.partitions import ensure_partitions

__all__ = ["History", "make_history", "served"]

_queries = load_queries(__package__, "history.sql")
_log = structlog.get_logger(__name__)

DATABASE = "bench"
MODEL = """
name = "bench"
filters = ["verb", "status"]

[groups.league]
[groups.team]
parent = "league"

[verbs.run]
object = "route"
measures.distance_m = { type = "decimal(1)", min = 0, max = 500_000 }
measures.duration_s = { type = "integer", min = 0 }
data.note = "text"
data.device = { type = "text", filter = true }
[verbs.ride]
object = "route"
[verbs.walk]
object = "route"
[verbs.climb]
object = "route"

[rollups.team_distance]
of = ["run", "ride", "walk", "climb"]
by = ["group"]
per = ["day", "week", "all"]
values = ["count", "sum(distance_m)"]

[rollups.member_distance]
of = ["run", "ride", "walk", "climb"]
by = ["group", "actor"]
per = ["day", "all"]
values = ["count", "sum(distance_m)"]
"""


@dataclass(frozen=True, kw_only=True)
class History:
    """What there is, and where. size_mib: of the database; buffers_mib: what the server keeps of it in memory."""

    settings: Settings
    tenant_id: int
    rows: int
    days: int
    actors: int
    groups: int
    objects: int
    devices: int
    size_mib: int
    buffers_mib: int


async def make_history(
    settings: Settings,
    folder: Path,
    *,
    rows: int = 5_000_000,
    days: int = 395,
    actors: int = 100_000,
    groups: int = 4_000,
    objects: int = 200_000,
    devices: int = 200,
) -> History:
    """The server that it is made in is stopped at the end."""
    own = Settings(data_dir=folder, lanes=1, pg_bin=settings.pg_bin)
    counts = {"rows": rows, "days": days, "actors": actors, "groups": groups, "objects": objects, "devices": devices}
    with EmbeddedServer.start(folder / "data", bin_dir=settings.pg_bin) as server:
        url = server.ensure_database(DATABASE)
        async with await Database.connect_owner(url) as owner:
            await migrate(owner, 1)
            await apply_model(owner, MODEL)
            tenant_id = (await create_tenant(owner, "bench", 1)).tenant_id
            now = datetime.now(UTC)
            await ensure_partitions(owner, id_from(now - timedelta(days=days + 1)), id_from(now + timedelta(days=2)), now)
            _log.info("making a history", **counts)
            values = {"tenant_id": tenant_id, **counts}
            for query in (_queries.actors, _queries.groups, _queries.reach):
                await owner.execute(query, values)
            middle = rows // 2
            await asyncio.gather(_insert(url, values, 1, middle), _insert(url, values, middle + 1, rows))
            await owner.execute(_queries.stream, values)
            await owner.execute(_queries.settle)
            async with await Database.open(url, own) as db:
                await _fold(owner, db, tenant_id)
            await owner.execute(_queries.settle)
            size = await (await owner.execute(_queries.size)).fetchone()
            assert size is not None
    return History(settings=own, tenant_id=tenant_id, size_mib=size[0], buffers_mib=size[1], **counts)


async def _insert(url: str, values: dict[str, int], first: int, last: int) -> None:
    async with await Database.connect_owner(url) as owner:
        await owner.execute(_queries.activities, {**values, "first": first, "last": last})


async def _fold(owner: Connection, db: Database, tenant_id: int) -> None:
    names = ["rollup_team_distance", "rollup_member_distance"]
    await owner.execute(_queries.fill, {"tenant_id": tenant_id, "names": names})
    lane = Lane(db, Queue(db, db.settings), 0, "bench", db.settings)
    assert await lane.open()
    while await lane.fill():
        pass
    await lane.close()


@asynccontextmanager
async def served(history: History) -> AsyncIterator[Database]:
    """A server that was started for this block, with empty shared buffers. What the system still has in its cache is another matter."""
    folder = history.settings.data_dir / "data"
    with EmbeddedServer.start(folder, bin_dir=history.settings.pg_bin) as server:
        async with await Database.open(server.url(DATABASE), history.settings) as db:
            yield db
