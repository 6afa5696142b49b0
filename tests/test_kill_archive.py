"""SIGKILL at each named step of archiving and restoring: the next run completes it, and no answer ever differs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from archive_until_done import PART, due_before_february, small
from effort import LONG
from milepost.postgres import Database
from milepost.rollups.verify import verify
from milepost.storage import _export, _removal, restore
from milepost.storage.archive import run_once
from test_storage_archive import answers, dumped, indexed
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1800)]

ROUNDS = 20 if LONG else 1
ROWS = 100
ARCHIVING = [
    ("drop", "archive.written:2"),
    ("drop", "archive.verified:1"),
    ("drop", "archive.before_switch:1"),
    ("drop", "archive.switched:1"),
    ("drop", "archive.before_drop:1"),
    ("drop", "archive.dropped:1"),
    ("thin", "archive.before_thin:2"),
    ("thin", "archive.thinned:1"),
]
RESTORING = ["restore.before_copy:1", "restore.copied:2", "restore.before_switch:1", "restore.switched:1"]


@pytest.fixture(scope="module", autouse=True)
def small_pieces() -> Iterator[None]:
    """In this process, as in those that are killed."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            (_export, "FILE_ROWS_MAX"),
            (_export, "SMALL_ROWS"),
            (_export, "KEPT_MAX"),
            (_removal, "BATCH_ROWS"),
            (restore, "BATCH_ROWS"),
        ):
            patch.setattr(module, name, getattr(module, name))
        small()
        yield


async def killed(api: Api, what: str, point: str) -> None:
    """A process that is killed at the point."""
    await indexed(api)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(Path(__file__).with_name("archive_until_done.py"))),
        *(api.served.url, str(api.served.settings.data_dir), str(api.tenant_id), what),
        env={**os.environ, "MILEPOST_TEST_FAULT": point, "PYTHONPATH": "src"},
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == -signal.SIGKILL, errors.decode()


async def completed(db: Database, api: Api, what: str) -> int:
    await indexed(api)
    done = await run_once(db, due=due_before_february(api.tenant_id, thinned=what == "thin"), settle_s=5)
    assert not done.waiting
    return done.rows


def activity(number: int) -> dict[str, Any]:
    return run_of(
        status="kept" if number % 4 == 0 else "ok",
        key=str(number),
        occurred_at=f"2026-01-{1 + number % 28:02}T07:{number % 60:02}:00Z",
        groups=["team-1", "team-2"] if number % 3 == 0 else ["team-1"],
    )


async def test_killed_anywhere_it_is_completed(api: Api) -> None:
    """After each kill, lists and activities are as they were; the next run has it all in the archive, and a restore all as it was."""
    db, tenant = api.services.db, None
    await api.send(*(activity(number) for number in range(ROWS)))
    before, rows = await answers(api), await dumped(api)
    restoring = 0
    for what, point in ARCHIVING * ROUNDS:
        await killed(api, what, point)
        assert await answers(api) == before, point
        again = await api.send(activity(7), activity(12))
        assert again["duplicates"] == 2, point
        await completed(db, api, what)
        left = ROWS // 4 if what == "thin" else 0
        assert sum("2026-01" in row for row in await dumped(api)) == left, point
        assert await answers(api) == before, point
        if restoring < len(RESTORING) * ROUNDS:
            ended = RESTORING[restoring % len(RESTORING)]
            await killed(api, "restore", ended)
            assert await answers(api) == before, ended
            restoring += 1
        async with await db.owner() as owner:
            query = b"SELECT count(*) FROM milepost.cold_file WHERE tenant_id = %s AND state = 'cold'"
            (files,) = await (await owner.execute(query, (api.tenant_id,))).fetchone() or (0,)
            (tenant,) = await (
                await owner.execute(b"SELECT name FROM milepost.tenant WHERE tenant_id = %s", (api.tenant_id,))
            ).fetchone() or (None,)
        if files:
            await restore.restore_part(db, api.tenant_id, PART, keep=timedelta(0))
        assert await dumped(api) == rows, point
        assert await answers(api) == before, point
    outcome = await verify(db, tenant=tenant)
    assert outcome.differences == 0, outcome.items
