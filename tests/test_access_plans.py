"""The plans of what asks for rights, groups and members, as test_feeds_plans.py has those of pages: generic, against the real schema with
20,000 groups and actors and 200,000 memberships, compared with `tests/access_plans/MAJOR/NAME.txt`; and none reads a table from end to end.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from fix_postgres import fresh_database
from milepost.access.actors import list_actors
from milepost.access.groups import get_group, get_member, group_ids, list_groups, list_members, search_groups
from milepost.access.permissions import Check, allowed, permitted
from milepost.access.tenants import create_tenant
from milepost.access.viewer import Reader, Viewer, readable, reader_of
from milepost.model import Model, parse_model
from milepost.postgres import Connection, Database, EmbeddedServer, sql
from milepost.schema.models import apply_model
from milepost.settings import Settings
from milepost.storage.by_index import plan_by_index
from milepost.storage.partitions import ahead
from test_feeds_plans import MODEL, NOW, SNAPSHOTS_OF, WRITE, Recorder, nodes, numbered

pytest_plugins = ["fix_schema"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

PLANS = Path(__file__).parent / "access_plans"
DECLARED = parse_model(MODEL.read_text(encoding="utf-8"), MODEL.name)
LARGE = re.compile(r"activity|activity_\w+|actor|groups|group_\w+|member|tombstone")
READER = Reader(actor_id=7, roots=(3, 4000), at=NOW)

POPULATE = (
    "INSERT INTO milepost.actor (tenant_id, actor_id, external_id) SELECT 1, i, 'user-' || i FROM generate_series(1, 20000) i",
    """INSERT INTO milepost.groups (tenant_id, group_id, external_id, kind, name)
    SELECT 1, i, 'group-' || i, CASE WHEN i > 200 THEN 'team' ELSE 'league' END, 'The ' || md5(i::text)
    FROM generate_series(1, 20000) i""",
    """INSERT INTO milepost.group_span (tenant_id, group_id, since, until, parent_id)
    SELECT 1, i, '-infinity', 'infinity', CASE WHEN i > 200 THEN 1 + i % 200 END FROM generate_series(1, 20000) i""",
    """INSERT INTO milepost.group_reach (tenant_id, group_id, since, until, ancestor_id, time_zone)
    SELECT 1, i, '-infinity'::timestamptz, 'infinity'::timestamptz, i, '' FROM generate_series(1, 20000) i
    UNION ALL SELECT 1, i, '-infinity', 'infinity', 1 + i % 200, '' FROM generate_series(201, 20000) i""",
    """INSERT INTO milepost.member (tenant_id, group_id, actor_id, since, until, role, permissions, added_at)
    SELECT 1, 1 + (a * 7 + t * 331) % 4000, a, '-infinity', 'infinity', CASE WHEN a % 50 = 0 THEN 'captain' ELSE 'member' END,
        CASE WHEN a % 100 = 0 THEN ARRAY['correct'] ELSE '{}' END, now()
    FROM generate_series(1, 20000) a, generate_series(1, 10) t ON CONFLICT DO NOTHING""",
    """INSERT INTO milepost.activity (tenant_id, id, occurred_at, received_at, actor_id, group_id, audience, verb)
    SELECT 1, (left(replace(milepost.id_from(at)::text, '-', ''), 16) || '8' || left(md5(i::text), 15))::uuid, at, at,
        1 + i % 2000, 1 + i % 400, i % 3, 'run'
    FROM (SELECT i, timestamptz '2026-03-01' + i * interval '5 minutes' AS at FROM generate_series(1, 30000) i) s""",
    "INSERT INTO milepost.tombstone (tenant_id, id) SELECT 1, gen_random_uuid() FROM generate_series(1, 5000)",
    "ANALYZE",
)

Read = Callable[[Connection, Model], Awaitable[object]]
IN_GROUPS = [Check(actor=f"user-{n}", action="correct", group=f"group-{n}") for n in range(300, 400)]
ON_ACTIVITIES = [Check(actor=f"user-{n}", action="correct", activity="0" * 32) for n in range(300, 400)]


async def who_may(conn: Connection, model: Model, action: str) -> object:
    await plan_by_index(conn, sorts=True)
    return await permitted(conn, 1, model, action, 400)


READS: dict[str, Read] = {
    "check_in_groups": lambda conn, model: allowed(conn, 1, model, IN_GROUPS),
    "check_on_activities": lambda conn, model: allowed(conn, 1, model, ON_ACTIVITIES),
    "permitted": lambda conn, model: who_may(conn, model, "correct"),
    "permitted_to_read": lambda conn, model: who_may(conn, model, "read"),
    "viewer": lambda conn, model: reader_of(conn, 1, Viewer(actor_id=7, actor="user-7"), model),
    "readable": lambda conn, _: readable(conn, 1, READER, range(300, 400)),
    "readable_ids": lambda conn, _: group_ids(conn, 1, ["group-3", "group-400"], reader=READER),
    "group_of_viewer": lambda conn, _: get_group(conn, 1, "group-202", reader=READER),
    "member": lambda conn, _: get_member(conn, 1, "group-402", "user-10"),
    "groups_of_viewer": lambda conn, _: list_groups(conn, 1, reader=READER),
    "groups_found": lambda conn, model: search_groups(conn, 1, model, "the group 7"),
    "actors_of_viewer": lambda conn, _: list_actors(conn, 1, reader=READER),
    "members": lambda conn, _: list_members(conn, 1, "group-400"),
    "members_in_role": lambda conn, _: list_members(conn, 1, "group-400", role="captain"),
}


@pytest.fixture(scope="module")
def plans_url(any_server: EmbeddedServer, any_template: str) -> Iterator[str]:
    with fresh_database(any_server, any_template) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def populated(plans_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Database, int]]:
    """The service's view, and the server's major version."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("plans"), write_pool_min=0, point_pool_min=0, analytics_pool_min=0)
    async with await Database.connect_owner(plans_url) as owner:
        await apply_model(owner, MODEL.read_text(encoding="utf-8"))
        assert (await create_tenant(owner, "acme", 1)).tenant_id == 1
        await ahead(owner, NOW)
        for statement in POPULATE:
            await owner.execute(statement.encode())
        major = owner.info.server_version // 10_000
    async with await Database.open(plans_url, settings) as db:
        yield db, major


async def explained(db: Database, read: Read, *, mode: str, options: str) -> list[tuple[str, Any]]:
    """Each statement that is asked, with its plan once it is prepared. mode: plan_cache_mode."""
    plans = []
    async with db.transaction("point", tenant_id=1, snapshot=True) as conn:
        recorder = Recorder(conn)
        await read(cast("Connection", recorder), DECLARED)
    async with db.transaction("point", tenant_id=1, snapshot=True) as conn:
        await conn.execute(f"SET LOCAL plan_cache_mode = {mode}".encode())
        for one in recorder.asked:
            if one.text.startswith("/* storage/by_index"):  # it says how the others are planned
                await conn.execute(one.text.encode(), one.parameters)
                await conn.execute(f"SET LOCAL plan_cache_mode = {mode}".encode())
                continue
            text, values = numbered(one)
            await conn.execute(f"PREPARE asked AS {text}".encode())
            given = sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, values)))
            explain = sql.SQL("EXPLAIN ({}) EXECUTE asked{}").format(sql.SQL(cast("Any", options)), given)
            plans.append((one.text, await (await conn.execute(explain)).fetchall()))
            await conn.execute(b"DEALLOCATE asked")
    return plans


@pytest.mark.parametrize("name", READS)
async def test_plans_are_as_they_were(populated: tuple[Database, int], name: str) -> None:
    """The generic plans are those that were looked at when the snapshot was written."""
    db, major = populated
    if major not in SNAPSHOTS_OF:
        pytest.skip(f"the snapshots are of PostgreSQL {' and '.join(map(str, SNAPSHOTS_OF))}")
    parts = []
    for text, rows in await explained(db, READS[name], mode="force_generic_plan", options="COSTS OFF"):
        mark = re.match(r"/\* (\S+) \*/", text)
        parts.append("\n".join([f"-- {mark[1] if mark else 'query'}", *(row[0] for row in rows)]))
    shown = "\n\n".join(parts) + "\n"
    file = PLANS / str(major) / f"{name}.txt"
    if WRITE:
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("name", READS)
async def test_no_plan_reads_a_table(populated: tuple[Database, int], name: str, mode: str) -> None:
    """Whatever is asked, large tables are looked up by index, by more than the tenant."""
    for text, ((found,),) in await explained(populated[0], READS[name], mode=mode, options="FORMAT JSON"):
        for node, _ in nodes(found[0]["Plan"]):
            kind, table = node["Node Type"], node.get("Relation Name", "")
            assert not kind.startswith("Gather"), text
            if LARGE.fullmatch(table) and kind != "Bitmap Heap Scan":
                assert kind in ("Index Scan", "Index Only Scan"), f"{kind} of {table}: {node} in {text}"
                assert " AND " in node["Index Cond"], f"{kind} of {table}: {node} in {text}"
            if kind == "Bitmap Index Scan":
                assert " AND " in node["Index Cond"], f"{kind} of {table}: {node} in {text}"


@pytest.mark.parametrize("major", SNAPSHOTS_OF)
async def test_every_snapshot_is_of_a_plan(major: int) -> None:
    """No file is left of a query that is gone, and none is missing."""
    assert {file.stem for file in (PLANS / str(major)).glob("*")} == set(READS)
