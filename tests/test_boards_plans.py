"""The plans of a board's reads, on each PostgreSQL that is installed here: every comparison of places is the bound of an index range.

A comparison of keys that is tested row by row gives the same answers, and reads the whole board for each: 68 ms instead of 0.6 at a
hundred thousand members. It comes when row-level security may not trust an operator, so the plans are those of the service's role.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from milepost.access.tenants import create_tenant
from milepost.access.viewer import Reader
from milepost.boards.among import read_friends, read_named
from milepost.boards.ranking import Ranking, find_ranking
from milepost.boards.read import read_page
from milepost.boards.snapshots import find_snapshot, put_snapshot
from milepost.boards.standing import read_standing
from milepost.intake.derive import rebuild_ranges
from milepost.model import Snapshots, parse_model
from milepost.postgres import Connection, Database
from milepost.schema.compile import compile_model
from milepost.schema.models import apply_model

pytest_plugins = ["fix_schema"]

MODEL = parse_model((Path(__file__).parent / "models" / "spine.toml").read_text(encoding="utf-8"))
KEEPS_ALL = replace(MODEL, boards={"distance": replace(MODEL.boards["distance"], snapshots=Snapshots(top=100_000))})
NOW = datetime(2026, 3, 4, tzinfo=UTC)
POPULATE = (
    b"INSERT INTO milepost.actor (tenant_id, actor_id, external_id) SELECT 1, i, 'user-' || i FROM generate_series(1, 20000) i",
    b"""INSERT INTO milepost.board_distance (tenant_id, group_id, actor_id, per, bucket, n, sum_distance_m, held_at)
    SELECT 1, 0, i, 'week', w, 1, i, i FROM generate_series(1, 20000) i, unnest(ARRAY['2026-03-02', '2026-02-23']::timestamp[]) w""",
    b"""INSERT INTO milepost.follow (tenant_id, actor_id, kind, target_id, object_kind, object_id, since)
    SELECT 1, 7, 0, i * 100, '', '', now() FROM generate_series(1, 100) i""",
    b"ANALYZE",
)
# A scan of a table that grows with the board, and a key that is compared row by row.
WHOLE = re.compile(r"Seq Scan on (board_distance\w*|snapshot_place|actor|follow|member|group_reach)\b")
ROW_BY_ROW = re.compile(r"Filter: .*\bROW\(")

Read = Callable[[Connection, Ranking], Awaitable[object]]
READS: dict[str, Read] = {
    "top": lambda conn, ranking: read_page(conn, ranking, limit=100),
    "deep": lambda conn, ranking: read_page(conn, ranking, limit=100, after=b"[-9000,9000,9000]"),
    "standing": lambda conn, ranking: read_standing(conn, ranking, "user-9000"),
    "around": lambda conn, ranking: read_standing(conn, ranking, "user-9000", around=5),
    "friends": lambda conn, ranking: read_friends(conn, ranking, "user-7", limit=50),
    "named": lambda conn, ranking: read_named(conn, ranking, ["user-7", "user-9000"]),
}


@pytest.fixture
async def large(owner: Connection, any_db: Database) -> AsyncIterator[Database]:
    """A board of twenty thousand in this week and the one before."""
    await apply_model(owner, (Path(__file__).parent / "models" / "spine.toml").read_text(encoding="utf-8"))
    await create_tenant(owner, "plans", 1)
    for statement in POPULATE[:-1]:
        await owner.execute(statement)
    board = compile_model(MODEL).boards[0]
    for ddl in board.temp_ddl:
        await owner.execute(ddl.encode())
    async with owner.transaction():
        await rebuild_ranges(owner, board, 1)
    await owner.execute(POPULATE[-1])
    yield any_db


async def test_every_key_bounds_an_index_range(large: Database) -> None:
    """Of each read, for a key and for a viewer, generic as a prepared statement's plan is in the end."""
    for reader in (Reader(actor_id=None), Reader(actor_id=7, roots=(1, 2))):
        async with large.transaction("point", tenant_id=1, snapshot=True) as conn:
            ranking = await find_ranking(conn, 1, MODEL, "distance", group=None, window="week", now=NOW, reader=reader)
            for name, read in READS.items():
                for plan in await plans_of(conn, ranking, read):
                    assert not WHOLE.search(plan), f"{name}\n{plan}"
                    assert not ROW_BY_ROW.search(plan), f"{name}\n{plan}"


async def test_a_snapshot_is_read_by_index(large: Database) -> None:
    """Each read of it, and movement since another one."""
    async with large.transaction("write", tenant_id=1) as conn:
        for name in ("one", "two"):
            command = {"do": "put_snapshot", "board": "distance", "snapshot": name, "window": "week"}
            await put_snapshot(conn, 1, KEEPS_ALL, command, now=NOW)
    async with large.transaction("point", tenant_id=1, snapshot=True) as conn:
        ranking = await find_ranking(conn, 1, MODEL, "distance", group=None, window="week", now=NOW)
        one, two = [await find_snapshot(conn, ranking, name) for name in ("one", "two")]
        assert (one.members, one.kept) == (20_000, 20_000)
        kept = replace(ranking, snapshot=one, against=two)
        for name in READS.keys() - {"deep"}:
            for plan in await plans_of(conn, kept, READS[name]):
                assert not WHOLE.search(plan), f"{name}\n{plan}"
        for plan in await plans_of(conn, kept, lambda c, r: read_page(c, r, limit=100, after=b"9000")):
            assert not WHOLE.search(plan), plan


async def test_a_rank_reads_few_rows(large: Database) -> None:
    """However deep: of the range tables and the index some hundreds, on a board of twenty thousand."""
    async with large.transaction("point", tenant_id=1, snapshot=True) as conn:
        ranking = await find_ranking(conn, 1, MODEL, "distance", group=None, window="week", now=NOW)
        for member, rank in (("user-20000", 1), ("user-10000", 10001), ("user-1", 20000)):
            assert (await read_standing(conn, ranking, member)).rank == rank
            (plan,) = await plans_of(conn, ranking, lambda c, r, m=member: read_standing(c, r, m), analyze=True)  # type: ignore[misc]
            rows = [float(found) for found in re.findall(r"Index (?:Only )?Scan.*actual time=\S+ rows=(\S+) loops", plan)]
            assert sum(rows) < 1500, plan


class Explained:
    """A connection that runs what it is given, and keeps the plan of each statement about boards."""

    def __init__(self, conn: Connection, analyze: bool) -> None:
        self.conn, self.analyze = conn, analyze
        self.plans: list[str] = []

    async def execute(self, query: Any, params: Any = None) -> Any:
        if "board_distance" in query or "snapshot_place" in query:
            options = b"ANALYZE, " if self.analyze else b""
            rows = await (await self.conn.execute(b"EXPLAIN (%s COSTS off) " % options + query.encode(), params)).fetchall()
            self.plans.append("\n".join(row[0] for row in rows))
        return await self.conn.execute(query, params)


async def plans_of(conn: Connection, ranking: Ranking, read: Read, *, analyze: bool = False) -> list[str]:
    explained = Explained(conn, analyze)
    await read(explained, ranking)  # type: ignore[arg-type]
    assert explained.plans
    return explained.plans
