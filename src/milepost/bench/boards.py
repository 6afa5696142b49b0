"""Boards: the rank of one among many, read and changed, side by side with the usual ways to have it.

One database holds a board of `members` (built by the statements that rebuild one), a plain table with the same scores, and beside it
a Redis has them in a sorted set that is synced before it answers, as PostgreSQL's log is. All are read in turns: the top hundred, the
standing (rank and percentile) of members at the top, in the middle and at the bottom, and five neighbours on each side. Then thirty times a
thousand scores change, without any vacuum, and all is read again: figures that end in `_changed_p95_ms`.

- A read is timed as its statement's round trip on a local socket, in a transaction that is open: "in the database". `standing_request`
  is a reader's whole transaction, with what it looks up first.
- `changes_1000_ms`: a thousand activities of a thousand members, from their JSON to the first read that shows the last one: accepted,
  queued, loaded, folded, ranked. A rival's: its own thousand updates until they are readable; the materialized view's refresh included.
- Figures of rivals have their names: `rank_over`, `count_index`, `view`, `redis`. Those that take long are asked less often.

No activities lie behind the members: what is measured is the board, not the history.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import msgspec

from milepost.access.tenants import create_tenant
from milepost.activity import id_from
from milepost.bench._ground import say
from milepost.bench._redis import redis_server
from milepost.bench._report import Figure, Report, percentile
from milepost.bench._rivals import Rival, rivals_of
from milepost.boards.ranking import Ranking, find_ranking
from milepost.boards.read import read_page
from milepost.boards.standing import read_standing
from milepost.intake.accept import Acceptor
from milepost.intake.derive import rebuild_ranges
from milepost.intake.load import Lane
from milepost.intake.queue import Queue
from milepost.model import Model, parse_model
from milepost.postgres import Connection, Database, EmbeddedServer, load_queries
from milepost.schema import migrate
from milepost.schema.compile import compile_model
from milepost.schema.models import apply_model
from milepost.settings import Settings
from milepost.storage.partitions import ensure_partitions

__all__ = ["measure"]

_queries = load_queries(__package__, "boards.sql")

MEMBERS = 100_000
ROUNDS = 5  # of all reads in turn, before and after the changes
READS = 60  # of each kind, in each round
CHANGES = 30  # times a thousand
CHANGED = 1_000
READ_MS = 1.0
CHANGES_MS = 50.0
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MODEL = """
name = "ladder"
[verbs.run]
measures.distance_m = "integer"
[boards.ladder]
rank = "actor"
within = "everywhere"
by = "sum(distance_m)"
of = "run"
windows = "all"
"""

Read = Callable[[], Awaitable[object]]


async def measure(settings: Settings, folder: Path, *, members: int = MEMBERS) -> Report:
    """members: of the board."""
    report = Report(scenario="boards", settings={"members": members, "changes": CHANGES * CHANGED, "reads": ROUNDS * READS})
    with EmbeddedServer.start(folder / "data", bin_dir=settings.pg_bin) as server:
        url = server.ensure_database("bench")
        own = Settings(data_dir=folder, lanes=1, database_url=url)
        async with await Database.connect_owner(url) as owner, redis_server(folder) as redis:
            await migrate(owner, 1)
            await apply_model(owner, MODEL)
            tenant_id = (await create_tenant(owner, "bench", 1)).tenant_id
            await ensure_partitions(owner, id_from(NOW), id_from(NOW), datetime.now(UTC))
            async with await Database.open(url, own) as db:
                await _make(owner, tenant_id, members)
                rivals = await rivals_of(owner, redis.client, tenant_id)
                await _run(report, Board(db, own, tenant_id, members), owner, rivals)
    return report


class Board:
    """The board under test, as its readers and its loader have it."""

    def __init__(self, db: Database, settings: Settings, tenant_id: int, members: int) -> None:
        self.db, self.tenant_id, self.members = db, tenant_id, members
        self.model: Model = parse_model(MODEL)
        self.acceptor = Acceptor(self.model, 1)
        self.queue = Queue(db, settings)
        self.lane = Lane(db, self.queue, 0, "bench", settings)

    async def ranking(self, conn: Connection) -> Ranking:
        return await find_ranking(conn, self.tenant_id, self.model, "ladder", group=None, window="all", now=NOW)

    async def change(self, changing: list[tuple[int, str, int]]) -> float:
        """changing: (number, id, what is added) of each. → milliseconds until the last one is read."""
        body = msgspec.json.encode(
            {
                "activities": [
                    {"actor": name, "verb": "run", "occurred_at": NOW.isoformat(), "measures": {"distance_m": added}}
                    for _, name, added in changing
                ]
            }
        )
        began = perf_counter()
        accepted = self.acceptor.accept(self.tenant_id, body, NOW)
        await self.queue.enqueue(
            tenant_id=self.tenant_id, lane=0, kind=0, model=1, rows=accepted.rows, payload=accepted.payload
        )
        assert await self.lane.run_once() == 1
        async with self.db.transaction("point", tenant_id=self.tenant_id, snapshot=True) as conn:
            standing = await read_standing(conn, await self.ranking(conn), changing[-1][1])
        taken = (perf_counter() - began) * 1000
        assert standing.rank is not None
        return taken


async def _make(owner: Connection, tenant_id: int, members: int) -> None:
    """A board of so many, without folding as many activities: its rows, then their keys and indexes, then what makes ranges of rows."""
    board = compile_model(parse_model(MODEL)).boards[0]
    values = {"tenant_id": tenant_id, "members": members}
    say(f"making a board of {members:,} members")
    began = perf_counter()

    def done(what: str) -> None:
        nonlocal began
        began, taken = perf_counter(), perf_counter() - began
        say(f"{what} in {taken:.1f} s")

    await owner.execute(_queries.memory_of_making)
    indexes = await (await owner.execute(_queries.keys_and_indexes)).fetchall()
    for drop, _ in indexes:
        await owner.execute(drop.encode())
    await owner.execute(_queries.actors, values)
    await owner.execute(_queries.members, values)
    done("rows made")
    for _, create in indexes:
        await owner.execute(create.encode())
    await owner.execute(_queries.no_vacuum)
    await owner.execute(_queries.no_vacuum_ranges)
    await owner.execute(_queries.vacuum_rows)
    done("keys and indexes made")
    for statement in board.temp_ddl:
        await owner.execute(statement)
    async with owner.transaction():
        await rebuild_ranges(owner, board, tenant_id)
    done("ranges rebuilt")
    await owner.execute(_queries.rival)
    await owner.execute(_queries.rival_rows, values)
    for query in (
        _queries.rival_key,
        _queries.rival_index,
        _queries.rival_view,
        _queries.rival_view_member,
        _queries.rival_view_rank,
    ):
        await owner.execute(query)
    await owner.execute(_queries.vacuum)
    done("rivals made")
    await owner.execute(_queries.memory_as_it_was)


async def _run(report: Report, board: Board, owner: Connection, rivals: list[Rival]) -> None:
    asked = []
    for skip in (0, board.members // 2, max(0, board.members - 1000)):
        given = {"tenant_id": board.tenant_id, "skip": skip, "rows": min(1000, board.members)}
        asked += await (await owner.execute(_queries.picked, given)).fetchall()
    random.Random(3).shuffle(asked)
    sizes = await (await owner.execute(_queries.sizes)).fetchone()
    assert sizes is not None
    await _read(report, board, rivals, asked, "")
    await board.queue.start()
    assert await board.lane.open()
    times: dict[str, list[float]] = {"": []}
    chance = random.Random(4)
    say(f"{CHANGES} times {CHANGED:,} changes")
    for _ in range(CHANGES):
        numbers = [chance.randrange(board.members) for _ in range(CHANGED)]
        changing = [(asked_number + 1, f"user-{asked_number + 1}", chance.randrange(1, 5_000)) for asked_number in set(numbers)]
        times[""].append(await board.change(changing))
        for rival in rivals:
            if rival.changes_often or not times.get(rival.name):
                times.setdefault(rival.name, []).append(await rival.change(changing))
    await board.lane.close()
    await board.queue.stop()
    await _read(report, board, rivals, asked, "_changed")
    add = report.figures.append
    for name, taken in times.items():
        prefix = f"{name}_" if name else ""
        most = None if name else CHANGES_MS
        add(Figure(name=f"{prefix}changes_1000_ms", value=percentile(taken, 0.5), unit="ms", at_most=most))
        add(Figure(name=f"{prefix}changes_1000_p95_ms", value=percentile(taken, 0.95), unit="ms"))
    for name, size in zip(("ranges", "score_index", "board"), sizes, strict=True):
        most = 2.0 if name == "ranges" and board.members >= 1_000_000 else None
        add(Figure(name=f"{name}_bytes_per_member", value=float(size) / board.members, unit="bytes", at_most=most))


async def _read(report: Report, board: Board, rivals: list[Rival], asked: list[tuple[int, str]], when: str) -> None:
    """All reads in turns: ours, then each rival's, and again."""
    times: dict[str, list[float]] = {}
    at = 0
    for _ in range(ROUNDS):
        async with board.db.transaction("point", tenant_id=board.tenant_id, snapshot=True) as conn:
            ranking = await board.ranking(conn)
            for number in range(READS + 10):
                _, name = asked[(at := at + 1) % len(asked)]
                # Until a statement is prepared, and the few first times after it, it is planned: a server does that once.
                kept = times if number >= 10 else {}
                await _timed(kept, "top100", read_page(conn, ranking, limit=100))
                await _timed(kept, "standing", read_standing(conn, ranking, name))
                await _timed(kept, "around", read_standing(conn, ranking, name, around=5))
        for _ in range(READS):
            _, name = asked[(at := at + 1) % len(asked)]
            await _timed(times, "standing_request", _request(board, name))
        for rival in rivals:
            for kind, read, often in rival.reads():
                for _ in range(READS if often else 1):
                    number, _name = asked[(at := at + 1) % len(asked)]
                    await _timed(times, f"{rival.name}_{kind}", read(number))
    for kind, taken in times.items():
        ours = kind in ("top100", "standing", "around")
        report.figures.append(
            Figure(name=f"{kind}{when}_p95_ms", value=percentile(taken, 0.95), unit="ms", at_most=READ_MS if ours else None)
        )
        report.figures.append(Figure(name=f"{kind}{when}_p50_ms", value=percentile(taken, 0.5), unit="ms"))
        say(f"{kind}{when}: p50 {percentile(taken, 0.5):.3f}, p95 {percentile(taken, 0.95):.3f} ms")


async def _request(board: Board, name: str) -> None:
    async with board.db.transaction("point", tenant_id=board.tenant_id, snapshot=True) as conn:
        await read_standing(conn, await board.ranking(conn), name, around=5)


async def _timed(times: dict[str, list[float]], kind: str, read: Awaitable[object]) -> None:
    began = perf_counter()
    await read
    times.setdefault(kind, []).append((perf_counter() - began) * 1000)
