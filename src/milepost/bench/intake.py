"""Intake: HTTP batches of 100 until they are loaded and folded, beside a bare binary COPY of the same rows into the same table.

Rounds go A B A B. B: a real `milepost serve` on 1 lane, then on 2, fed by 4 connections; the time runs until the last activity is
loaded and in both rollups. A: the rows of that round, exported from the table in the order in which they came, and copied for
other tenants with the same history in transactions of `batch_rows_max` rows, over as many connections as there were lanes. Then receipts
are timed at 80 % of the best rate, single activities until they are loaded, and corrections of them. `--board` keeps a board as well. `--queue redis` puts a
Redis before the queue, which syncs each group of batches to disk.
"""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec

from milepost.bench._ground import Ground, columns_of_activity, cpu_seconds, ground, say
from milepost.bench._http import Outcome, request_bytes, send
from milepost.bench._redis import BenchRedis, redis_server
from milepost.bench._report import Figure, Report, percentile
from milepost.bench._serving import serving
from milepost.errors import MilepostError
from milepost.intake.queue import backlog
from milepost.postgres import Database, load_queries
from milepost.settings import Settings

__all__ = ["measure"]

_queries = load_queries(__package__, "ground.sql")

ACTORS, GROUPS = 100_000, 4_000
ROWS_BEFORE = 2_000_000
ROWS_ROUND = 300_000
BATCH = 100
CONNECTIONS = 4
ROUNDS = 3
PACED_S = 20
LONE = 100


async def measure(settings: Settings, folder: Path, queue: str = "postgres", board: bool = False) -> Report:
    """board: a board of actors, everywhere, by week and for all time, is kept beside the two rollups."""
    chosen = {
        "queue": queue,
        "rows_before": ROWS_BEFORE,
        "rows_a_round": ROWS_ROUND,
        "rounds": ROUNDS,
        "batch": BATCH,
        "connections": CONNECTIONS,
        "actors": ACTORS,
        "groups": GROUPS,
        "rollups": 2,
        "boards": int(board),
        "batch_rows_max": settings.batch_rows_max,
    }
    report = Report(scenario="intake", settings=chosen)
    async with AsyncExitStack() as ends:
        redis = await ends.enter_async_context(redis_server(folder)) if queue == "redis" else None
        made = await ends.enter_async_context(
            ground(
                settings, folder, tenants=2, rows=ROWS_BEFORE // 2, actors=ACTORS, groups=GROUPS, days=30, bare=2, board=board
            )
        )
        rates: dict[tuple[str, int], list[float]] = {}
        pids = {"postgres": made.server.pid} | ({"redis": redis.pid} if redis is not None else {})
        cpu: dict[str, list[float]] = {"server": [], **{name: [] for name in pids}}
        rng = random.Random(8)
        async with serving(made.url, made.settings.data_dir, redis) as (port, pid):
            pids["server"] = pid
            for round_number in range(ROUNDS):
                for lanes in (1, 2):
                    before = {name: cpu_seconds(one) for name, one in pids.items()}
                    since, rate = await _intake(made, redis, port, lanes, rng)
                    for name, one in pids.items():
                        cpu[name].append((cpu_seconds(one) - before[name]) / ROWS_ROUND * 1e6)
                    copied = await _copy(made, lanes, since)
                    rates.setdefault(("intake", lanes), []).append(rate)
                    rates.setdefault(("copy", lanes), []).append(copied)
                    say(f"round {round_number + 1}, {lanes} lanes: intake {rate:,.0f} rows/s, copy {copied:,.0f} rows/s")
            peak = max(statistics.median(rates["intake", lanes]) for lanes in (1, 2))
            paced = await _paced(made, redis, port, peak * 0.8, rng)
            lone = await _lone(made, port, rng)
            corrected = await _corrected(made, port)
        for lanes in (1, 2):
            suffix = "" if lanes == 2 else "_1_lane"
            ratios = [one / other for one, other in zip(rates["intake", lanes], rates["copy", lanes], strict=True)]
            report.figures += [
                Figure(name=f"copy_rows_s{suffix}", value=statistics.median(rates["copy", lanes]), unit="rows/s"),
                Figure(name=f"intake_rows_s{suffix}", value=statistics.median(rates["intake", lanes]), unit="rows/s"),
                Figure(
                    name=f"ratio_to_copy{suffix}",
                    value=statistics.median(ratios),
                    unit="ratio",
                    at_least=0.5 if lanes == 2 else None,
                ),
                Figure(name=f"ratio_to_copy_lowest{suffix}", value=min(ratios), unit="ratio"),
                Figure(name=f"ratio_to_copy_highest{suffix}", value=max(ratios), unit="ratio"),
            ]
        report.figures += [
            Figure(name="receipt_p50_ms", value=percentile(paced.latencies, 0.5) * 1000, unit="ms"),
            Figure(name="receipt_p99_ms", value=percentile(paced.latencies, 0.99) * 1000, unit="ms", at_most=50),
            Figure(name="paced_rows_s", value=len(paced.latencies) * BATCH / paced.seconds, unit="rows/s"),
            Figure(name="lone_p50_ms", value=percentile(lone.latencies, 0.5) * 1000, unit="ms"),
            Figure(name="lone_p99_ms", value=percentile(lone.latencies, 0.99) * 1000, unit="ms"),
            Figure(name="corrected_p50_ms", value=percentile(corrected.latencies, 0.5) * 1000, unit="ms"),
            Figure(name="corrected_p99_ms", value=percentile(corrected.latencies, 0.99) * 1000, unit="ms"),
            Figure(name="server_cpu_s", value=statistics.median(cpu["server"]) * ROWS_ROUND / 1e6, unit="s"),
            Figure(name="postgres_cpu_s", value=statistics.median(cpu["postgres"]) * ROWS_ROUND / 1e6, unit="s"),
            Figure(name="server_cpu_us_a_row", value=statistics.median(cpu["server"]), unit="us"),
            *(
                Figure(name=f"{name}_cpu_us_a_row", value=statistics.median(cpu[name]), unit="us")
                for name in cpu
                if name != "server"
            ),
        ]
    return report


def bodies(count: int, rng: random.Random, batch: int = BATCH) -> list[bytes]:
    """Requests' bodies of `batch` activities of the last hour, by Zipf-distributed actors, each in a team."""
    now, made = datetime.now(UTC), []
    for _ in range(count // batch):
        activities = []
        for _ in range(batch):
            stamp = f"{rng.getrandbits(64):x}"
            ride = rng.random() < 1 / 3
            actor = int(ACTORS ** rng.random())  # Zipf's law, exponent 1: the n-th does 1/n of what the first does
            activities.append(
                {
                    "key": stamp,
                    "occurred_at": (now - timedelta(seconds=3600 * rng.random())).isoformat(),
                    "actor": f"user-{actor}",
                    "verb": "ride" if ride else "run",
                    "object": {"kind": "workout", "id": f"w-{stamp}"},
                    "group": f"team-{actor % GROUPS}",
                    "measures": {"distance_m": rng.randrange(1000, 210_000) / 10}
                    | ({} if ride else {"duration_s": rng.randrange(300, 6300)}),
                    "data": {"note": "river loop", "device": "fenix"},
                    "visibility": "group",
                    "source": "strava",
                    "status": "ok",
                }
            )
        made.append(msgspec.json.encode({"activities": activities}))
    return made


async def _intake(made: Ground, redis: BenchRedis | None, port: int, lanes: int, rng: random.Random) -> tuple[datetime, float]:
    streams = _streams(made, lanes, bodies(ROWS_ROUND, rng))
    await made.owner.execute(_queries.checkpoint)
    since, began = datetime.now(UTC), perf_counter()
    _require_all_taken(await send(port, streams))
    await _until_loaded(made.db, redis)
    seconds = perf_counter() - began
    values = {"tenants": made.tenants[:2], "since": since}
    row = await (await made.owner.execute(_queries.loaded, values)).fetchone()
    if row is None or row[0] != ROWS_ROUND:
        raise MilepostError(f"{row[0] if row else 0} of {ROWS_ROUND} activities were loaded.")
    return since, ROWS_ROUND / seconds


def _streams(made: Ground, lanes: int, every: list[bytes]) -> list[list[bytes]]:
    streams: list[list[bytes]] = [[] for _ in range(CONNECTIONS)]
    for number, body in enumerate(every):
        stream = number % CONNECTIONS
        streams[stream].append(request_bytes("/v1/activities", made.keys[stream % lanes], body))
    return streams


def _require_all_taken(outcome: Outcome) -> None:
    if set(outcome.statuses) != {202}:
        raise MilepostError(f"Not every request was accepted: {outcome.statuses}")


async def _until_loaded(db: Database, redis: BenchRedis | None) -> None:
    while True:
        if redis is not None and await redis.waiting():
            await asyncio.sleep(0.02)
            continue
        async with db.transaction("point") as conn:
            if not any(lane.batches for lane in await backlog(conn)):
                return
        await asyncio.sleep(0.02)


async def _copy(made: Ground, lanes: int, since: datetime) -> float:
    """The rows of the round once more, bare. → rows a second."""
    columns = await columns_of_activity(made.owner)
    share, size = ROWS_ROUND // lanes, made.settings.batch_rows_max
    loads: list[list[bytes]] = []
    for number in range(lanes):
        own = []
        for offset in range(0, share, size):
            query = _queries.export.format(
                tenant=made.tenants[2 + number], columns=columns, source=made.tenants[number], since=since.isoformat(),
                offset=offset, limit=min(size, share - offset),
            )  # fmt: skip
            async with made.owner.cursor() as cursor, cursor.copy(query) as copy:
                own.append(b"".join([bytes(part) async for part in copy]))
        loads.append(own)
    await made.owner.execute(_queries.checkpoint)
    connections = [await Database.connect_owner(made.url) for _ in range(lanes)]
    statement = _queries.copy_in.format(columns=columns)
    try:
        began = perf_counter()
        await asyncio.gather(*(_copy_in(conn, statement, own) for conn, own in zip(connections, loads, strict=True)))
        seconds = perf_counter() - began
    finally:
        for conn in connections:
            await conn.close()
    return share * lanes / seconds


async def _copy_in(conn: Any, statement: str, loads: Sequence[bytes]) -> None:
    for load in loads:
        async with conn.transaction(), conn.cursor() as cursor, cursor.copy(statement) as copy:
            await copy.write(load)


async def _paced(made: Ground, redis: BenchRedis | None, port: int, rows_s: float, rng: random.Random) -> Outcome:
    """Receipts at a steady rate, on both lanes."""
    streams = _streams(made, 2, bodies(int(rows_s * PACED_S) // BATCH * BATCH, rng))
    await made.owner.execute(_queries.checkpoint)
    outcome = await send(port, streams, per_second=rows_s / BATCH)
    _require_all_taken(outcome)
    await _until_loaded(made.db, redis)
    return outcome


async def _lone(made: Ground, port: int, rng: random.Random) -> Outcome:
    """One activity at a time, when nothing else comes: until it is loaded and in both rollups."""
    requests = [request_bytes("/v1/activities", made.keys[0], body, prefer="wait=10") for body in bodies(LONE, rng, batch=1)]
    outcome = await send(port, [requests])
    return _require_all_done(outcome)


async def _corrected(made: Ground, port: int) -> Outcome:
    """The newest activities, one at a time, to a status that none has: taken back and folded anew."""
    rows = await (await made.owner.execute(_queries.newest, {"tenant_id": made.tenants[0], "rows": LONE})).fetchall()
    body = msgspec.json.encode({"status": "corrected"})
    requests = [request_bytes(f"/v1/activities/{one}", made.keys[0], body, method="PATCH") for (one,) in rows]
    return _require_all_done(await send(port, [requests]))


def _require_all_done(outcome: Outcome) -> Outcome:
    if set(outcome.statuses) != {200}:
        raise MilepostError(f"Not every activity was loaded: {outcome.statuses}")
    return outcome
