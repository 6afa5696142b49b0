"""The ground a benchmark stands on: an embedded server, a model, tenants with a history, and processes to look at."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from milepost.access.keys import create_key
from milepost.access.tenants import create_tenant
from milepost.activity import id_from
from milepost.intake.load import Lane
from milepost.intake.queue import Queue
from milepost.model import parse_model
from milepost.postgres import Connection, Database, EmbeddedServer, load_queries
from milepost.schema import migrate
from milepost.schema.compile import compile_model
from milepost.schema.models import apply_model
from milepost.settings import Settings
from milepost.storage.partitions import ensure_partitions

__all__ = ["MODEL", "Ground", "columns_of_activity", "cpu_seconds", "ground"]

_queries = load_queries(__package__, "ground.sql")
_log = structlog.get_logger(__name__)

MODEL = """
name = "bench"

[groups.league]
[groups.team]
parent = "league"

[verbs.run]
object = "workout"
measures.distance_m = { type = "decimal(1)", min = 0, max = 500_000 }
measures.duration_s = { type = "integer", min = 0 }
data.note = "text"
data.device = "text"

[verbs.ride]
object = "workout"
measures.distance_m = { type = "decimal(1)", min = 0, max = 500_000 }

[rollups.team_distance]
of = ["run", "ride"]
by = ["group"]
per = ["day", "week", "all"]
values = ["count", "sum(distance_m)"]

[rollups.member_distance]
of = ["run", "ride"]
by = ["actor"]
per = ["day", "all"]
values = ["count", "sum(distance_m)"]
"""

BOARD = """
[boards.distance]
rank = "actor"
within = "everywhere"
by = "sum(distance_m)"
of = ["run", "ride"]
windows = ["week", "all"]
"""


@dataclass(kw_only=True)
class Ground:
    server: EmbeddedServer
    url: str
    settings: Settings
    db: Database
    owner: Connection
    tenants: list[int]
    keys: list[str]


@asynccontextmanager
async def ground(
    settings: Settings,
    folder: Path,
    *,
    tenants: int,
    rows: int,
    actors: int,
    groups: int,
    days: int,
    bare: int = 0,
    board: bool = False,
) -> AsyncIterator[Ground]:
    """`rows` activities for each tenant, of the last `days` days, by Zipf-distributed actors in groups, all folded.

    board: one is kept as well. bare: so many further tenants have the same rows with the same numbers of actors and groups, but nothing folded: what COPY is
    measured on. (With numbers of their own, new rows would go to a part of each index that no history has spread over.)
    """
    with EmbeddedServer.start(folder / "data", bin_dir=settings.pg_bin) as server:
        url = server.ensure_database("bench")
        own = replace(settings, data_dir=folder, lanes=tenants, database_url=url)
        owner = await Database.connect_owner(url)
        await migrate(owner, tenants)
        model = MODEL + BOARD if board else MODEL
        await apply_model(owner, model)
        async with owner, await Database.open(url, own) as db:
            made = Ground(server=server, url=url, settings=own, db=db, owner=owner, tenants=[], keys=[])
            for number in range(tenants + bare):
                tenant = await create_tenant(owner, f"tenant-{number}", tenants)
                made.tenants.append(tenant.tenant_id)
                made.keys.append(await create_key(owner, tenant.tenant_id, ["read", "write", "admin"], "bench"))
                _log.info("making a history", tenant=tenant.name, rows=rows, days=days)
                if number < tenants:
                    await _history(made, tenant.tenant_id, rows, actors, groups, days, model)
                else:
                    values = {"tenant_id": tenant.tenant_id, "source": made.tenants[number - tenants]}
                    await owner.execute(_queries.same_activities.format(columns=await columns_of_activity(owner)), values)
            await owner.execute(_queries.settle)
            await owner.execute(_queries.checkpoint)
            yield made


async def _history(made: Ground, tenant_id: int, rows: int, actors: int, groups: int, days: int, model: str) -> None:
    now = datetime.now(UTC)
    await ensure_partitions(made.owner, id_from(now - timedelta(days=days + 1)), id_from(now + timedelta(days=2)), now)
    values = {"tenant_id": tenant_id, "rows": rows, "actors": actors, "groups": groups, "days": days}
    for query in (_queries.actors, _queries.groups, _queries.spans, _queries.reach, _queries.activities):
        await made.owner.execute(query, values)
    derived = [part.table.removeprefix("milepost.") for part in compile_model(parse_model(model)).derived()]
    await made.owner.execute(_queries.fill, {"tenant_id": tenant_id, "names": derived})
    # The numbers come from the same refill that a changed model takes.
    queue = Queue(made.db, made.settings)
    row = await (await made.owner.execute(_queries.lane, values)).fetchone()
    lane = Lane(made.db, queue, row[0] if row else 0, "bench", made.settings)
    assert await lane.open()
    while await lane.history.fill():
        pass
    await lane.close()


async def columns_of_activity(owner: Connection) -> str:
    """Every column of an activity but the tenant, in their order."""
    row = await (await owner.execute(_queries.columns_of_activity)).fetchone()
    assert row is not None
    return str(row[0])


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its living descendants, in seconds."""
    parents: dict[int, list[int]] = {}
    times: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
            times[int(entry.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    total, waiting = 0.0, [pid]
    while waiting:
        one = waiting.pop()
        total += times.get(one, 0.0)
        waiting += parents.get(one, [])
    return total


def say(message: str) -> None:
    """Progress, on stderr: stdout is the report's."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
