"""Cures work: applied by a rollout beside a write load, the finding is gone afterwards, and no request has failed.

Normally a part of the faults, one of each operation; with `MILEPOST_TEST_LONG` all that a rollout cures.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter

import pytest

from busy_shop import WAITS
from doctor_faults import FAULTS, LIMITS, Fault
from effort import LONG
from fix_postgres import fresh_database, in_own_loop
from milepost.doctor import Finding, Target
from milepost.doctor.examine import examine
from milepost.doctor.rollout import Change, Outcome, Rollout
from milepost.postgres import Connection, Database, EmbeddedServer, translated
from seeding import about, seeded

SHORT = frozenset(
    [
        "foreign_key",
        "twice",
        "failed_build",
        "hollow_index",
        "hollow_table",
        "dead",
        "neglected",
        "grown",
        "half_done",
        "numbers",
        "short_sequence",
        "locked_view",
        "empty_view",
        "month_end",
    ]
)
CURED = [fault for fault in FAULTS if fault.operation is not None and (LONG or fault.name in SHORT)]
OF_SERVER = "set_setting"  # taken back at once: other tests use the server as it is
SLACK_MS = 250  # what a busy machine adds to a request, beside a lock timeout
PAUSE_S = 0.02  # so that the load's own writes are no fault


@dataclass
class Cured:
    """What was found before and after, and what became of each fault's cure. failed: requests of the load. slowest_ms: two of its requests."""

    before: tuple[Finding, ...] = ()
    after: tuple[Finding, ...] = ()
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    requests: int = 0
    slowest_ms: float = 0.0
    failed: list[str] = field(default_factory=list)

    def of(self, fault: Fault, when: tuple[Finding, ...]) -> list[Finding]:
        return [one for one in when if one.check == fault.check and about(one, fault)]


@pytest.fixture(scope="module")
def cured(server: EmbeddedServer) -> Iterator[Cured]:
    with fresh_database(server) as url:
        yield in_own_loop(lambda: cured_under_load(url))


async def cured_under_load(url: str) -> Cured:
    found = Cured()
    target = await Target.open(url)
    spills = [fault for fault in FAULTS if fault.name == "spill"] if LONG else []
    async with seeded(url, [*CURED, *spills], "faulty"):
        found.before = (await examine(target, limits=LIMITS)).findings
    async with load(url, found):
        for fault in CURED:
            operations = [one.cure.operation for one in found.of(fault, found.before) if one.cure.operation is not None]
            async with Rollout.open(target, waits=WAITS) as rollout:
                found.outcomes[fault.name] = await rollout.run(Change.of(fault.name, operations))
                if fault.operation == OF_SERVER:
                    await rollout.roll_back()
    async with await Database.connect_owner(url) as connection:
        await connection.execute(b"CHECKPOINT")  # by the files' times a view is known to be fresh
        await connection.execute(b"SELECT pg_stat_force_next_flush()")
    found.after = (await examine(target, limits=LIMITS)).findings
    return found


@asynccontextmanager
async def load(url: str, found: Cured) -> AsyncIterator[None]:
    """Reads and writes a row of each fault's table, in turn, all the while; what fails is kept."""
    ending = asyncio.Event()

    async def serve(connection: Connection, tables: list[str]) -> None:
        while not ending.is_set():
            for table in tables:
                began = perf_counter()
                try:
                    with translated(connection):
                        await connection.execute(f"SELECT * FROM {table} LIMIT 3".encode())
                        row = f"ctid = ANY (ARRAY(SELECT ctid FROM {table} LIMIT 1)) AND tableoid = '{table}'::regclass"
                        await connection.execute(f"UPDATE {table} SET note = note WHERE {row}".encode())
                except Exception as error:
                    found.failed.append(f"{table}: {type(error).__name__}: {error}")
                found.requests += 2
                found.slowest_ms = max(found.slowest_ms, (perf_counter() - began) * 1000)
                await asyncio.sleep(PAUSE_S)

    async with await Database.connect_foreign(url, "app") as connection:
        rows = await (await connection.execute(TABLES)).fetchall()
        serving = asyncio.create_task(serve(connection, [str(name) for (name,) in rows]))
        yield
        ending.set()
        await serving


TABLES = b"""
SELECT a.attrelid::regclass::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE a.attname = 'note' AND c.relkind = 'r' AND c.relnamespace::regnamespace::text LIKE 'f\\_%'
"""


@pytest.mark.parametrize("fault", CURED, ids=lambda fault: fault.name)
def test_a_cure_cures(cured: Cured, fault: Fault) -> None:
    """It was found, its cure went through, and it is not found any more; unless it takes time, and then the fault says why."""
    if not cured.of(fault, cured.before):
        pytest.skip(f"not seen here: {fault.major_min=}")
    assert cured.outcomes[fault.name].standing.state == "completed", cured.outcomes[fault.name]
    if not fault.lasting:
        assert not cured.of(fault, cured.after)


def test_no_request_failed(cured: Cured) -> None:
    """While all that was changed, the application went on, and waited for no lock longer than a lock timeout."""
    assert cured.slowest_ms < 2 * (WAITS.lock_timeout_ms + SLACK_MS)
    assert cured.requests > 30 and not cured.failed, cured.failed[:3]
