"""Cures of a server's settings work: rolled out beside a write load, and restarted where one asks for it, it is found healthy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from busy_shop import WAITS
from fix_postgres import chosen_bin, in_own_loop
from milepost.doctor import Finding, Target
from milepost.doctor.examine import examine
from milepost.doctor.rollout import Change, Rollout
from milepost.postgres import Database, EmbeddedServer, translated
from milepost.postgres import _embedded as embedded
from test_doctor_server_faults import LIMITS, WRONG

# What takes others' files or slots is no rule's to cure.
KEPT = {"archive_mode", "archive_command", "max_connections", "max_prepared_transactions", "shared_preload_libraries"}
NO_FAULT_ALONE = {"min_wal_size"}
CURED_BY = "set_setting"


@contextmanager
def plain_server(folder: Path) -> Iterator[str]:
    """Settings come from its files alone, where a rollout writes them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "server_settings", lambda *_, **__: {})
        with EmbeddedServer.start(folder, bin_dir=chosen_bin()) as server:
            yield server.ensure_database("shop")


async def set_up_wrong(url: str) -> None:
    async with await Database.connect_owner(url) as owner:
        await owner.execute(b"CREATE TABLE t (id int PRIMARY KEY, note text)")
        await owner.execute(b"INSERT INTO t SELECT g, 'x' FROM generate_series(1, 100) g")
        for name, value in WRONG.items():
            if name not in KEPT:
                await owner.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())


async def curable(url: str) -> list[Finding]:
    found = (await examine(await Target.open(url), limits=LIMITS)).findings
    # Others judge counters, which a cure leaves as they are.
    of_settings = [one for one in found if one.check.endswith("_settings")]
    return [one for one in of_settings if (one.cure.operation or {}).get("operation") == CURED_BY]


async def cured(url: str) -> tuple[list[Finding], int, list[str]]:
    """→ what was found, and of the load: requests, and those that failed."""
    before, over, failed, requests = await curable(url), asyncio.Event(), list[str](), 0

    async def load() -> None:
        nonlocal requests
        async with await Database.connect_foreign(url, "app") as connection:
            while not over.is_set():
                try:
                    with translated(connection):
                        await connection.execute(f"UPDATE t SET note = note || 'x' WHERE id = {requests % 100}".encode())
                except Exception as error:
                    failed.append(str(error))
                requests += 1
                await asyncio.sleep(0.005)

    loading = asyncio.create_task(load())
    async with Rollout.open(await Target.open(url), waits=WAITS) as rollout:
        for one in before:
            assert one.cure.operation is not None
            outcome = await rollout.run(Change.of(one.id, [one.cure.operation]))
            assert outcome.standing.state == "completed", outcome
    over.set()
    await loading
    return before, requests, failed


def test_cured_settings_are_found_healthy(tmp_path: Path) -> None:
    """Every setting that is found wrong and has a cure by rollout is right after it, and no request has failed."""
    with plain_server(tmp_path) as url:
        in_own_loop(lambda: set_up_wrong(url))
    with plain_server(tmp_path) as url:
        before, requests, failed = in_own_loop(lambda: cured(url))
        assert {one.object for one in before} >= set(WRONG) - KEPT - NO_FAULT_ALONE
        assert requests > 10 and not failed, failed[:3]
    with plain_server(tmp_path) as url:
        after = {one.id: one.detail for one in in_own_loop(lambda: curable(url))}
        assert not [after[one.id] for one in before if one.id in after]
