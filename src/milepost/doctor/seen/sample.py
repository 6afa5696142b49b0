"""Looking at pg_stat_activity again and again: it reads no table and takes no lock, and sees what is at work at that moment."""

from __future__ import annotations

import asyncio
from time import monotonic

from milepost.doctor.seen.sighting import Seen, Sighting
from milepost.doctor.target import Target
from milepost.postgres import dict_row, load_queries

__all__ = ["sampled"]

queries = load_queries(__package__, "sample.sql")


async def sampled(target: Target, *, seconds: float, every_s: float) -> Seen:
    """Others' statements are seen by a member of pg_monitor; without that only the user's own are."""
    found: list[Sighting] = []
    looks = 0
    async with target.reading() as connection:
        cursor = connection.cursor(row_factory=dict_row)
        began = monotonic()
        while (spent := monotonic() - began) < seconds:
            looks += 1
            for row in await (await cursor.execute(queries.at_work)).fetchall():
                run = (row["pid"], row["query_start"])
                found.append(Sighting(sql=row["sql"], run=run, ms=row["ms"], waits=row["waits"]))
            # At even distances: how long a look took must not make the next one later.
            await asyncio.sleep(max(0.0, (spent // every_s + 1) * every_s - (monotonic() - began)))
    return Seen(sightings=found, looks=looks, span_s=monotonic() - began)
