"""Pressure: what one tenant's flood does to another's receipts.

Tenant B sends 20 requests of 10 activities a second, alone, and beside tenant A, which sends batches of 100 as fast as it can on 8
connections: first without limits, then with a rate of its own (refused most of the time, and sending on all the same), then bodies
of 1 MiB. Rounds go alone, flood, alone, flood …; the figure is the median over rounds of B's p99 beside the flood by its p99 alone.
The server's memory is watched throughout.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import statistics
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter

import msgspec

from milepost.access.limits import set_limits
from milepost.bench._ground import Ground, ground, say
from milepost.bench._http import Outcome, request_bytes, send
from milepost.bench._memory import resident_bytes
from milepost.bench._report import Figure, Report, percentile
from milepost.bench._serving import serving
from milepost.bench.intake import bodies
from milepost.errors import MilepostError
from milepost.intake.queue import backlog
from milepost.settings import Settings

__all__ = ["measure"]

ROWS_BEFORE = 200_000
ACTORS, GROUPS = 10_000, 400
PER_SECOND = 20
SECONDS = 10
ROUNDS = 3
FLOODERS = 8
RATE = 2_000  # activities a second, where A is limited
FLOODS = ("unlimited", "limited", "large")


async def measure(settings: Settings, folder: Path) -> Report:
    chosen = {
        "rows_before": ROWS_BEFORE,
        "quiet_requests_s": PER_SECOND,
        "seconds_a_round": SECONDS,
        "rounds": ROUNDS,
        "flood_connections": FLOODERS,
        "flood_rate": RATE,
    }
    report = Report(scenario="pressure", settings=chosen)
    made_ground = ground(settings, folder, tenants=2, rows=ROWS_BEFORE // 2, actors=ACTORS, groups=GROUPS, days=30)
    async with made_ground as made, serving(made.url, made.settings.data_dir) as (port, pid):
        await _quiet(made, port, 3)  # caches, pools, plans
        before = _resident(pid)
        for flood in FLOODS:
            report.figures += await _rounds(made, port, flood)
        grown = _resident(pid) - before
    report.figures.append(Figure(name="server_grown_mib", value=grown / 2**20, unit="MiB", at_most=150))
    return report


async def _rounds(made: Ground, port: int, flood: str) -> list[Figure]:
    rng = random.Random(4)
    async with made.db.transaction("write") as conn:
        await set_limits(conn, made.tenants[0], {"rate": RATE if flood == "limited" else None})
    every = bodies(20_000, rng)
    if flood == "large":
        activities = [one for body in every for one in msgspec.json.decode(body)["activities"]]
        every = [msgspec.json.encode({"activities": activities[at : at + 2_500]}) for at in range(0, len(activities), 2_500)]
    requests = [request_bytes("/v1/activities", made.keys[0], body) for body in every]
    alone_s, beside_s, rates, refused = [], [], [], []
    for number in range(ROUNDS):
        alone = await _quiet(made, port, SECONDS)
        beside, statuses = await _beside(made, port, requests)
        if set(statuses) - {202, 429}:
            raise MilepostError(f"The flood was answered {statuses}.")
        alone_s.append(percentile(alone.latencies, 0.99))
        beside_s.append(percentile(beside.latencies, 0.99))
        rates.append(statuses.get(202, 0) * (2_500 if flood == "large" else 100) / SECONDS)
        refused.append(statuses.get(429, 0) / SECONDS)
        say(
            f"{flood}, round {number + 1}: p99 alone {alone_s[-1] * 1000:.1f} ms, beside {beside_s[-1] * 1000:.1f} ms; "
            f"taken {rates[-1]:,.0f} activities/s, refused {refused[-1]:,.0f} requests/s"
        )
        await _settled(made)
    ratios = [beside / alone for beside, alone in zip(beside_s, alone_s, strict=True)]
    return [
        Figure(name=f"p99_alone_ms_{flood}", value=statistics.median(alone_s) * 1000, unit="ms"),
        Figure(name=f"p99_beside_ms_{flood}", value=statistics.median(beside_s) * 1000, unit="ms"),
        Figure(name=f"p99_ratio_{flood}", value=statistics.median(ratios), unit="ratio", at_most=2),
        Figure(name=f"flood_taken_rows_s_{flood}", value=statistics.median(rates), unit="rows/s"),
        Figure(name=f"flood_refused_requests_s_{flood}", value=statistics.median(refused), unit="requests/s"),
    ]


async def _beside(made: Ground, port: int, requests: list[bytes]) -> tuple[Outcome, dict[int, int]]:
    """Tenant B while tenant A floods, and what A was answered, by status."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_flood, args=(port, requests, SECONDS + 1.0, theirs))
    process.start()
    theirs.close()  # ours ends with it, should it die
    try:
        await asyncio.to_thread(ours.recv)
        outcome = await _quiet(made, port, SECONDS)
        return outcome, await asyncio.to_thread(ours.recv)
    finally:
        process.terminate()
        process.join()


async def _quiet(made: Ground, port: int, seconds: int) -> Outcome:
    """Tenant B, on two connections."""
    rng = random.Random()
    activities = [msgspec.json.decode(body)["activities"] for body in bodies(PER_SECOND * seconds * 100, rng)]
    requests = [
        request_bytes("/v1/activities", made.keys[1], msgspec.json.encode({"activities": some[:10]})) for some in activities
    ]
    outcome = await send(port, [requests[::2], requests[1::2]], per_second=PER_SECOND)
    if set(outcome.statuses) != {202}:
        raise MilepostError(f"The quiet tenant was refused: {outcome.statuses}")
    return outcome


def _flood(port: int, requests: list[bytes], seconds: float, answered: Connection) -> None:
    """Tenant A, in a process of its own, so that it does not slow what is measured but by what it sends."""
    statuses: dict[int, int] = {}

    async def connection(at: int, until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while perf_counter() < until:
            writer.write(requests[at % len(requests)])
            at += FLOODERS
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
            status = int(head[9:12])
            statuses[status] = statuses.get(status, 0) + 1
        writer.close()
        await writer.wait_closed()

    async def work() -> None:
        until = perf_counter() + seconds
        await asyncio.gather(*(connection(at, until) for at in range(FLOODERS)))

    answered.send("ready")
    asyncio.run(work())
    answered.send(statuses)


async def _settled(made: Ground) -> None:
    """Until all is loaded, so that the next round begins like the first."""
    while True:
        async with made.db.transaction("point") as conn:
            if not any(lane.batches for lane in await backlog(conn)):
                return
        await asyncio.sleep(0.1)


def _resident(pid: int) -> int:
    found = resident_bytes(pid)
    if found is None:
        raise MilepostError("The server has ended.")
    return found
