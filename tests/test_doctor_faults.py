"""Seeded faults: each is found by its own check with the right cure, and nothing is found on their healthy twins.

Precision and recall are printed (`pytest -rA`), and stand in `docs/doctor-checks.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Literal

import pytest

from doctor_faults import FAULTS, LIMITS, Fault
from fix_postgres import fresh_database, in_own_loop
from milepost.doctor import Finding, Target
from milepost.doctor.checks import CHECKS
from milepost.doctor.examine import Examination, examine
from milepost.errors import MilepostError
from milepost.postgres import Connection, Database, EmbeddedServer, translated

# About the server, which other tests use and set up as they need it; these have a server of their own in test_doctor_server_faults.py.
SERVER_WIDE = {"archive_failing", "checkpoint_pressure", "connection_use", "replication_lag", "slot_lag", "wal_rate"}


def statements(text: str) -> list[str]:
    """Without splitting bodies in dollar quotes."""
    parts = text.split("$$")
    cut = ["\0".join(part.split(";")) if place % 2 == 0 else part for place, part in enumerate(parts)]
    return [one.strip() for one in "$$".join(cut).split("\0") if one.strip()]


async def seed(connection: Connection, fault: Fault, kind: Literal["faulty", "healthy"]) -> None:
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {fault.schema}".encode())
    await connection.execute(f"SET search_path = {fault.schema}, public".encode())
    for statement in statements(fault.both + (fault.faulty if kind == "faulty" else fault.healthy)):
        mark, _, marked = statement.partition("\n")
        if mark == "-- fails":
            with suppress(MilepostError), translated(connection):
                await connection.execute(marked.encode())
                pytest.fail(f"{fault.name}: {statement} should have failed")
            continue
        if mark.startswith("-- times "):
            for _ in range(int(mark.removeprefix("-- times "))):
                await connection.execute(marked.encode())
            continue
        await connection.execute(statement.encode())


async def looked_at(url: str, kind: Literal["faulty", "healthy"]) -> Examination:
    """Autovacuum skips a table that it cannot lock, so those that it must not touch meanwhile are locked against it."""
    async with await Database.connect_owner(url) as connection, await Database.connect_owner(url) as holder:
        await connection.execute(b"CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        await holder.execute(b"BEGIN")
        for fault in FAULTS:
            if fault.held:
                await seed(connection, replace(fault, both="", faulty="", healthy=fault.both), "healthy")
                await holder.execute(f"LOCK TABLE {fault.schema}.t IN SHARE UPDATE EXCLUSIVE MODE".encode())
                await seed(connection, replace(fault, both=""), kind)
            else:
                await seed(connection, fault, kind)
        await connection.execute(b"RESET search_path")
        await connection.execute(b"SELECT pg_stat_force_next_flush()")
        await connection.execute(b"SELECT 1")
        return await examine(await Target.open(url), limits=LIMITS)


@pytest.fixture(scope="module")
def faulty(server: EmbeddedServer) -> Iterator[Examination]:
    with fresh_database(server) as url:
        yield in_own_loop(lambda: looked_at(url, "faulty"))


@pytest.fixture(scope="module")
def healthy(server: EmbeddedServer) -> Iterator[Examination]:
    with fresh_database(server) as url:
        yield in_own_loop(lambda: looked_at(url, "healthy"))


def about(finding: Finding, fault: Fault) -> bool:
    """A statement is known by its id; its text names the schema."""
    return finding.object.startswith(fault.about or f"{fault.schema}.") or f"{fault.schema}." in finding.detail


def judged(seen: Examination) -> list[Finding]:
    wide = SERVER_WIDE | {check.name for check in CHECKS if check.area == "settings"}
    return [one for one in seen.findings if one.check not in wide]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found(faulty: Examination, fault: Fault) -> None:
    """By its own check, with evidence, and with the cure that a rollout would apply."""
    if faulty.target.major < fault.major_min:
        pytest.skip(f"PostgreSQL {faulty.target.major} does not count it")
    found = [one for one in faulty.findings if one.check == fault.check and about(one, fault)]
    assert found, [one.check for one in faulty.findings if about(one, fault)]
    for one in found:
        assert one.evidence and one.detail.endswith(".") and one.cure.text
        assert (one.cure.operation or {}).get("operation") == fault.operation


def test_twins_are_healthy(healthy: Examination) -> None:
    """Nothing is found on the same applications done right."""
    assert not [(one.check, one.object, one.detail) for one in judged(healthy)]
    later = {fault.check for fault in FAULTS if healthy.target.major < fault.major_min}
    assert {ran.check for ran in healthy.ran if ran.left_out} == later, "every other check ran"


def test_precision_and_recall(faulty: Examination, healthy: Examination) -> None:
    """Every fault is found, and every finding is of a fault."""
    seen = [fault for fault in FAULTS if faulty.target.major >= fault.major_min]
    recalled = [fault for fault in seen if any(one.check == fault.check and about(one, fault) for one in faulty.findings)]
    wrong = [
        one
        for one in judged(faulty)
        if not any(about(one, fault) and one.check in (fault.check, *fault.also) for fault in FAULTS)
    ] + judged(healthy)
    true = len(judged(faulty)) + len(judged(healthy)) - len(wrong)
    print(f"recall {len(recalled)}/{len(seen)}, precision {true}/{true + len(wrong)}")
    assert len(recalled) == len(seen)
    assert not [(one.check, one.object, one.detail) for one in wrong]
