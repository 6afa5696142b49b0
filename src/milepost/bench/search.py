"""Search: pages newest first and by relevance, in a tenant with 60 % of the rows and in one with 1 %, timed in the database.

Activities over thirteen months have notes of eight words by Zipf's law, and a word that is in 40 % of them, one in 2 %, one in 0.1 %. The
index is filled from them as it is when a model declares them searched. Then each kind of page is asked for, of words drawn anew and from moments
drawn anew: *warm* after as many others of every kind, *cold* first after the server was started, with empty shared buffers (the
system's own cache is as it was). A time is a reader's whole transaction. Last, what is loaded in batches of 1,000 is waited for until the
index has it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec

from milepost.access.tenants import create_tenant
from milepost.activity import id_from
from milepost.bench._ground import say
from milepost.bench._report import Figure, Report, percentile
from milepost.errors import MilepostError
from milepost.intake.accept import Acceptor
from milepost.intake.load import Lane
from milepost.intake.queue import Queue
from milepost.postgres import Connection, Database, EmbeddedServer, load_queries
from milepost.schema import migrate
from milepost.schema.models import CurrentModel, apply_model, current_model
from milepost.search.indexer import Indexer
from milepost.search.progress import caught_up
from milepost.search.read import Search, search_page
from milepost.settings import Settings
from milepost.storage.activities import Presenter
from milepost.storage.filters import Filter
from milepost.storage.partitions import ensure_partitions

__all__ = ["measure"]

_queries = load_queries(__package__, "search.sql")

DATABASE = "bench"
MODEL = """
name = "bench"
[verbs.run]
data.note = { type = "text", search = "english" }
[verbs.ride]
data.note = { type = "text", search = "english" }
"""
DAYS = 395
SHARES = {"large": 0.6, "small": 0.01, "other": 0.39}  # the tenants' parts of the rows
VOCABULARY = 20_000
ACTORS = 10_000
PAGE = 50
TIMES, TIMES_COLD = 200, 20  # of each kind
NEWEST_MS, RELEVANCE_MS, BEHIND_S = 20.0, 100.0, 1.0
BATCHES, BATCH_ROWS = 20, 1_000


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of page. target_ms: of the warm 95th percentile; None: bounded by what it looks at, not by what it shows."""

    draw: Callable[[random.Random], Search]
    target_ms: float | None


def kinds() -> Iterator[tuple[str, Kind]]:
    words: dict[str, Callable[[random.Random], str]] = {
        "frequent": lambda _: "common",
        "medium": lambda _: "middle",
        "seldom": lambda _: "seldom",
        "rare": lambda rng: f"w{int(VOCABULARY ** (0.9 + 0.1 * rng.random()))}x",
        "absent": lambda rng: f"nowhere{rng.randrange(10**6)}",
    }
    for name, word in words.items():
        yield f"{name}_newest", newest(word)
        yield f"{name}_relevance", by_relevance(word)
    yield (
        "two_words_newest",
        Kind(draw=lambda rng: Search(q=f"common w{int(VOCABULARY ** rng.random())}x"), target_ms=NEWEST_MS),
    )
    yield "beginning_newest", Kind(draw=lambda rng: Search(q=f"common mid{'dle'[: rng.randrange(4)]}*"), target_ms=NEWEST_MS)
    yield (
        "facets",
        Kind(draw=lambda _: Search(q="common", facets=("verb", "source", "status", "actor")), target_ms=RELEVANCE_MS),
    )
    yield "highlight", Kind(draw=lambda rng: Search(q="common", filter=since(rng), highlight=True), target_ms=NEWEST_MS)
    yield (
        "of_an_actor",
        Kind(draw=lambda rng: Search(q="common", filter=Filter(actor=f"user-{int(ACTORS ** rng.random())}")), target_ms=None),
    )
    yield "of_a_status", Kind(draw=lambda _: Search(q="middle", filter=Filter(status="late")), target_ms=None)


def newest(word: Callable[[random.Random], str]) -> Kind:
    return Kind(draw=lambda rng: Search(q=word(rng), filter=since(rng)), target_ms=NEWEST_MS)


def by_relevance(word: Callable[[random.Random], str]) -> Kind:
    return Kind(draw=lambda rng: Search(q=word(rng), order="relevance"), target_ms=RELEVANCE_MS)


def since(rng: random.Random) -> Filter:
    """Below a moment anywhere in the newest half of the history."""
    return Filter(until=datetime.now(UTC) - timedelta(days=DAYS / 2 * rng.random()))


async def measure(settings: Settings, folder: Path, *, rows: int = 1_000_000) -> Report:
    own = Settings(data_dir=folder, lanes=1, pg_bin=settings.pg_bin)
    report = Report(scenario="search", settings={"rows": rows, "days": DAYS, "page": PAGE, "times": TIMES})
    async with _served(own) as (url, db, owner):
        tenants = await _history(url, owner, rows)
        began = perf_counter()
        indexed = await Indexer(db).run_once()
        seconds = perf_counter() - began
        report.figures.append(Figure(name="filled_per_s", value=indexed / seconds, unit="activities/s"))
        say(f"indexed {indexed:,} in {seconds:.0f} s")
        await owner.execute(_queries.settle)
        sizes = await (await owner.execute(_queries.sizes)).fetchone()
        for name, size in zip(("documents", "primary_key", "keys", "database"), sizes or (), strict=True):
            report.figures.append(Figure(name=f"{name}_mib", value=size, unit="MiB"))
    drawn = dict(kinds())
    for name, kind in drawn.items():
        async with _served(own) as (_, db, _):
            for tenant in ("large", "small"):
                times = await _timed(
                    db, tenants[tenant], [kind.draw(rng) for rng in [random.Random(3)] for _ in range(TIMES_COLD)]
                )
                _note(report, f"{tenant}_{name}_cold", times, None)
    async with _served(own) as (_, db, owner):
        rng = random.Random(4)
        for tenant in ("large", "small"):
            others = [kind.draw(rng) for kind in drawn.values() for _ in range(TIMES // 4)]
            rng.shuffle(others)
            await _timed(db, tenants[tenant], others)
        for tenant in ("large", "small"):
            for name, kind in drawn.items():
                times = await _timed(db, tenants[tenant], [kind.draw(rng) for _ in range(TIMES)])
                _note(report, f"{tenant}_{name}", times, kind.target_ms)
        behind = await _behind(db, tenants["small"])
        report.figures.append(Figure(name="findable_p95_s", value=percentile(behind, 0.95), unit="s", at_most=BEHIND_S))
    return report


@asynccontextmanager
async def _served(settings: Settings) -> Any:
    """A server that was started for this block, with empty shared buffers."""
    with EmbeddedServer.start(settings.data_dir / "data", bin_dir=settings.pg_bin) as server:
        url = server.ensure_database(DATABASE)
        async with await Database.connect_owner(url) as owner:
            await migrate(owner, 1)
            await apply_model(owner, MODEL)
            async with await Database.open(url, settings) as db:
                yield url, db, owner


async def _history(url: str, owner: Connection, rows: int) -> dict[str, int]:
    now = datetime.now(UTC)
    await ensure_partitions(owner, id_from(now - timedelta(days=DAYS + 1)), id_from(now + timedelta(days=2)), now)
    tenants = {name: (await create_tenant(owner, name, 1)).tenant_id for name in SHARES}
    say(f"making {rows:,} activities")
    for tenant_id in tenants.values():
        await owner.execute(_queries.actors, {"tenant_id": tenant_id, "actors": ACTORS})
    values = {
        "rows": rows, "days": DAYS, "actors": ACTORS, "vocabulary": VOCABULARY,
        "large": tenants["large"], "small": tenants["small"], "other": tenants["other"],
        "to_large": SHARES["large"], "to_small": SHARES["large"] + SHARES["small"],
    }  # fmt: skip
    await owner.execute(_queries.activities, values)
    await owner.execute(_queries.settle)
    return tenants


async def _timed(db: Database, tenant_id: int, asked: list[Search]) -> list[float]:
    """Milliseconds of each page, in a transaction of its own, as a request has it."""
    current = await _current(db)
    presenter = Presenter(current.compiled.columns)
    times = []
    for one in asked:
        began = perf_counter()
        async with db.transaction("point", tenant_id=tenant_id, snapshot=True) as conn:
            await search_page(conn, tenant_id, one, current.compiled, presenter, limit=PAGE)
        times.append((perf_counter() - began) * 1000)
    return times


async def _behind(db: Database, tenant_id: int) -> list[float]:
    """Seconds from a batch's load to when a search finds it, with the indexer of a server."""
    queue, current, indexer = Queue(db, db.settings), await _current(db), Indexer(db)
    acceptor = Acceptor(current.model, current.version)
    lane = Lane(db, queue, 0, "bench", db.settings)
    if not await lane.open():
        raise MilepostError("The lane is taken.")
    await queue.start()
    await indexer.start()
    seconds = []
    for number in range(BATCHES):
        batch = [
            {"actor": f"user-{row}", "verb": "run", "data": {"note": f"common w{number}x w{row}x river loop"}}
            for row in range(BATCH_ROWS)
        ]
        accepted = acceptor.accept(tenant_id, msgspec.json.encode({"activities": batch}), datetime.now(UTC))
        await queue.enqueue(
            tenant_id=tenant_id, lane=0, kind=0, model=current.version, rows=accepted.rows, payload=accepted.payload
        )
        await lane.run_once()
        began = perf_counter()
        if not await caught_up(db, tenant_id, within_s=60):
            raise MilepostError("The index did not take in what was loaded within a minute.")
        seconds.append(perf_counter() - began)
    await indexer.stop()
    await lane.close()
    await queue.stop()
    return seconds


async def _current(db: Database) -> CurrentModel:
    async with db.transaction("point") as conn:
        return await current_model(conn)


def _note(report: Report, name: str, times: list[float], target_ms: float | None) -> None:
    for share, target in ((0.5, None), (0.95, target_ms)):
        value = percentile(times, share)
        report.figures.append(Figure(name=f"{name}_p{share * 100:.0f}_ms", value=value, unit="ms", at_most=target))
    say(f"{name}: p50 {percentile(times, 0.5):.2f}, p95 {percentile(times, 0.95):.2f} ms")
