"""What a page costs a viewer who sees little, one who sees all, and a key: about the same, however much lies hidden.

Measured in buffers, on the plans that pages have in the end, over a history in which of a hundred teams' activities one team's are
for the one viewer, and all for the other.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from fix_postgres import fresh_database
from milepost.access.tenants import create_tenant
from milepost.access.viewer import EVERYTHING, Reader
from milepost.activity import LARGEST_ID, SMALLEST_ID, id_from
from milepost.feeds.home import home_of
from milepost.feeds.listed import listed
from milepost.feeds.read import shown
from milepost.postgres import Connection, Database, EmbeddedServer, sql
from milepost.schema.models import CurrentModel, apply_model, current_model
from milepost.settings import Settings
from milepost.storage.activities import Presenter
from milepost.storage.by_index import plan_by_index
from milepost.storage.filters import Filter
from milepost.storage.partitions import ensure_partitions

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = Path(__file__).parent / "models" / "spine.toml"
LIMIT = 50
FEW, ALL, HOME = 1, 2, 3
SEEN = 600  # activities that the one viewer may see of 60,000
MORE_MAX = 256 + SEEN  # buffers that its page may cost more than a key's: a first look at the list, and at all that it may see

POPULATE = (
    "INSERT INTO milepost.actor (tenant_id, actor_id, external_id) SELECT 1, i, 'user-' || i FROM generate_series(1, 2000) i",
    "INSERT INTO milepost.groups (tenant_id, group_id, external_id) SELECT 1, i, 'team-' || i FROM generate_series(1, 101) i",
    """INSERT INTO milepost.group_reach (tenant_id, group_id, since, until, ancestor_id, time_zone)
    SELECT 1, i, timestamptz '-infinity', timestamptz 'infinity', i, '' FROM generate_series(1, 101) i
    UNION ALL SELECT 1, i, '-infinity', 'infinity', 101, '' FROM generate_series(1, 100) i""",
    """INSERT INTO milepost.member (tenant_id, group_id, actor_id, since, until, role, added_at)
    VALUES (1, 7, 1, '-infinity', 'infinity', 'member', now()), (1, 101, 2, '-infinity', 'infinity', 'member', now()),
        (1, 7, 3, '-infinity', 'infinity', 'member', now())""",
    # Nothing is public; a bot is in every team, everybody else in one.
    """INSERT INTO milepost.activity (tenant_id, id, occurred_at, received_at, actor_id, group_id, audience, verb, object_kind, object_id,
        status)
    SELECT 1, (left(replace(milepost.id_from(at)::text, '-', ''), 16) || '8' || left(md5(i::text), 15))::uuid, at, at,
        CASE WHEN i % 7 = 0 THEN 4 ELSE 5 + i % 1900 END, 1 + i % 100, 1, CASE WHEN i % 10 < 4 THEN 'walk' ELSE 'run' END,
        'workout', 'w-' || i % 50, CASE WHEN i % 7 = 0 THEN 'late' ELSE '' END
    FROM (SELECT i, timestamptz '2026-01-02' + i * interval '1 minute' AS at FROM generate_series(1, {rows}) i) s ORDER BY 2""",
    """INSERT INTO milepost.follow (tenant_id, actor_id, kind, target_id, object_kind, object_id, since)
    SELECT 1, 3, 0, 4 + i, '', '', now() FROM generate_series(1, 500) i""",
    "ANALYZE",
)


@dataclass(frozen=True, kw_only=True)
class Ground:
    db: Database
    current: CurrentModel


@pytest.fixture(scope="module")
def empty_copy(server: EmbeddedServer, template: str) -> Iterator[str]:
    with fresh_database(server, template) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground(empty_copy: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    """60,000 activities."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("cost"), write_pool_min=0, point_pool_min=0, analytics_pool_min=0)
    async with await Database.connect_owner(empty_copy) as owner:
        await apply_model(owner, MODEL.read_text(encoding="utf-8"))
        assert (await create_tenant(owner, "acme", 1)).tenant_id == 1
        now = datetime(2026, 3, 1, tzinfo=UTC)
        await ensure_partitions(owner, id_from(datetime(2026, 1, 1, tzinfo=UTC)), id_from(now), now)
        for statement in POPULATE:
            await owner.execute(statement.format(rows=60_000).encode())
    async with await Database.open(empty_copy, settings) as db:
        async with db.transaction("point") as conn:
            current = await current_model(conn)
        yield Ground(db=db, current=current)


class Counted:
    """A connection that adds up the buffers of all that is asked of it, as prepared statements read them."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self.buffers = 0

    async def execute(self, query: str, parameters: dict[str, Any] | None = None) -> Any:
        if not query.startswith("/* storage/by_index"):
            order: list[str] = []

            def place(found: re.Match[str]) -> str:
                if found[1] not in order:
                    order.append(found[1])
                return f"${order.index(found[1]) + 1}"

            text = re.sub(r"%\((\w+)\)[sb]", place, query).replace("%%", "%")
            await self._conn.execute(f"PREPARE asked AS {text}".encode())
            values = sql.SQL(", ").join(sql.Literal((parameters or {})[name]) for name in order)
            explain = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked({})").format(values)
            ((plan,),) = await (await self._conn.execute(explain)).fetchall()
            await self._conn.execute(b"DEALLOCATE asked")
            found = plan if isinstance(plan, list) else json.loads(plan)
            self.buffers += found[0]["Plan"]["Shared Hit Blocks"] + found[0]["Plan"]["Shared Read Blocks"]
        return await self._conn.execute(query.encode(), parameters)


async def cost(ground: Ground, reader: Reader, filter: Filter | None) -> tuple[int, int]:
    """Buffers and items of a first page; filter None: of the reader's home."""
    async with ground.db.transaction("point", tenant_id=1, snapshot=True) as conn:
        counted = Counted(conn)
        asked = cast("Connection", counted)
        await plan_by_index(asked, sorts=False)
        if filter is None:
            stream: Any = await home_of(asked, 1, reader)
        else:
            stream = await listed(asked, 1, filter, ground.current.model, reader)
        ids, following = (await stream.newest(asked, SMALLEST_ID, LARGEST_ID, LIMIT + 1)).page(LIMIT)
        await shown(asked, 1, ids, Presenter(ground.current.compiled.columns))
        assert following is None or ids
    return counted.buffers, len(ids)


@pytest.mark.parametrize(
    "filter",
    [
        Filter(),
        Filter(verb="walk"),
        Filter(status="late"),
        Filter(group="team-7"),
        Filter(actor="user-4"),
        Filter(object=("workout", "w-6")),
        Filter(object=("workout", "w-5")),
    ],
    ids=lambda filter: ",".join(f"{name}={value}" for name, value in vars(filter).items() if value) or "all",
)
async def test_a_page_costs_a_viewer_what_it_costs_a_key(ground: Ground, filter: Filter) -> None:
    """Whether 1 % or all may be seen of what there is: within a bound, which does not grow with what lies hidden."""
    key, _ = await cost(ground, EVERYTHING, filter)
    every, many = await cost(ground, Reader(actor_id=ALL, roots=(101,)), filter)
    few, some = await cost(ground, Reader(actor_id=FEW, roots=(7,)), filter)
    assert many == LIMIT
    assert some in (0, LIMIT)  # 0: nothing of this object is of the team
    assert every <= key + MORE_MAX, (key, every, few)
    assert few <= key + MORE_MAX, (key, every, few)


async def test_a_home_costs_what_is_followed(ground: Ground) -> None:
    """500 followed actors, of whose activities 1 % may be seen: less than a look-up for each of them."""
    few, some = await cost(ground, Reader(actor_id=HOME, roots=(7,)), None)
    assert some == LIMIT
    assert few <= 256 + 2 * SEEN, few
