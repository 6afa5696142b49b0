"""The indexer under SIGKILL at the named points of its path: the next one goes on from what was committed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from effort import kills
from milepost.rollups.verify import verify
from searching import MODEL, Site

pytest_plugins = ["fix_search"]
pytestmark = pytest.mark.timeout(600)

ROUNDS = kills(3)
POINTS = ["search.written", "search.before_commit", "search.after_commit", "search.filled"]
OTHER = MODEL.replace('search = "english"', 'search = "simple"')


async def killed(url: str, fault: str) -> int:
    """Run an indexer process until it is done or dead. → its exit code."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(Path(__file__).with_name("index_until_done.py")), url),
        env={**os.environ, "MILEPOST_TEST_FAULT": fault, "PYTHONPATH": "src"},
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode in (0, -signal.SIGKILL), errors.decode()
    return process.returncode


async def test_the_indexer_is_killed_at_each_point(site: Site, template_url: str) -> None:
    """Whatever it had written, in the end every document is its activity's, and each activity is found by its words and once."""
    ended = []
    await site.indexer.run_once()  # from here on the journal is followed
    for number in range(ROUNDS):
        for point in POINTS:
            name = f"{number}{point.rpartition('.')[2]}"
            _, changed, gone = await site.load(f"river {name}", f"river {name}", f"river {name}", name=name)
            await site.command(do="correct", id=changed, patch={"data": {"note": f"hill {name}"}})
            await site.command(do="retract", id=gone)
            if point == "search.filled":
                await site.apply(OTHER if number % 2 == 0 else MODEL)
            ended.append((point, await killed(template_url, point)))
    assert ended == [(point, -signal.SIGKILL) for _ in range(ROUNDS) for point in POINTS]
    assert await killed(template_url, "") == 0
    rounds = ROUNDS * len(POINTS)
    assert (len(await site.notes("river")), len(await site.notes("hill"))) == (rounds, rounds)
    assert await site.documents() == 2 * rounds
    outcome = await verify(site.db)
    assert (outcome.differences, outcome.filling) == (0, [])
    assert await site.indexer.run_once() == 0
