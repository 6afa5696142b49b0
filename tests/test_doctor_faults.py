"""Seeded faults: each is found by its own check with the right cure, and nothing is found on their healthy twins.

Precision and recall are printed (`pytest -rA`), and stand in `docs/doctor-checks.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Literal

import pytest

from doctor_faults import FAULTS, LIMITS, Fault
from fix_postgres import fresh_database, in_own_loop
from milepost.doctor import Finding, Target
from milepost.doctor.examine import Examination, examine
from milepost.errors import MilepostError
from milepost.postgres import Connection, Database, EmbeddedServer, translated

SERVER_WIDE = {"settings"}  # areas that are about the server that the tests run on, and have tests of their own


def statements(text: str) -> list[str]:
    """Without splitting bodies in dollar quotes."""
    parts = text.split("$$")
    cut = ["\0".join(part.split(";")) if place % 2 == 0 else part for place, part in enumerate(parts)]
    return [one.strip() for one in "$$".join(cut).split("\0") if one.strip()]


async def seed(connection: Connection, fault: Fault, kind: Literal["faulty", "healthy"]) -> None:
    await connection.execute(f"CREATE SCHEMA {fault.schema}".encode())
    await connection.execute(f"SET search_path = {fault.schema}, public".encode())
    for statement in statements(fault.both + (fault.faulty if kind == "faulty" else fault.healthy)):
        if statement.startswith("-- fails"):
            with suppress(MilepostError), translated(connection):
                await connection.execute(statement.encode())
                pytest.fail(f"{fault.name}: {statement} should have failed")
        else:
            await connection.execute(statement.encode())


async def looked_at(url: str, kind: Literal["faulty", "healthy"]) -> Examination:
    async with await Database.connect_owner(url) as connection:
        await connection.execute(b"CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        for fault in FAULTS:
            await seed(connection, fault, kind)
        await connection.execute(b"RESET search_path")
        # Rows that were counted and not told yet would be counted again after ANALYZE.
        await connection.execute(b"SELECT pg_stat_force_next_flush()")
        await connection.execute(b"ANALYZE")
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
    return finding.object.startswith(fault.about or f"{fault.schema}.")


def judged(seen: Examination) -> list[Finding]:
    from milepost.doctor.checks import CHECKS

    areas = {check.name: check.area for check in CHECKS}
    return [one for one in seen.findings if areas[one.check] not in SERVER_WIDE]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found(faulty: Examination, fault: Fault) -> None:
    """By its own check, with evidence, and with the cure that a rollout would apply."""
    found = [one for one in faulty.findings if one.check == fault.check and about(one, fault)]
    assert found, [one.check for one in faulty.findings if about(one, fault)]
    for one in found:
        assert one.evidence and one.detail.endswith(".") and one.cure.text
        assert (one.cure.operation or {}).get("operation") == fault.operation


def test_twins_are_healthy(healthy: Examination) -> None:
    """Nothing is found on the same applications done right."""
    assert not [(one.check, one.object, one.detail) for one in judged(healthy)]
    assert not [ran for ran in healthy.ran if ran.left_out], "every check ran"


def test_precision_and_recall(faulty: Examination, healthy: Examination) -> None:
    """Every fault is found, and every finding is of a fault."""
    recalled = [fault for fault in FAULTS if any(one.check == fault.check and about(one, fault) for one in faulty.findings)]
    wrong = [
        one
        for one in judged(faulty)
        if not any(about(one, fault) and one.check in (fault.check, *fault.also) for fault in FAULTS)
    ] + judged(healthy)
    true = len(judged(faulty)) + len(judged(healthy)) - len(wrong)
    print(f"recall {len(recalled)}/{len(FAULTS)}, precision {true}/{true + len(wrong)}")
    assert len(recalled) == len(FAULTS)
    assert not [(one.check, one.object, one.detail) for one in wrong]
