"""Faults of a server and of its sessions: a server of its own that is set up wrong and used wrong, beside one that is right.

As for those of a database (`tests/test_doctor_faults.py`): each is found by its own check, and on the healthy server nothing is.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from doctor_faults import SERVER_FAULTS
from fix_postgres import chosen_bin, in_own_loop
from milepost.doctor import Target
from milepost.doctor.examine import Examination, examine
from milepost.errors import MilepostError
from milepost.postgres import Connection, Database, EmbeddedServer, translated

LIMITS: dict[str, float] = {
    "idle_in_transaction.idle_s_min": 0.3,
    "long_transaction.open_s_min": 0.3,
    "lock_queue.waits_s_min": 0.3,
    "connection_use.part_min": 0.5,
    "connection_use.used_min": 8,
    "prepared_transaction.age_s_min": 0.2,
    "deadlocks.count_min": 1,
    "cache_hit_rate.read_bytes_min": 4_000_000,
    "checkpoint_pressure.count_min": 3,
    "wal_rate.bytes_per_s_min": 1_000,
    "wal_rate.age_s_min": 0,
    "wal_rate.images_part_min": 0.005,
    "slot_lag.bytes_min": 2_000_000,
    "replication_lag.lag_s_min": 1.5,
    "replication_lag.lag_bytes_min": 500_000,
    "missing_extension.database_bytes_min": 1,
}
WRONG = {
    "shared_buffers": "1MB",
    "effective_cache_size": "64MB",
    "work_mem": "8GB",
    "maintenance_work_mem": "1MB",
    "random_page_cost": "4",
    "effective_io_concurrency": "1",
    "max_wal_size": "64MB",
    "min_wal_size": "32MB",
    "checkpoint_timeout": "60s",
    "checkpoint_completion_target": "0.3",
    "autovacuum": "off",
    "autovacuum_naptime": "1h",
    "autovacuum_vacuum_scale_factor": "0.9",
    "autovacuum_vacuum_cost_delay": "20ms",
    "autovacuum_max_workers": "1",
    "log_min_duration_statement": "-1",
    "log_lock_waits": "off",
    "log_temp_files": "-1",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
    "track_io_timing": "off",
    "idle_in_transaction_session_timeout": "0",
    "deadlock_timeout": "20s",
    "fsync": "off",
    "zero_damaged_pages": "on",
    "ignore_checksum_failure": "on",
    "max_worker_processes": "1",
    "max_parallel_workers_per_gather": "64",
    "max_connections": "25",
    "max_prepared_transactions": "4",
    "archive_mode": "on",
    "archive_command": "false",
    "shared_preload_libraries": "",
}
RIGHT = {"max_prepared_transactions": "4", "autovacuum_naptime": "1s"}


@asynccontextmanager
async def session(url: str, name: str) -> AsyncIterator[Connection]:
    async with await Database.connect_owner(url) as connection:
        await connection.execute(f"SET application_name = {name}".encode())
        yield connection


@contextmanager
def receiving(url: str, folder: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A receiver of WAL, as a replica is one."""
    folder.mkdir()
    host = parse_qs(urlsplit(url).query)["host"][0]
    words: list[str | Path] = [
        chosen_bin() / "pg_receivewal",
        "-d",
        f"host={host} user=postgres application_name={name}",
        "-D",
        folder,
        "-s",
        "1",
        "--no-loop",
        "--synchronous",
    ]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()


async def until(connection: Connection, condition: str) -> None:
    """Waits until the server says so; at most 20 s."""
    for _ in range(200):
        if (await (await connection.execute(f"SELECT {condition}".encode())).fetchone()) == (True,):
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"never: {condition}")


async def failing(connection: Connection, statement: str) -> None:
    with suppress(MilepostError), translated(connection):
        await connection.execute(statement.encode())


async def deadlock(url: str) -> None:
    async with session(url, "left") as left, session(url, "right") as right:
        for one, row in ((left, 1), (right, 2)):
            await one.execute(b"SET deadlock_timeout = '20ms'")
            await one.execute(b"BEGIN")
            await one.execute(f"UPDATE t SET note = 'mine' WHERE id = {row}".encode())
        await asyncio.gather(
            *(failing(one, f"UPDATE t SET note = 'yours' WHERE id = {row}") for one, row in ((left, 2), (right, 1)))
        )
        for one in (left, right):
            await one.execute(b"ROLLBACK")


async def used_wrong(url: str, folder: Path) -> Examination:
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(session(url, "owner"))
        receiver = stack.enter_context(receiving(url, folder / "wal", "stalled"))
        await until(owner, "EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')")
        receiver.send_signal(signal.SIGSTOP)
        for statement in (
            "CREATE TABLE t (id int PRIMARY KEY, note text)",
            "SELECT pg_create_physical_replication_slot('forgotten', true)",
            "INSERT INTO t SELECT g, repeat('x', 400) FROM generate_series(1, 20000) g",
            "CHECKPOINT",
            "UPDATE t SET note = 'x' || note WHERE id % 20 = 0",
            "SELECT pg_switch_wal()",
            "CHECKPOINT",
            "SELECT count(note) FROM t",
            "CHECKPOINT",
            "SELECT count(note) FROM t",
            "CHECKPOINT",
        ):
            await owner.execute(statement.encode())
        await deadlock(url)
        await owner.execute(b"BEGIN")
        await owner.execute(b"CREATE TABLE other (id int PRIMARY KEY)")
        await owner.execute(b"PREPARE TRANSACTION 'half'")
        forgetful = await stack.enter_async_context(session(url, "forgetful"))
        await forgetful.execute(b"BEGIN")
        await forgetful.execute(b"UPDATE t SET note = 'held' WHERE id = 3")
        reporter = await stack.enter_async_context(session(url, "reporter"))
        waiters = [await stack.enter_async_context(session(url, "waiter")) for _ in range(2)]
        for _ in range(8):
            await stack.enter_async_context(session(url, "idle"))
        at_work = [
            asyncio.create_task(failing(reporter, "SELECT pg_sleep(60)")),
            *(asyncio.create_task(failing(one, "ALTER TABLE t ADD COLUMN IF NOT EXISTS more int")) for one in waiters),
        ]
        await until(owner, "(SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock') = 2")
        await until(owner, "(SELECT failed_count >= 3 FROM pg_stat_archiver)")
        await until(owner, "(SELECT now() - reply_time > interval '1.6 s' FROM pg_stat_replication)")
        await owner.execute(b"SELECT pg_stat_force_next_flush()")
        await owner.execute(b"SELECT 1")
        seen = await examine(await Target.open(url), limits=LIMITS)
        await forgetful.execute(b"ROLLBACK")
        await owner.execute(b"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'reporter'")
        await asyncio.gather(*at_work)
        return seen


async def used_right(url: str, folder: Path) -> Examination:
    async with session(url, "owner") as owner, session(url, "writer") as writer:
        with receiving(url, folder / "wal", "follows"):
            await until(owner, "EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')")
            await owner.execute(b"CREATE EXTENSION pg_stat_statements")
            await owner.execute(b"CREATE TABLE t (id int PRIMARY KEY, note text)")
            await owner.execute(b"INSERT INTO t SELECT g, repeat('x', 400) FROM generate_series(1, 20000) g")
            for _ in range(10):
                await writer.execute(b"UPDATE t SET note = 'x' || note WHERE id % 20 = 0")
            await until(owner, "(SELECT coalesce(flush_lsn >= sent_lsn, false) FROM pg_stat_replication)")
            return await examine(await Target.open(url), limits={**LIMITS, "wal_rate.age_s_min": 3600})


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examination]:
    folder = tmp_path_factory.mktemp("wrong")
    with EmbeddedServer.start(folder, bin_dir=chosen_bin(), settings=WRONG) as server:
        url = server.ensure_database("shop")
        yield in_own_loop(lambda: used_wrong(url, folder))


@pytest.mark.parametrize(("check", "about"), SERVER_FAULTS, ids=lambda one: one)
def test_a_fault_is_found(wrong: Examination, check: str, about: str) -> None:
    """By its own check, with evidence and a cure."""
    found = [one for one in wrong.findings if one.check == check and one.object.startswith(about)]
    assert found, [(one.check, one.object) for one in wrong.findings]
    assert all(one.evidence and one.cure.text for one in found)


def test_nothing_else_is_found(wrong: Examination) -> None:
    """Every finding is of a fault that is there, and every check ran that could."""
    others = [
        one
        for one in wrong.findings
        if not any(one.check == check and one.object.startswith(about) for check, about in SERVER_FAULTS)
    ]
    print(
        f"server and sessions: recall {len(SERVER_FAULTS)}/{len(SERVER_FAULTS)}, {len(wrong.findings)} findings, {len(others)} wrong"
    )
    assert not [(one.check, one.object, one.detail) for one in others]
    assert not [one for one in wrong.ran if one.left_out and "pg_stat_statements" not in one.left_out]


def test_a_queue_is_shown_as_a_tree(wrong: Examination) -> None:
    """Who holds stands over who waits, and the one behind the first waiter stands under it."""
    (found,) = [one for one in wrong.findings if one.check == "lock_queue"]
    lines = found.evidence["tree"].splitlines()
    assert "forgetful" in lines[0] and "waiter" in lines[1] and lines[1].startswith("  ")
    assert found.evidence["waiting"] == 2


def test_the_right_server_is_healthy(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As milepost sets it up, and used as it should be: nothing is found, with the same limits."""
    folder = tmp_path_factory.mktemp("right")
    with EmbeddedServer.start(folder, bin_dir=chosen_bin(), settings=RIGHT) as server:
        url = server.ensure_database("shop")
        seen = in_own_loop(lambda: used_right(url, folder))
    assert not [(one.check, one.object, one.detail) for one in seen.findings]
    assert not [one for one in seen.ran if one.left_out]
