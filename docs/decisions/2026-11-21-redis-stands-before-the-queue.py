"""What acknowledging in Redis costs beside acknowledging in PostgreSQL, and what the way from there into the queue adds.

    python docs/decisions/2026-11-21-redis-stands-before-the-queue.py

In turn, on servers of its own, both of which sync before they answer: batches of 100 activities put by 16 callers at once, and by a
lone one; then what Redis took is moved into the queue. CPU is of this process, of PostgreSQL and of Redis, each an activity.
"""

import asyncio
import json
import random
import statistics
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

from milepost.bench._ground import MODEL, cpu_seconds
from milepost.bench._redis import redis_server
from milepost.bench.intake import bodies
from milepost.intake._batches import NewBatch
from milepost.intake._postgres_primary import PostgresPrimary
from milepost.intake.accept import Acceptor
from milepost.intake.streams import RedisPrimary
from milepost.intake.streams.lane_relay import LaneRelay
from milepost.postgres import Database, EmbeddedServer
from milepost.schema import migrate
from milepost.schema.models import apply_model, current_model
from milepost.settings import Settings

BATCHES, CALLERS, LONE, ROUNDS = 4000, 16, 500, 3


async def put(primary: Any, batches: list[NewBatch], callers: int) -> list[float]:
    left, latencies = iter(batches), []

    async def call() -> None:
        for batch in left:
            began = perf_counter()
            await primary.put(batch)
            latencies.append(perf_counter() - began)

    await asyncio.gather(*(call() for _ in range(callers)))
    return latencies


async def main(folder: Path) -> None:
    with EmbeddedServer.start(folder / "data") as server:
        url = server.ensure_database("measured")
        async with await Database.connect_owner(url) as owner:
            await migrate(owner, 1)
            await apply_model(owner, MODEL)
        async with redis_server(folder) as redis:
            settings = Settings(data_dir=folder, lanes=1, database_url=url, redis_url=redis.url)
            async with await Database.open(url, settings) as db:
                async with db.transaction("point") as conn:
                    current = await current_model(conn)
                acceptor = Acceptor(current.model, current.version)
                accepted = [acceptor.accept(1, body, datetime.now(UTC)) for body in bodies(20_000, random.Random(1))]
                made = [
                    NewBatch(lane=0, tenant_id=1, kind=0, model=current.version, rows=one.rows, payload=bytes(one.payload))
                    for one in accepted
                ]
                batches = [replace(made[number % len(made)]) for number in range(BATCHES)]
                size = statistics.mean(len(one.payload) for one in made)
                print(f"{BATCHES} batches of 100 activities, {size:,.0f} bytes each; medians of {ROUNDS} rounds in turn")
                pids: dict[str, int] = {"postgres": server.pid, "redis": redis.pid}
                found: dict[str, list[dict[str, float]]] = {"postgres": [], "redis": [], "relay": []}

                async def measured(name: str, work: Callable[[], Any], batches: int) -> Any:
                    before, own, began = {one: cpu_seconds(pid) for one, pid in pids.items()}, process_time(), perf_counter()
                    answer = await work()
                    rows, seconds = batches * 100, perf_counter() - began
                    cpu = {f"{one}_us": (cpu_seconds(pid) - before[one]) / rows * 1e6 for one, pid in pids.items()}
                    cpu["process_us"] = (process_time() - own) / rows * 1e6
                    found[name].append({"activities_s": rows / seconds} | cpu)
                    return answer

                for _ in range(ROUNDS):
                    for name, primary in (("postgres", PostgresPrimary(db, settings)), ("redis", RedisPrimary(db, settings))):
                        await primary.start()
                        await put(primary, batches[:100], CALLERS)
                        await measured(name, lambda one=primary: put(one, batches, CALLERS), BATCHES)
                        lone = sorted(await put(primary, batches[:LONE], 1))
                        found[name][-1] |= {"lone_p50_ms": lone[LONE // 2] * 1e3, "lone_p99_ms": lone[LONE * 99 // 100] * 1e3}
                        await primary.stop()
                    relay = LaneRelay(db, settings, 0, lambda lane: None)
                    await relay.open()
                    waiting = await redis.waiting()
                    assert await measured("relay", relay.run_once, waiting) == waiting
                    await relay.close()
    for name, rounds in found.items():
        print(name, json.dumps({what: round(statistics.median(one[what] for one in rounds), 3) for what in rounds[0]}))


if __name__ == "__main__":
    with TemporaryDirectory(prefix="milepost-redis-") as made:
        asyncio.run(main(Path(made)))
