"""Reads: feed pages at any depth, of keys and viewers, home feeds and pages of rollups, on 5 million activities (`--rows`) over 13
months, timed in the database.

A time is that of a reader's whole transaction on a local socket: taking a connection, the statements of the page with their round
trips, and the page as it will be shown. Every page is asked for once. Two figures for each kind of page:

- *warm*: after hundreds of other pages of every kind were read since the server began. What is in memory is what such use has left there.
  Pages that are `tested`, row by row because no index serves all of their filters, have no target: they are bounded by what they
  look at, not by what they show.
- `member_beside_load`: memberships, a thousand a second while another process loads (`_beside`).
- `index_use`: of all scans of tables meanwhile, how many went by an index.
- *cold*: the first pages of that kind after the server was started, so its shared buffers are empty. The system's own cache is not
  emptied and has most of the files: a page that must come from the disk takes longer.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from time import perf_counter

from milepost.bench._beside import measure_beside
from milepost.bench._ground import say
from milepost.bench._history import History, make_history, served
from milepost.bench._pages import PAGE, Asked, draw_pages
from milepost.bench._report import Figure, Report, percentile
from milepost.errors import InvalidInput
from milepost.postgres import Database, load_queries
from milepost.schema.models import current_model
from milepost.settings import Settings

__all__ = ["measure", "measure_reads"]

_queries = load_queries(__package__, "history.sql")

PAGES = 900  # of each kind, where there are as many: four parts are read to warm up, four are timed warm, one is timed cold
BEFORE, WARM, COLD = range(4), range(4, 8), range(8, 9)
PARTS = 9
ROWS_MIN = 10_000
TARGET_MS = 5.0  # of the warm 95th percentile
TARGETS_MS = {"home": 20.0, "check": 1.0, "groups_of_actor": 1.0, "members_of_group": 1.0, "member": 1.0}  # of some kinds


async def measure(settings: Settings, folder: Path, *, rows: int = 5_000_000, curve: str | None = None) -> Report:
    """rows: of three tenants together; the one that is read, but for the `small` kinds, has 60 % of them. curve: several such numbers."""
    if curve is not None:
        return await _curve(settings, folder, sizes_of(curve))
    return await measure_reads(await make_history(settings, folder, rows=rows, actors=actors_of(rows)))


def actors_of(rows: int) -> int:
    """A hundred thousand, and a million behind twenty million rows."""
    return max(100_000, rows // 20)


async def _curve(settings: Settings, folder: Path, sizes: Sequence[int]) -> Report:
    """Each size on a server of its own, the smallest first; then by how much the median of each kind of page is longer at the largest."""
    report = Report(scenario="reads", settings={"curve": list(sizes), "page": PAGE, "pages": PAGES})
    medians: dict[str, list[float]] = {}
    for rows in sizes:
        own = folder / str(rows)
        own.mkdir()
        found = await measure_reads(await make_history(settings, own, rows=rows, actors=actors_of(rows)))
        rmtree(own)
        for figure in found.figures:
            report.figures.append(replace(figure, name=f"{figure.name}_at_{rows}"))
            if figure.name.endswith("_p50_ms"):
                medians.setdefault(figure.name.removesuffix("_p50_ms"), []).append(figure.value)
    for kind, values in medians.items():
        report.figures.append(Figure(name=f"{kind}_growth", value=values[-1] / values[0], unit="ratio"))
    return report


def sizes_of(curve: str) -> list[int]:
    """Raises `InvalidInput`."""
    words = [word.strip().replace("_", "") for word in curve.split(",")]
    if not all(word.isdecimal() and int(word) >= ROWS_MIN for word in words):
        raise InvalidInput(f"--curve is a list of numbers of rows, each at least {ROWS_MIN:,}, such as 1000000,5000000.")
    return sorted({int(word) for word in words})


async def measure_reads(history: History) -> Report:
    settings = {
        "rows": history.rows, "days": history.days, "actors": history.actors, "groups": history.groups,
        "database_mib": history.size_mib, "shared_buffers_mib": history.buffers_mib,
        "page": PAGE, "pages": PAGES,
    }  # fmt: skip
    report = Report(scenario="reads", settings=settings)
    say("drawing pages")
    async with served(history) as db:
        async with db.transaction("point") as conn:
            current = await current_model(conn)
        async with await db.owner() as owner:
            drawn = await draw_pages(owner, history, current, PAGES)
    warm, cold = {}, {}
    async with served(history) as db:
        others = [asked for pages in drawn.values() for asked in _part(pages, BEFORE)]
        random.Random(6).shuffle(others)
        say(f"reading {len(others):,} pages")
        await _timed(db, others)
        for kind, pages in drawn.items():
            warm[kind] = await _timed(db, _part(pages, WARM))
            _say(kind, "warm", warm[kind])
        async with await db.owner() as owner:
            row = await (await owner.execute(_queries.index_use)).fetchone()
    used = float(row[0]) if row else 0.0
    report.figures += await measure_beside(history)
    report.figures.append(Figure(name="index_use", value=used, unit="%", at_least=90.0))
    for kind, pages in drawn.items():
        async with served(history) as db:
            cold[kind] = await _timed(db, _part(pages, COLD))
            _say(kind, "cold", cold[kind])
    for kind in drawn:
        for state, times, target in (("", warm[kind], TARGET_MS), ("_cold", cold[kind], None)):
            for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
                most = target and TARGETS_MS.get(kind, target) if name == "p95" and not kind.endswith("_tested") else None
                value = percentile(times, share)
                report.figures.append(Figure(name=f"{kind}{state}_{name}_ms", value=value, unit="ms", at_most=most))
    return report


async def _timed(db: Database, pages: Sequence[Asked]) -> list[float]:
    """Milliseconds of each page, in a transaction of its own, as a request has it."""
    times = []
    for asked in pages:
        began = perf_counter()
        async with db.transaction("point", tenant_id=asked.tenant_id, snapshot=True) as conn:
            await asked.read(conn)
        times.append((perf_counter() - began) * 1000)
    return times


def _part(pages: Sequence[Asked], parts: range) -> list[Asked]:
    return [asked for number, asked in enumerate(pages) if number % PARTS in parts]


def _say(kind: str, state: str, times: list[float]) -> None:
    shares = ", ".join(f"p{share * 100:.0f} {percentile(times, share):.2f}" for share in (0.5, 0.95, 0.99))
    say(f"{kind}, {state}, {len(times)} pages: {shares} ms")
