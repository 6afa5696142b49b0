"""SIGKILL while a batch is searched for its poison rows, and while letters are replayed: each row is loaded, or lies there, once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dead_letter_site import Site, a_run
from milepost.intake.queue import Queue
from milepost.postgres import Database
from milepost.settings import Settings
from processes import environment

POISON = (3, 4, 77, 199)
LOADER_POINTS = [
    "load.copied:2",  # the first stretch that is searched
    "load.folded:3",
    "load.before_commit:2",
    "isolate.loaded:1",
    "isolate.loaded:4",
    "isolate.before_commit:1",
    "isolate.after_commit:1",
]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def site(template_url: str, settings: Settings) -> AsyncIterator[Site]:
    """A site whose lane is left to loaders that are processes of their own."""
    async with await Database.open(template_url, settings) as db:
        owner = await db.owner()
        queue = Queue(db, settings)
        await queue.start()
        made = Site(db, owner, settings, queue)
        await made.prepare()
        await made.lane.close()
        try:
            yield made
        finally:
            await queue.stop()
            await owner.close()


async def loader(url: str, fault: str = "") -> int:
    """A loader process until it is done or dead. → its exit code."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(Path(__file__).with_name("load_until_done.py")), url),
        env={**os.environ, "MILEPOST_TEST_FAULT": fault, "PYTHONPATH": "src"},
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode in (0, 3, -signal.SIGKILL), errors.decode()
    return process.returncode


async def load_the_rest(url: str) -> None:
    for _ in range(20):
        if await loader(url) == 0:
            return
    raise AssertionError("the rest was never loaded")


async def replaying(url: str, data_dir: Path, fault: str = "") -> tuple[int, int]:
    """`milepost dead-letters replay --all` as a process. → its exit code, and how many letters it says it replayed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "milepost", "dead-letters", "replay", "--all", "--json"),
        env=environment(database_url=url, data_dir=str(data_dir), test_fault=fault) | {"PYTHONPATH": "src"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode in (0, -signal.SIGKILL), errors.decode()
    return process.returncode, json.loads(out)["letters"] if process.returncode == 0 else 0


async def test_the_loader_is_killed_while_it_searches(site: Site, template_url: str) -> None:
    """At each point: in the end the poison rows lie in dead letters once, the others are loaded once, and all numbers are exact."""
    await site.refuse("key NOT IN (" + ", ".join(f"'poison-{round}-{row}'" for round in range(9) for row in POISON) + ")")
    for number, point in enumerate(LOADER_POINTS):
        rows = [a_run(1000 * number + row, key=f"{'poison' if row in POISON else 'good'}-{number}-{row}") for row in range(200)]
        await site.send(rows)
        await site.send([a_run(1000 * number + 500, key=f"after-{number}")])
        assert await loader(template_url, point) == -signal.SIGKILL, point
        await load_the_rest(template_url)
        letters = await site.rows(
            "SELECT first_row, rows FROM milepost.dead_letter WHERE tenant_id = %s ORDER BY letter_id", site.tenants["a"]
        )
        assert letters == [(3, 2), (77, 1), (199, 1)] * (number + 1), point
    found = await site.rows("SELECT key, count(*) FROM milepost.activity GROUP BY key")
    assert set(dict(found).values()) == {1}
    assert len(found) == len(LOADER_POINTS) * (200 - len(POISON) + 1)
    await site.check()


async def test_replays_in_processes(site: Site, template_url: str, tmp_path: Path) -> None:
    """Killed before its commit, a replay has done nothing; killed after it, all; two at once replay each letter once."""
    await site.refuse("verb <> 'run'")
    for number in range(30):
        await site.send([a_run(number)])
    await load_the_rest(template_url)
    assert len(await site.letters()) == 30
    await site.allow()
    queued = "SELECT count(*) FROM (SELECT FROM milepost.queue_1 UNION ALL SELECT FROM milepost.queue_2) AS q"
    ((before,),) = await site.rows(queued)
    assert (await replaying(template_url, tmp_path, "replay.before_commit:1"))[0] == -signal.SIGKILL
    assert (len(await site.letters()), await site.rows(queued)) == (30, [(before,)])
    both = await asyncio.gather(*(replaying(template_url, tmp_path) for _ in range(2)))
    assert sum(letters for _, letters in both) == 30
    assert (await site.letters(), await site.rows(queued)) == ([], [(before + 30,)])
    await site.refuse("key <> 'run-7'")
    await load_the_rest(template_url)
    assert await site.keys() == {f"run-{number}" for number in range(30)} - {"run-7"}
    await site.allow()
    assert (await replaying(template_url, tmp_path, "replay.after_commit:1"))[0] == -signal.SIGKILL
    assert await site.letters() == []
    assert await replaying(template_url, tmp_path) == (0, 0)
    await load_the_rest(template_url)
    assert len(await site.keys()) == 30
    log = await site.rows("SELECT done, sum(cardinality(letters)) FROM milepost.dead_letter_log GROUP BY done")
    assert log == [("replayed", 31)]
    await site.check()
