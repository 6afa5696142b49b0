"""A year of activities to read: made once, in a data folder, and served from there as often as a benchmark wants it just started.

    history = await make_history(settings, folder)
    async with served(history) as db:       # nothing is in the server's shared buffers now
        ...

Three tenants have 60 %, 39 % and 1 % of the activities, drawn by Zipf's law: a few teams, actors and objects have hundreds of thousands, most
have some hundred or some ten, scattered over thirteen partitions. Rows are written in the order of time, by two connections, and the indexes
made afterwards, which takes a fraction of the time; the numbers come from the refill that a changed model takes. Besides those
who run there are three who only read: `viewer-few` may read one team in a hundred, `viewer-all` all of them, and `viewer-home` follows
as many as one may.
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

__all__ = ["ALL", "DATABASE", "FEW", "HOME", "History", "make_history", "served"]

_queries = load_queries(__package__, "history.sql")
_log = structlog.get_logger(__name__)

DATABASE = "bench"
FEW, ALL, HOME = "viewer-few", "viewer-all", "viewer-home"
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
    small_id: int  # of the tenant that has 1 % of the rows
    rows: int  # of all tenants
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
    own = Settings(data_dir=folder, lanes=1, pg_bin=settings.pg_bin, archive_share=settings.archive_share)
    counts = {"days": days, "actors": actors, "groups": groups, "objects": objects, "devices": devices}
    shares = {"bench": rows - rows * 39 // 100 - rows // 100, "other": rows * 39 // 100, "small": rows // 100}
    with EmbeddedServer.start(folder / "data", bin_dir=settings.pg_bin) as server:
        url = server.ensure_database(DATABASE)
        async with await Database.connect_owner(url) as owner:
            await migrate(owner, 1)
            await apply_model(owner, MODEL)
            now = datetime.now(UTC)
            await ensure_partitions(owner, id_from(now - timedelta(days=days + 1)), id_from(now + timedelta(days=2)), now)
            indexes = await (await owner.execute(_queries.indexes)).fetchall()
            for drop, _ in indexes:
                await owner.execute(drop.encode())
            tenants = {}
            for name, share in shares.items():
                _log.info("making a history", tenant=name, rows=share, **counts)
                tenants[name] = (await create_tenant(owner, name, 1)).tenant_id
                await _tenant(owner, url, {"tenant_id": tenants[name], "rows": share, **counts})
            for setting in (_queries.memory_of_indexing, _queries.workers_of_indexing):
                await owner.execute(setting)
            for _, create in indexes:
                _log.info("making an index", index=create)
                await owner.execute(create.encode())
            await owner.execute(_queries.settle)
            async with await Database.open(url, own) as db:
                await _fold(owner, db, tenants["bench"])
            await owner.execute(_queries.settle)
            size = await (await owner.execute(_queries.size)).fetchone()
            assert size is not None
    return History(
        settings=own,
        tenant_id=tenants["bench"],
        small_id=tenants["small"],
        rows=rows,
        size_mib=size[0],
        buffers_mib=size[1],
        **counts,
    )


async def _tenant(owner: Connection, url: str, values: dict[str, int]) -> None:
    for query in (_queries.actors, _queries.groups, _queries.reach, _queries.members):
        await owner.execute(query, values)
    for name, query in (
        (FEW, _queries.few_seen),
        (ALL, _queries.all_seen),
        (HOME, _queries.few_seen),
        (HOME, _queries.follows),
    ):
        await owner.execute(query, {**values, "actor": name})
    middle = values["rows"] // 2
    await asyncio.gather(_insert(url, values, 1, middle), _insert(url, values, middle + 1, values["rows"]))
    await owner.execute(_queries.stream, values)


async def _insert(url: str, values: dict[str, int], first: int, last: int) -> None:
    async with await Database.connect_owner(url) as owner:
        await owner.execute(_queries.activities, {**values, "first": first, "last": last})


async def _fold(owner: Connection, db: Database, tenant_id: int) -> None:
    names = ["rollup_team_distance", "rollup_member_distance"]
    await owner.execute(_queries.fill, {"tenant_id": tenant_id, "names": names})
    lane = Lane(db, Queue(db, db.settings), 0, "bench", db.settings)
    assert await lane.open()
    while await lane.history.fill():
        pass
    await lane.close()


@asynccontextmanager
async def served(history: History) -> AsyncIterator[Database]:
    """A server that was started for this block, with empty shared buffers. What the system still has in its cache is another matter."""
    folder = history.settings.data_dir / "data"
    with EmbeddedServer.start(folder, bin_dir=history.settings.pg_bin) as server:
        async with await Database.open(server.url(DATABASE), history.settings) as db:
            yield db
