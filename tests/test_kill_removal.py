"""SIGKILL at each named step of retention and erasure: the next run completes it, nothing is lost, nothing is doubled.

Once at each step; `MILEPOST_TEST_LONG=1`: 20 times.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from effort import LONG, some
from lifecycle_site import LifecycleSite, lifecycle_site, ran
from milepost.jobs.erasing import erasures
from milepost.jobs.job import Work
from milepost.postgres import Database
from milepost.settings import Settings

TIMES = 20 if LONG else 1
IN_THE_LANE = ("removal.removed", "erase.step", "removal.remembered", "load.before_commit")
BESIDE_IT = ("erase.stepped", "erase.cleaned", "erase.finished")
LOADER = Path(__file__).parent / "load_until_done.py"

ERASER = """
import asyncio, sys
from pathlib import Path
from milepost.access.tenants import find_tenant
from milepost.jobs.erasing import erase_actor
from milepost.postgres import Database
from milepost.settings import Settings

async def main():
    settings = Settings(data_dir=Path(sys.argv[2]), write_pool_min=0, point_pool_min=0, analytics_pool_min=0, lanes=1)
    async with await Database.open(sys.argv[1], settings) as db:
        async with db.transaction("point") as conn:
            tenant = await find_tenant(conn, "a")
        await erase_actor(db, settings, tenant, sys.argv[3], totals="keep", by="me")

asyncio.run(main())
"""


@pytest_asyncio.fixture
async def site(db: Database, settings: Settings) -> AsyncIterator[LifecycleSite]:
    async with lifecycle_site(db, settings) as made:
        yield made


async def killed_at(point: str, words: Sequence[str]) -> None:
    """Runs a program that passes this point, and no further."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, env={**os.environ, "MILEPOST_TEST_FAULT": point}, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == -signal.SIGKILL, (point, said)


@pytest.mark.parametrize("point", some(IN_THE_LANE, 2))
async def test_the_lane_is_killed(site: LifecycleSite, template_url: str, point: str) -> None:
    """The command is done once by the next loader: what was counted stays, row for row, and verify finds no difference."""
    await site.lane.close()
    for turn in range(TIMES):
        first = turn * 100
        await site.send([ran(first + n, days=40 + n, actor=f"user-{n % 3}") for n in range(6)])
        await site.send([ran(first + 10 + n, actor=f"gone-{turn}") for n in range(3)])
        assert await site.lane.open()
        await site.lane.run_once()
        await site.lane.close()
        before = await site.numbers("rollup_of_team", "true ORDER BY t")
        ((digest,),) = await site.rows("SELECT encode(milepost.subject_of(%s, %s), 'hex')", site.tenants["a"], f"gone-{turn}")
        await site.command(
            {"do": "retain", "rule": "default", "low": None}, {"do": "erase", "subject": digest, "by": "me", "totals": "keep"}
        )
        await killed_at(point, [str(LOADER), template_url])
        assert len(await site.keys()) == 9
        process = await asyncio.create_subprocess_exec(sys.executable, str(LOADER), template_url)
        assert await process.wait() == 0
        assert await site.keys() == set()
        assert await site.numbers("rollup_of_team", "true ORDER BY t") == before
        await site.check()


@pytest.mark.parametrize("point", some(BESIDE_IT, 2))
async def test_who_erases_is_killed(site: LifecycleSite, settings: Settings, template_url: str, point: str) -> None:
    """The job that looks for unfinished erasures gives the receipt; one that was finished it leaves alone."""

    async def serve() -> None:
        while True:
            await site.lane.run_once()
            await site.queue.wait_for_batches(0, 0.05)

    served = asyncio.create_task(serve())
    for turn in range(TIMES):
        short = {"distance_m": 10}  # so that no milestone of its own goes with it
        await site.send([ran(turn * 10 + n, actor=f"gone-{turn}", measures=short) for n in range(3)])
        await killed_at(point, ["-c", ERASER, template_url, str(settings.data_dir), f"gone-{turn}"])
        work = Work(db=site.db, settings=settings, owner=site.owner, now=datetime.now(UTC))
        finished = (await erasures(work))["finished"]
        assert len(finished) == (0 if point == "erase.finished" else 1)
    served.cancel()
    await asyncio.wait([served])
    rows = await site.rows("SELECT state, removed, receipt::text FROM milepost.erasure")
    assert [(state, removed["activity"]) for state, removed, _ in rows] == [("done", 3)] * TIMES
    assert all(json.loads(receipt)["signature"] for _, _, receipt in rows)
    await site.check()
