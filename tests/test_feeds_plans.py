"""The plans of hot queries, against the real schema with rows in it, on each PostgreSQL that is installed here.

Each page's statements are planned generically, as a prepared statement is in the end, and compared with
`tests/plans/MAJOR/NAME.txt`, for the oldest and the newest major version that is served.
A plan that reads a whole table, or (but for reports) sorts more than a page, is refused whatever the snapshot says; so is one made for the values
asked for. `MILEPOST_TEST_WRITE_PLANS=1` writes the snapshots anew: look at the difference before it is committed.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
import pytest_asyncio

from fix_postgres import fresh_database
from milepost.access.tenants import create_tenant
from milepost.access.viewer import EVERYTHING, Reader
from milepost.activity import SMALLEST_ID, id_from
from milepost.feeds.home import home_of
from milepost.feeds.read import page_of, read_page
from milepost.postgres import Connection, Database, EmbeddedServer, sql
from milepost.rollups.goals import read_goal
from milepost.rollups.latest import read_latest
from milepost.rollups.pairs import read_pairs
from milepost.rollups.pending import Wanted, read_pending
from milepost.rollups.read import Question, read_rollup
from milepost.rollups.reports import read as reports
from milepost.schema.models import CurrentModel, apply_model, current_model
from milepost.settings import Settings
from milepost.storage.activities import Presenter, by_ids
from milepost.storage.by_index import plan_by_index
from milepost.storage.filters import Filter
from milepost.storage.partitions import ensure_partitions

pytest_plugins = ["fix_schema"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = Path(__file__).parent / "models" / "spine.toml"
PLANS = Path(__file__).parent / "plans"
SNAPSHOTS_OF = (15, 18)  # the major versions whose plans are kept
WRITE = os.environ.get("MILEPOST_TEST_WRITE_PLANS") == "1"
LIMIT = 50
VIEWER = Reader(actor_id=7, roots=(5, 8), at=datetime(2026, 3, 1, tzinfo=UTC))
NOW = datetime(2026, 3, 1, tzinfo=UTC)
MIDDLE_OF_LAST = id_from(datetime(2026, 2, 15, tzinfo=UTC))
MIDDLE = id_from(datetime(2026, 1, 15, tzinfo=UTC))
# Of an audience's range each, and in a feed of a group of two tables: what a page may sort.
SORTED_MAX = 3 * 2 * (LIMIT + 1)
# What the looks of a page have found: a page's worth at most of each range, however many there are.
MERGED = ("i.id DESC", "l.first DESC", "l.last DESC")
LARGE = re.compile(r"activity|activity_\w+|rollup_\w+|latest_\w+|pairs_\w+|given_\w+|done_\w+|about_\w+|actor|groups")

POPULATE = (
    "INSERT INTO milepost.actor (tenant_id, actor_id, external_id) SELECT 1, i, 'user-' || i FROM generate_series(1, 20000) i",
    "INSERT INTO milepost.groups (tenant_id, group_id, external_id) SELECT 1, i, 'team-' || i FROM generate_series(1, 20000) i",
    """INSERT INTO milepost.activity (tenant_id, id, occurred_at, received_at, actor_id, group_id, more_groups, audience, verb,
        object_kind, object_id, source, status, data, m_distance_m, d_device, d_effort)
    SELECT 1, (left(replace(milepost.id_from(at)::text, '-', ''), 16) || '8' || left(md5(i::text), 15))::uuid, at, at,
        1 + i % 2000, 1 + i % 400, CASE WHEN i % 20 = 0 THEN ARRAY[1 + i % 399] END, i % 3,
        CASE WHEN i % 50 = 0 THEN 'grade' ELSE 'run' END, 'workout', 'w-' || i % 5000, 'strava',
        CASE WHEN i % 100 = 0 THEN 'late' ELSE '' END, '{"a": 1}', i, 'device-' || i % 30, i % 10
    FROM (SELECT i, timestamptz '2025-11-02' + i * interval '5 minutes' AS at FROM generate_series(1, 30000) i) s ORDER BY 2""",
    """INSERT INTO milepost.activity_stream (tenant_id, group_id, audience, id)
    SELECT tenant_id, unnest(more_groups), audience, id FROM milepost.activity WHERE more_groups IS NOT NULL""",
    """INSERT INTO milepost.rollup_members (tenant_id, group_id, actor_id, per, bucket, n)
    SELECT 1, 1 + a % 400, a, 'day', timestamp '2026-02-01' - d * interval '1 day', 1
    FROM generate_series(1, 2000) a, generate_series(0, 9) d""",
    """INSERT INTO milepost.rollup_team_distance (tenant_id, group_id, per, bucket, n)
    SELECT 1, g, 'day', timestamp '2026-02-01' - d * interval '1 day', 1
    FROM generate_series(1, 400) g, generate_series(0, 29) d""",
    """INSERT INTO milepost.rollup_team_distance (tenant_id, group_id, per, bucket, n)
    SELECT 1, g, 'all', timestamp '0001-01-01', 1 FROM generate_series(1, 400) g""",
    """INSERT INTO milepost.latest_grade_book (tenant_id, group_id, object_kind, object_id, actor_id, id, occurred_at)
    SELECT 1, 1 + a % 400, 'assessment', 'a-' || o, a, gen_random_uuid(), now()
    FROM generate_series(1, 2000) a, generate_series(1, 5) o""",
    """INSERT INTO milepost.pairs_tickets (tenant_id, object_kind, object_id, opened_id, opened_at, opened_by, group_id, closed_at)
    SELECT 1, 'ticket', 't-' || i, gen_random_uuid(), now(), 1, 1 + i % 400, CASE WHEN i % 10 > 0 THEN now() + i * interval '1s' END
    FROM generate_series(1, 10000) i""",
    """INSERT INTO milepost.member (tenant_id, group_id, actor_id, since, until, role, added_at)
    SELECT 1, 1 + i % 400, 1 + i % 2000, '2020-01-01', 'infinity', 'member', now() FROM generate_series(1, 2000) i""",
    """INSERT INTO milepost.given_assessments (tenant_id, group_id, object_kind, object_id, id, occurred_at, d_due)
    SELECT 1, 1 + i % 400, 'assessment', 'a-' || i, gen_random_uuid(), now(), now() + i * interval '1 min'
    FROM generate_series(1, 20000) i""",
    """INSERT INTO milepost.given_tickets_open (tenant_id, group_id, object_kind, object_id, id, occurred_at)
    SELECT 1, 1 + i % 400, 'ticket', 't-' || i, gen_random_uuid(), now() FROM generate_series(1, 20000) i""",
    """INSERT INTO milepost.done_assessments (tenant_id, actor_id, object_kind, object_id, id, occurred_at)
    SELECT 1, 1 + i % 2000, 'assessment', 'a-' || i, gen_random_uuid(), now() FROM generate_series(1, 20000) i""",
    """INSERT INTO milepost.done_tickets_open (tenant_id, actor_id, object_kind, object_id, id, occurred_at)
    SELECT 1, 1 + i % 2000, 'ticket', 't-' || i, gen_random_uuid(), now() FROM generate_series(1, 20000) i""",
    """INSERT INTO milepost.rollup_work (tenant_id, group_id, verb, status, per, bucket, n, last_at, distinct_actor)
    SELECT 1, g, v, '', per, timestamp '2025-12-01' + d * interval '1 day', 1, now(), 1
    FROM generate_series(1, 400) g, generate_series(0, 30) d, unnest(ARRAY['run', 'walk']) v, unnest(ARRAY['day', 'hour']) per""",
    """INSERT INTO milepost.rollup_work_seen_actor (tenant_id, group_id, verb, status, per, bucket, value, n)
    SELECT 1, g, v, '', per, timestamp '2025-12-01' + d * interval '1 day', a, 1
    FROM generate_series(1, 400) g, generate_series(0, 30) d, unnest(ARRAY['run', 'walk']) v, unnest(ARRAY['day', 'hour']) per,
        generate_series(1, 2) a""",
    """INSERT INTO milepost.rollup_team_distance_seen_actor (tenant_id, group_id, per, bucket, value, n)
    SELECT 1, g, 'day', timestamp '2025-12-01' + d * interval '1 day', a, 1
    FROM generate_series(1, 400) g, generate_series(0, 90) d, generate_series(1, 2) a""",
    """INSERT INTO milepost.rollup_in_teams (tenant_id, group_id, actor_id, per, bucket, n)
    SELECT 1, 1 + a % 400, a, 'all', timestamp '0001-01-01', 1 FROM generate_series(1, 2000) a""",
    """INSERT INTO milepost.about_assign (tenant_id, object_kind, object_id, id, occurred_at)
    SELECT 1, 'assessment', 'a-' || i, gen_random_uuid(), now() FROM generate_series(1, 20000) i""",
    """INSERT INTO milepost.group_reach (tenant_id, group_id, since, until, ancestor_id, time_zone)
    SELECT 1, i, timestamptz '-infinity', timestamptz 'infinity', i, '' FROM generate_series(1, 20000) i
    UNION ALL SELECT 1, i, timestamptz '-infinity', timestamptz 'infinity', 1 + i % 20, '' FROM generate_series(1000, 20000) i""",
    """INSERT INTO milepost.tombstone (tenant_id, id) SELECT 1, gen_random_uuid() FROM generate_series(1, 5000)""",
    """INSERT INTO milepost.follow (tenant_id, actor_id, kind, target_id, object_kind, object_id, since)
    SELECT 1, 1 + i % 100, i % 2, 200 + i, '', '', now() FROM generate_series(1, 10000) i""",
    "ANALYZE",
)

Read = Callable[[Connection, CurrentModel, Presenter], Awaitable[object]]


def feed(before: UUID | None = MIDDLE, reader: Reader = EVERYTHING, **filters: Any) -> Read:
    """A page of activities in the middle of the history."""

    async def read(conn: Connection, current: CurrentModel, presenter: Presenter) -> object:
        return await read_page(conn, 1, Filter(**filters), current.model, presenter, limit=LIMIT, before=before, reader=reader)

    return read


def rollup(name: str, per: str = "day", **keys: str) -> Read:
    async def read(conn: Connection, current: CurrentModel, _: Presenter) -> object:
        return await read_rollup(conn, 1, current.model, name, Question(keys=keys, per=per), limit=LIMIT)

    return read


async def one_activity(conn: Connection, _: CurrentModel, presenter: Presenter) -> object:
    await plan_by_index(conn, sorts=True)
    return await by_ids(conn, 1, [MIDDLE], presenter)


async def goal(conn: Connection, current: CurrentModel, _: Presenter) -> object:
    return await read_goal(conn, 1, current.model, "team_goal", {"group": "team-3"}, now=NOW)


async def latest(conn: Connection, current: CurrentModel, _: Presenter) -> object:
    return await read_latest(conn, 1, current.model, "grade_book", {"group": "team-3"}, limit=LIMIT)


async def pairs_of_group(conn: Connection, current: CurrentModel, _: Presenter) -> object:
    return await read_pairs(conn, 1, current.model, "tickets", object=None, group="team-3", limit=LIMIT)


async def pending(conn: Connection, current: CurrentModel, _: Presenter) -> object:
    return await read_pending(conn, 1, current.model, "user-3", Wanted(), now=NOW, limit=LIMIT)


async def pending_next_page(conn: Connection, current: CurrentModel, _: Presenter) -> object:
    after = f'["2026-03-02T00:00:00Z","{MIDDLE}",4,"assessments"]'.encode()
    return await read_pending(conn, 1, current.model, "user-3", Wanted(group="team-4"), now=NOW, limit=LIMIT, after=after)


def report(name: str, days: int | None = 90, **asked: Any) -> Read:
    """As a dashboard asks; only what is asked about latest tables and memberships has no days."""

    async def read(conn: Connection, current: CurrentModel, _: Presenter) -> object:
        question = reports.Question(days=days, **asked)
        return await reports.read_report(conn, 1, current.model, name, question, now=NOW, limit=LIMIT)

    return read


async def pairs_of_object(conn: Connection, current: CurrentModel, _: Presenter) -> object:
    return await read_pairs(conn, 1, current.model, "tickets", object="ticket/t-3", group=None, limit=LIMIT)


async def home(conn: Connection, _: CurrentModel, presenter: Presenter) -> object:
    await plan_by_index(conn, sorts=False)
    stream = await home_of(conn, 1, VIEWER)
    return await page_of(conn, 1, stream, presenter, low=SMALLEST_ID, high=MIDDLE, limit=LIMIT)


READS: dict[str, Read] = {
    "seen_list": feed(reader=VIEWER),
    "seen_list_by_status": feed(reader=VIEWER, status="late"),
    "seen_feed_of_group": feed(reader=VIEWER, group="team-3"),
    "seen_feed_of_actor": feed(reader=VIEWER, actor="user-3"),
    "seen_feed_of_object": feed(reader=VIEWER, object=("workout", "w-3")),
    "home": home,
    "list": feed(),
    "list_first_page": feed(before=None),
    "list_between_times": feed(since=datetime(2025, 12, 24, tzinfo=UTC), until=NOW),
    "list_by_verb": feed(verb="run"),
    "list_by_status": feed(status="late"),
    "list_by_source_tested": feed(source="strava"),
    "list_by_data": feed(data={"device": "device-3"}),
    "list_by_data_and_verb": feed(data={"device": "device-3"}, verb="run"),
    "feed_of_group": feed(group="team-3"),
    "feed_of_group_by_verb": feed(group="team-3", verb="grade"),
    "feed_of_actor": feed(actor="user-3"),
    "feed_of_actor_in_group": feed(actor="user-3", group="team-4"),
    "feed_of_object": feed(object=("workout", "w-3")),
    "activity": one_activity,
    "rollup_of_group": rollup("team_distance", group="team-3"),
    "rollup_of_member": rollup("members", group="team-4", actor="user-3"),
    "rollup_of_all_groups": rollup("team_distance"),
    "rollup_of_one_of_two_keys": rollup("members", group="team-4"),
    "rollup_of_the_other_key": rollup("members", actor="user-3"),
    "goal": goal,
    "latest": latest,
    "pairs_of_group": pairs_of_group,
    "pairs_of_object": pairs_of_object,
    "pending": pending,
    "report_of_group": report("distance", keys={"group": "team-3"}),
    "report_by_kind": report("kinds", keys={"group": "team-3"}),
    "report_by_hour": report("hours", keys={"group": "team-3"}),
    "report_of_the_highest": report("busiest_kinds", days=30, keys={"group": "team-3"}),
    "report_of_engagement": report("engagement", keys={"group": "team-3"}),
    "report_of_groups_below": report("engagement", within="team-3"),
    "report_of_times": report("resolution", keys={"group": "team-3"}),
    "report_of_all_times": report("resolution"),
    "report_of_grades": report("grades", days=None, keys={"group": "team-3"}),
    "report_of_one_students_grades": report("grades", days=None, keys={"actor": "user-3"}),
    "report_of_my_teams": report("my_teams", days=None, keys={"actor": "user-3"}),
    "report_of_a_roster": report("roster", days=None, keys={"group": "team-3"}),
    "report_of_what_is_open": report("backlog", days=None, keys={"group": "team-3"}),
    "pending_next_page": pending_next_page,
}


@dataclass(frozen=True)
class Asked:
    text: str
    parameters: dict[str, Any]


class Recorder:
    """A connection that notes what is asked of it."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self.asked: list[Asked] = []

    async def execute(self, query: str, parameters: dict[str, Any] | None = None) -> Any:
        self.asked.append(Asked(query, parameters or {}))
        return await self._conn.execute(query.encode(), parameters)


@dataclass(frozen=True, kw_only=True)
class Populated:
    db: Database
    current: CurrentModel
    presenter: Presenter
    major: int


@pytest.fixture(scope="module")
def plans_url(any_server: EmbeddedServer, any_template: str) -> Iterator[str]:
    with fresh_database(any_server, any_template) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def populated(plans_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Populated]:
    """30,000 activities over four partitions, 20,000 actors and groups, and what is derived from as many."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("plans"), write_pool_min=0, point_pool_min=0, analytics_pool_min=0)
    async with await Database.connect_owner(plans_url) as owner:
        await apply_model(owner, MODEL.read_text(encoding="utf-8"))
        assert (await create_tenant(owner, "acme", 1)).tenant_id == 1
        await ensure_partitions(owner, id_from(datetime(2025, 11, 1, tzinfo=UTC)), MIDDLE_OF_LAST, NOW)
        for statement in POPULATE:
            await owner.execute(statement.encode())
        major = owner.info.server_version // 10_000
    async with await Database.open(plans_url, settings) as db:
        async with db.transaction("point") as conn:
            current = await current_model(conn)
        yield Populated(db=db, current=current, presenter=Presenter(current.compiled.columns), major=major)


async def asked_by(populated: Populated, read: Read) -> list[Asked]:
    async with populated.db.transaction("point", tenant_id=1, snapshot=True) as conn:
        recorder = Recorder(conn)
        await read(cast("Connection", recorder), populated.current, populated.presenter)
    return recorder.asked


async def explained(populated: Populated, read: Read, *, mode: str, options: str) -> list[tuple[str, Any]]:
    """Each statement that a page asks, with its plan once it is prepared. mode: plan_cache_mode."""
    plans = []
    asked = await asked_by(populated, read)
    async with populated.db.transaction("point", tenant_id=1, snapshot=True) as conn:
        for one in asked:
            if one.text.startswith("/* storage/by_index"):  # it says how the others are planned
                await conn.execute(one.text.encode(), one.parameters)
                await conn.execute(f"SET LOCAL plan_cache_mode = {mode}".encode())
                continue
            text, values = numbered(one)
            await conn.execute(f"PREPARE asked AS {text}".encode())
            given = sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, values))) if values else sql.SQL("")
            explain = sql.SQL("EXPLAIN ({}) EXECUTE asked{}").format(sql.SQL(cast("Any", options)), given)
            plans.append((one.text, await (await conn.execute(explain)).fetchall()))
            await conn.execute(b"DEALLOCATE asked")
    return plans


def numbered(asked: Asked) -> tuple[str, list[Any]]:
    """The statement with $1, $2 … as PREPARE wants it, and their values."""
    order: list[str] = []

    def place(found: re.Match[str]) -> str:
        if found[1] not in order:
            order.append(found[1])
        return f"${order.index(found[1]) + 1}"

    text = re.sub(r"%\((\w+)\)[sb]", place, asked.text).replace("%%", "%")
    return text, [asked.parameters[name] for name in order]


@pytest.mark.parametrize("name", READS)
async def test_plans_are_as_they_were(populated: Populated, name: str) -> None:
    """The generic plans are those that were looked at when the snapshot was written."""
    if populated.major not in SNAPSHOTS_OF:
        pytest.skip(f"the snapshots are of PostgreSQL {' and '.join(map(str, SNAPSHOTS_OF))}")
    parts = []
    for text, rows in await explained(populated, READS[name], mode="force_generic_plan", options="COSTS OFF"):
        mark = re.match(r"/\* (\S+) \*/", text)
        parts.append("\n".join([f"-- {mark[1] if mark else 'query'}", *(row[0] for row in rows)]))
    shown = "\n\n".join(parts) + "\n"
    file = PLANS / str(populated.major) / f"{name}.txt"
    if WRITE:
        file.parent.mkdir(exist_ok=True)
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("name", READS)
async def test_no_plan_reads_or_sorts_more_than_a_page(populated: Populated, name: str, mode: str) -> None:
    """Nothing reads a large table or index from end to end, or in parallel, and what is sorted is a page."""
    for text, ((found,),) in await explained(populated, READS[name], mode=mode, options="FORMAT JSON"):
        for node, above in nodes(found[0]["Plan"]):
            kind, table = node["Node Type"], node.get("Relation Name", "")
            assert not kind.startswith("Gather"), text
            if LARGE.fullmatch(table):
                assert kind in ("Index Scan", "Index Only Scan"), (text, node)
                # The tenant alone is no range: it may be the whole table.
                assert " AND " in node["Index Cond"], (text, node)
            if name.startswith("report_"):
                continue  # it sorts what it adds up, which its days and keys bound
            if kind == "Sort" and node["Sort Key"][0] not in MERGED:
                assert sum(child["Plan Rows"] for child in node["Plans"]) <= SORTED_MAX, (text, node)
            if kind == "Incremental Sort":
                assert "Limit" in above, (text, node)


def nodes(plan: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    yield plan, above
    for child in plan.get("Plans", ()):
        yield from nodes(child, (*above, plan["Node Type"]))


@pytest.mark.parametrize("major", SNAPSHOTS_OF)
async def test_every_snapshot_is_of_a_plan(major: int) -> None:
    """No file is left of a query that is gone, and none is missing."""
    assert {file.stem for file in (PLANS / str(major)).glob("*")} == set(READS)
    assert {folder.name for folder in PLANS.iterdir()} == set(map(str, SNAPSHOTS_OF))
