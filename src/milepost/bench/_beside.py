"""Look-ups beside a load: a thousand memberships a second are asked for while a real server takes in and loads activities.

The server is a process of its own, on the same database; look-ups come from this one, each a transaction as a request has it, paced by the
clock: one that comes late is not made up for by asking faster, so the rate says whether it was held.
"""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from time import perf_counter

import msgspec

from milepost.access.groups import get_member
from milepost.access.keys import create_key
from milepost.bench._ground import say
from milepost.bench._history import DATABASE, History
from milepost.bench._http import request_bytes, send
from milepost.bench._report import Figure, percentile
from milepost.bench._serving import serving
from milepost.errors import MilepostError
from milepost.postgres import Database, EmbeddedServer

__all__ = ["measure_beside"]

SECONDS = 15
LOOKUPS_S = 1_000
ASKING = 4  # at once
ROWS_S = 2_000  # that are loaded
BATCH = 100
CONNECTIONS = 2


async def measure_beside(history: History) -> list[Figure]:
    with EmbeddedServer.start(history.settings.data_dir / "data", bin_dir=history.settings.pg_bin) as server:
        url = server.url(DATABASE)
        async with (
            await Database.open(url, history.settings) as db,
            serving(url, history.settings.data_dir, lanes=history.settings.lanes) as (port, _),
        ):
            async with db.transaction("write") as conn:
                key = await create_key(conn, history.tenant_id, ["write"], "bench")
            rng = random.Random(9)
            streams: list[list[bytes]] = [[] for _ in range(CONNECTIONS)]
            for number in range(ROWS_S * SECONDS // BATCH):
                streams[number % CONNECTIONS].append(request_bytes("/v1/activities", key, _body(history, rng)))
            say(f"{LOOKUPS_S:,} look-ups a second beside {ROWS_S:,} rows a second")
            sending = asyncio.create_task(send(port, streams, per_second=ROWS_S / BATCH))
            began = perf_counter()
            times = [
                one for part in await asyncio.gather(*(_ask(db, history, n, began) for n in range(ASKING))) for one in part
            ]
            seconds = perf_counter() - began
            outcome = await sending
    if set(outcome.statuses) != {202}:
        raise MilepostError(f"Not every request was accepted: {outcome.statuses}")
    say(f"member beside a load: p50 {percentile(times, 0.5):.2f}, p95 {percentile(times, 0.95):.2f} ms")
    return [
        Figure(name="member_beside_load_p50_ms", value=percentile(times, 0.5), unit="ms"),
        Figure(name="member_beside_load_p95_ms", value=percentile(times, 0.95), unit="ms", at_most=1.0),
        Figure(name="member_beside_load_p99_ms", value=percentile(times, 0.99), unit="ms"),
        Figure(name="member_beside_load_per_s", value=len(times) / seconds, unit="1/s", at_least=0.95 * LOOKUPS_S),
    ]


async def _ask(db: Database, history: History, number: int, began: float) -> list[float]:
    """One of those who ask. → milliseconds of each look-up."""
    times, rng = [], random.Random(number)
    for turn in range(LOOKUPS_S * SECONDS // ASKING):
        if (early := began + (turn * ASKING + number) / LOOKUPS_S - perf_counter()) > 0:
            await asyncio.sleep(early)
        actor = rng.randrange(history.actors)
        asked = perf_counter()
        async with db.transaction("point", tenant_id=history.tenant_id, snapshot=True) as conn:
            await get_member(conn, history.tenant_id, f"team-{actor % history.groups}", f"user-{actor}")
        times.append((perf_counter() - asked) * 1000)
    return times


def _body(history: History, rng: random.Random) -> bytes:
    now, activities = datetime.now(UTC), []
    for _ in range(BATCH):
        actor, stamp = rng.randrange(history.actors), f"{rng.getrandbits(64):x}"
        activities.append(
            {
                "key": stamp,
                "occurred_at": (now - timedelta(seconds=3600 * rng.random())).isoformat(),
                "actor": f"user-{actor}",
                "verb": "run",
                "object": {"kind": "route", "id": f"r-{rng.randrange(history.objects)}"},
                "group": f"team-{actor % history.groups}",
                "measures": {"distance_m": rng.randrange(1000, 20_000)},
                "visibility": "group",
            }
        )
    return msgspec.json.encode({"activities": activities})
