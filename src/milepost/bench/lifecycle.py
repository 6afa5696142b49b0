"""Lifecycle: what activities cost in PostgreSQL and in the archive, what archiving does to those who write and read meanwhile, and how
pages of the archive are read. On `--rows` activities (1,000,000 by default) of three tenants over 13 months.

Archiving is a process of its own, as `milepost archive run` is, and goes partition by partition. While each is archived, loads of 100
activities and feed pages are timed one after the other, and for as long before it, so that both are measured in turn. All share this
machine's cores: with two, a process that computes takes a good part of what the others would have. A page of a team that has little reaches into the
archive, the sooner the more of it there is. So each partition's p99 is compared with that of just before and just after it, and what is told is the
median partition's.

A cold page is one of a team's feed, or of all activities, from a moment on that is archived: *first*, with an empty folder of files, and
*warm*, asked for once more. The store is a folder.

Beside these stand the figures of contents (10 KB, 200 KB, 2 MB, whole and in part) and of versions (`milepost bench versions`).
"""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter
from uuid import UUID

import msgspec

from milepost.activity import occurred_at_of
from milepost.background import give_way
from milepost.bench import versions
from milepost.bench._contents import measure_contents
from milepost.bench._ground import say
from milepost.bench._history import DATABASE, History, make_history
from milepost.bench._report import Figure, Report, percentile
from milepost.feeds.read import read_page
from milepost.intake.accept import Acceptor
from milepost.postgres import Database, EmbeddedServer, find_bin, load_queries
from milepost.schema.models import CurrentModel, current_model
from milepost.settings import Settings
from milepost.storage.activities import Presenter
from milepost.storage.archive import ArchiveRun, run_once
from milepost.storage.cold_files import cold_files
from milepost.storage.due import Due
from milepost.storage.filters import Filter
from milepost.storage.partitions import list_partitions
from milepost.storage.restore import restore_part
from milepost.telemetry import configure_logs
from milepost.web.services import Services

__all__ = ["measure"]

_queries = load_queries(__package__, "lifecycle.sql")

PAGE = 50
COLD_PAGES = 60
BATCH = 100
HOT_MONTHS = 6
QUIET_S_MAX = 30.0
SAMPLES_MIN = 100  # of which a p99 tells something
OPEN = timedelta(days=1)


async def measure(settings: Settings, folder: Path, *, rows: int = 1_000_000) -> Report:
    """rows: of three tenants together; the one that is read and written has 60 % of them."""
    history = await make_history(settings, folder, rows=rows)
    report = Report(scenario="lifecycle", settings={"rows": rows, "days": history.days, "hot_months": HOT_MONTHS})
    with EmbeddedServer.start(folder / "data", bin_dir=history.settings.pg_bin) as server:
        url = server.url(DATABASE)
        async with await Database.open(url, history.settings) as db, await db.owner() as owner:
            (heap, indexes) = await (await owner.execute(_queries.sizes)).fetchone() or (0, 0)
        report.figures += [
            Figure(name="heap_bytes_per_row", value=heap / rows, unit="bytes"),
            Figure(name="index_bytes_per_row", value=indexes / rows, unit="bytes"),
        ]
        _backup(report, settings, url, folder, "before")
        await _archived(report, history, url, heap + indexes, rows)
        _backup(report, settings, url, folder, "after")
        async with await Database.open(url, history.settings) as db:
            async with await db.owner() as owner:
                report.figures += await measure_contents(owner, history.tenant_id, folder / "contents")
            await _read(report, history, db)
            await _restored(report, history, db)
    kept = await versions.measure(settings, folder / "versions")
    report.figures += [replace(figure, name=f"versions_{figure.name}") for figure in kept.figures]
    return report


# ── archiving, and who is disturbed ──


async def _archived(report: Report, history: History, url: str, hot_bytes: int, rows: int) -> None:
    services = await Services.start(history.settings, url)
    quiet, busy = list[_Times](), list[_Times]()
    took, gone, half = 0.0, 0, 1.0
    try:
        async with services.db.transaction("point") as conn:
            current = await current_model(conn)
        writer, reader = _Writer(services, history.tenant_id, current), _Pages(services.db, history, current)
        async with await services.db.owner() as owner:
            border = datetime.now(UTC) - timedelta(days=30 * HOT_MONTHS)
            parts = [one for one in await list_partitions(owner) if occurred_at_of(one.high) <= border]
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            await asyncio.get_running_loop().run_in_executor(
                pool, _archive, history.settings, url, datetime.min.replace(tzinfo=UTC)
            )
            for part in parts:
                # Of the time that a partition takes, as far as is known: the first one may be too small to tell.
                half = min(QUIET_S_MAX, max(1.0, took / max(1, gone) * rows / len(parts) / 2))
                quiet.append(await _beside(asyncio.sleep(half), writer, reader))
                say(f"archiving {part.name}")
                began = perf_counter()
                running = asyncio.get_running_loop().run_in_executor(
                    pool, _archive, history.settings, url, occurred_at_of(part.high)
                )
                busy.append(await _beside(running, writer, reader))
                took, gone = took + perf_counter() - began, gone + (await running).rows
            quiet.append(await _beside(asyncio.sleep(half), writer, reader))
        async with await services.db.owner() as owner:
            cold_rows, cold_bytes, files = await (await owner.execute(_queries.cold)).fetchone() or (0, 0, 0)
    finally:
        await services.stop()
    per_row = cold_bytes / max(1, cold_rows)
    report.figures += [
        Figure(name="cold_bytes_per_row", value=per_row, unit="bytes"),
        Figure(name="cold_share", value=per_row * rows / hot_bytes, unit="of heap and indexes", at_most=0.1),
        Figure(name="archived_rows", value=cold_rows, unit="rows"),
        Figure(name="archived_files", value=files, unit="files"),
        Figure(name="archive_rate", value=gone / took, unit="rows/s"),
    ]
    for what in ("intake", "read"):
        timed = [
            (before[what] + after[what], meanwhile[what])
            for before, meanwhile, after in zip(quiet, busy, quiet[1:], strict=False)
        ]
        enough = [one for one in timed if min(map(len, one)) >= SAMPLES_MIN] or timed
        rounds = [(percentile(around, 0.99), percentile(meanwhile, 0.99)) for around, meanwhile in enough]
        report.figures += [
            Figure(name=f"{what}_p99_quiet_ms", value=median(one for one, _ in rounds), unit="ms"),
            Figure(name=f"{what}_p99_archiving_ms", value=median(one for _, one in rounds), unit="ms"),
            Figure(name=f"{what}_p99_grows", value=median(two / one for one, two in rounds) - 1, unit="of itself", at_most=0.2),
        ]


_Times = dict[str, list[float]]  # milliseconds of each load and page: intake, read


async def _beside(until: Awaitable[object], writer: _Writer, reader: _Pages) -> _Times:
    """Loads, and pages beside them, over and over, until something else is done."""
    done = asyncio.ensure_future(until)
    times: _Times = {"intake": [], "read": []}

    async def again(what: str, work: Callable[[], Awaitable[None]]) -> None:
        while not done.done():
            began = perf_counter()
            await work()
            times[what].append((perf_counter() - began) * 1000)
            await asyncio.sleep(0.01)

    await asyncio.gather(again("intake", writer.one), again("read", reader.hot))
    await done
    return times


def _archive(settings: Settings, url: str, border: datetime) -> ArchiveRun:
    """In a process of its own: all before the border."""
    configure_logs(settings.log_level, settings.log_format)  # type: ignore[arg-type]
    give_way()

    async def work() -> ArchiveRun:
        async with await Database.open(url, settings) as db:
            return await run_once(db, due=Due(condition="true", parameters={}, border=border))

    return asyncio.run(work())


class _Writer:
    """Sends activities of now, and waits until they can be read."""

    def __init__(self, services: Services, tenant_id: int, current: CurrentModel) -> None:
        self.services, self.tenant_id, self.current = services, tenant_id, current
        self.acceptor = Acceptor(current.model, current.version)
        self.rng = random.Random(8)

    async def one(self) -> None:
        now = datetime.now(UTC)
        sent = [
            {
                "actor": f"user-{self.rng.randrange(1000)}", "verb": "run", "group": f"team-{self.rng.randrange(100)}",
                "object": {"kind": "route", "id": f"r-{self.rng.randrange(1000)}"}, "occurred_at": now.isoformat(),
                "measures": {"distance_m": self.rng.randrange(20_000)}, "data": {"note": "river loop", "device": "device-1"},
            }
            for _ in range(BATCH)
        ]  # fmt: skip
        accepted = self.acceptor.accept(self.tenant_id, msgspec.json.encode({"activities": sent}), now)
        receipt = await self.services.queue.enqueue(
            tenant_id=self.tenant_id, lane=0, kind=0, model=self.current.version, rows=accepted.rows,
            payload=accepted.payload,
        )  # fmt: skip
        await self.services.queue.outcome(receipt.batch_id, 30.0)


# ── pages ──


class _Pages:
    def __init__(self, db: Database, history: History, current: CurrentModel) -> None:
        self.db, self.history, self.current = db, history, current
        self.presenter = Presenter(current.compiled.columns, cold_files(history.settings))
        self.rng = random.Random(9)

    async def hot(self) -> None:
        await self.page(self.filter(), None)

    def filter(self) -> Filter:
        return Filter(group=f"team-{int(self.history.groups ** self.rng.random()) - 1}")

    async def page(self, asked: Filter, before: UUID | None) -> int:
        tenant_id = self.history.tenant_id
        async with self.db.transaction("point", tenant_id=tenant_id, snapshot=True) as conn:
            found = await read_page(conn, tenant_id, asked, self.current.model, self.presenter, limit=PAGE, before=before)
        return len(found.items)


async def _read(report: Report, history: History, db: Database) -> None:
    async with db.transaction("point") as conn:
        current = await current_model(conn)
    pages = _Pages(db, history, current)
    async with await db.owner() as owner:
        parts = await (await owner.execute(_queries.parts, {"tenant_id": history.tenant_id})).fetchall()
    first: list[float] = []
    warm: list[float] = []
    for number in range(COLD_PAGES):
        _, _, high = parts[number % len(parts)]
        before = UUID(int=high.int - pages.rng.randrange(20 * 86_400_000) * (1 << 80))
        asked = Filter() if number % 4 == 0 else pages.filter()
        shutil.rmtree(cold_files(history.settings).folder, ignore_errors=True)
        for times in (first, warm):
            began = perf_counter()
            await pages.page(asked, before)
            times.append((perf_counter() - began) * 1000)
    for name, times, most in (("first", first, 300.0), ("warm", warm, 50.0)):
        report.figures += [
            Figure(name=f"cold_page_{name}_p50_ms", value=percentile(times, 0.5), unit="ms"),
            Figure(name=f"cold_page_{name}_p95_ms", value=percentile(times, 0.95), unit="ms", at_most=most),
        ]


async def _restored(report: Report, history: History, db: Database) -> None:
    async with await db.owner() as owner:
        parts = await (await owner.execute(_queries.parts, {"tenant_id": history.tenant_id})).fetchall()
    began = perf_counter()
    back = await restore_part(db, history.tenant_id, parts[0][0], keep=OPEN)
    report.figures.append(Figure(name="restore_rate", value=back.rows / (perf_counter() - began), unit="rows/s"))


def _backup(report: Report, settings: Settings, url: str, folder: Path, when: str) -> None:
    """Time and size of a base backup, where its program is there."""
    program = (settings.pg_bin or find_bin()) / "pg_basebackup"
    if not program.exists():
        return
    target = folder / "backup"
    began = perf_counter()
    subprocess.run([program, "-D", target, "-X", "stream", "-c", "fast", "-d", url], check=True, capture_output=True)
    seconds = perf_counter() - began
    size = 0
    for path in target.rglob("*"):
        with suppress(FileNotFoundError):
            size += path.stat().st_size
    shutil.rmtree(target)
    report.figures += [
        Figure(name=f"backup_{when}_mib", value=size / 2**20, unit="MiB"),
        Figure(name=f"backup_{when}_s", value=seconds, unit="s"),
    ]
