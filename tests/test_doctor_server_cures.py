"""Cures of a server's settings work: rolled out beside a write load, and restarted where one asks for it, it is found healthy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from busy_shop import WAITS
from fix_postgres import chosen_bin, in_own_loop
from milepost.doctor import Finding, Target
from milepost.doctor.checks import CHECKS
from milepost.doctor.configuration import configuration_of
from milepost.doctor.examine import examine
from milepost.doctor.machine import Machine
from milepost.doctor.rollout import Change, Rollout
from milepost.doctor.rollout.plan import planned
from milepost.errors import Conflict
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


COST = "random_page_cost"
OF_SYSTEM = {"operation": "set_setting", "setting": COST, "value": 1.2}


async def asked(url: str, *statements: str) -> Any:
    """The one value of the last one."""
    async with await Database.connect_foreign(url, "test") as connection:
        for statement in statements:
            cursor = await connection.execute(statement.encode())
        row = await cursor.fetchone() if cursor.description else None
    return None if row is None else row[0]


async def found_wrong(url: str) -> list[Finding]:
    machine = Machine(memory_bytes=None, cores=None, disk="ssd", source="given")
    checks = [check for check in CHECKS if check.name == "disk_settings"]
    found = (await examine(await Target.open(url), checks=checks, machine=machine)).findings
    return [one for one in found if one.object == COST]


async def rolled_out(url: str, operation: Mapping[str, Any]) -> str:
    """The state in the end, or why it was rolled back."""
    async with Rollout.open(await Target.open(url), waits=WAITS) as rollout:
        outcome = await rollout.run(Change.of("setting", [operation]), again=True)
    return str(outcome.error or outcome.standing.state)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with plain_server(tmp_path_factory.mktemp("plain")) as url:
        yield url


@pytest.mark.parametrize("whose", ["ROLE ALL", "DATABASE shop", "ROLE postgres", "ROLE postgres IN DATABASE shop"])
async def test_a_setting_is_cured_where_it_is_set(plain: str, whose: str) -> None:
    """ALTER SYSTEM would be hidden there: it is refused, and not proposed. What is proposed a new session has, and it can be taken back."""
    await asked(plain, f"ALTER SYSTEM SET {COST} = 1.1", "SELECT pg_reload_conf()")
    try:
        await asked(plain, f"ALTER {whose} SET {COST} = 4")
        (one,) = await found_wrong(plain)
        assert one.cure.statements == (f"ALTER {whose} SET {COST} = '1.1'",) and one.cure.operation is not None
        refused = await rolled_out(plain, OF_SYSTEM)
        assert f"{COST} is 4" in refused and "counts more" in refused
        with pytest.raises(Conflict, match="counts more"):
            await planned(await Target.open(plain), Change.of("setting", [OF_SYSTEM]))
        assert await rolled_out(plain, one.cure.operation) == "completed"
        assert await asked(plain, f"SHOW {COST}") == "1.1" and await found_wrong(plain) == []
        async with Rollout.open(await Target.open(plain), waits=WAITS) as rollout:
            await rollout.roll_back()
        assert await asked(plain, f"SHOW {COST}") == "4"
    finally:
        await asked(plain, f"ALTER {whose} RESET {COST}")


def test_a_setting_of_the_system_is_in_effect(plain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is completed, in every new session. Where a wrong line keeps PostgreSQL from its files, it is said which, and set back."""
    monkeypatch.setattr("milepost.doctor.rollout.operations.set_setting.RELOAD_S", 1.0)
    assert in_own_loop(lambda: rolled_out(plain, OF_SYSTEM)) == "completed"
    assert in_own_loop(lambda: asked(plain, f"SHOW {COST}")) == "1.2"
    file = Path(in_own_loop(lambda: asked(plain, "SHOW config_file")))
    before = file.read_text()
    try:
        file.write_text(f"{before}\nno_such_setting = 3\n")
        why = in_own_loop(lambda: rolled_out(plain, {**OF_SYSTEM, "value": 1.3}))
        assert "has not" in why and "unrecognized configuration parameter" in why and "postgresql.conf line" in why
    finally:
        file.write_text(before)
    assert in_own_loop(lambda: asked(plain, "SELECT pg_reload_conf()", f"SHOW {COST}")) == "1.2"


def test_what_stands_on_the_command_line(tmp_path: Path) -> None:
    """No SQL changes it, and the cure says where to. It stands in the printed configuration all the same, with that."""
    with EmbeddedServer.start(tmp_path, bin_dir=chosen_bin(), settings={COST: "4"}, durable=False) as server:
        url = server.ensure_database("shop")
        (one,) = in_own_loop(lambda: found_wrong(url))
        assert one.cure.operation is None and one.cure.statements == () and "command line" in one.cure.text
        assert "command line" in in_own_loop(lambda: rolled_out(url, OF_SYSTEM))

        async def printed() -> str:
            return await configuration_of(
                await Target.open(url), Machine(memory_bytes=None, cores=None, disk="ssd", source="given")
            )

        lines = in_own_loop(printed).splitlines()
        at = lines.index(f"{COST} = '1.1'")
        assert "command line" in lines[at - 2]


async def test_what_a_connection_says_itself(plain: str) -> None:
    """Is no setting of the server's, and none that a cure could change."""
    (one,) = await found_wrong(f"{plain}&options=-c%20{COST}%3D4")
    assert one.cure.operation is None and "This connection sets it itself" in one.cure.text
