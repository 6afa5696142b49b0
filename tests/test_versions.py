"""PostgreSQL before the newest: the way of an activity from the queue to what is read of it, on each."""

from __future__ import annotations

from fix_postgres import fresh_database, migrated
from lifecycle_site import lifecycle_site, ran
from milepost.postgres import Database, EmbeddedServer
from milepost.settings import Settings


async def test_what_comes_in_counts_once_and_goes(older: EmbeddedServer, settings: Settings) -> None:
    """Sent twice, in two batches, and over by a rule of retention: each rollup, goal, pair and board equals a recomputation throughout."""
    with fresh_database(older, migrated(older)) as url:
        async with await Database.open(url, settings) as db, lifecycle_site(db, settings) as site:
            runs = [ran(n, days=n % 60, actor=f"user-{n % 5}") for n in range(200)]
            for batch in (runs[:120], runs[80:], runs[:10]):
                await site.send(batch)
                await site.lane.run_once()
            assert await site.keys() == {one["key"] for one in runs}
            await site.check()
            before = await site.numbers("rollup_whole")
            assert [row["n"] for row in before] == [200]
            removed = await site.retain()
            assert 0 < removed < 200 and len(await site.keys()) == 200 - removed
            await site.check()
            assert await site.numbers("rollup_whole") == before
