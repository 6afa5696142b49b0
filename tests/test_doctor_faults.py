"""Seeded faults: each is found by its own check with the right cure, and nothing is found on their healthy twins.

Precision and recall are printed (`pytest -rA`), and stand in `docs/doctor-checks.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest

from doctor_faults import FAULTS, LIMITS, Fault
from fix_postgres import fresh_database, in_own_loop
from milepost.doctor import Finding, Target
from milepost.doctor.checks import CHECKS
from milepost.doctor.examine import Examination, examine
from milepost.doctor.rollout import Change
from milepost.postgres import EmbeddedServer
from seeding import about, seeded

# About the server, which other tests use and set up as they need it; these have a server of their own in test_doctor_server_faults.py.
SERVER_WIDE = {"archive_failing", "checkpoint_pressure", "connection_use", "replication_lag", "slot_lag", "wal_rate"}


async def looked_at(url: str, kind: Literal["faulty", "healthy"]) -> Examination:
    async with seeded(url, FAULTS, kind):
        return await examine(await Target.open(url), limits=LIMITS)


@pytest.fixture(scope="module")
def faulty(server: EmbeddedServer) -> Iterator[Examination]:
    with fresh_database(server) as url:
        yield in_own_loop(lambda: looked_at(url, "faulty"))


@pytest.fixture(scope="module")
def healthy(server: EmbeddedServer) -> Iterator[Examination]:
    with fresh_database(server) as url:
        yield in_own_loop(lambda: looked_at(url, "healthy"))


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
        assert one.cure.operation is None or Change.of(one.id, [one.cure.operation])


def test_twins_are_healthy(healthy: Examination) -> None:
    """Nothing is found on the same applications done right."""
    assert not [(one.check, one.object, one.detail) for one in judged(healthy)]
    later = {fault.check for fault in FAULTS if healthy.target.major < fault.major_min}
    assert {ran.check for ran in healthy.ran if ran.left_out} == later, "every other check ran"


def test_precision_and_recall(faulty: Examination, healthy: Examination) -> None:
    """Every fault is found, and every finding is of a fault."""
    require_all_and_nothing_else(faulty, healthy)


def test_precision_and_recall_of_older(older: EmbeddedServer) -> None:
    """The same of each PostgreSQL before."""
    with fresh_database(older) as one, fresh_database(older) as other:
        faulty, healthy = in_own_loop(lambda: looked_at(one, "faulty")), in_own_loop(lambda: looked_at(other, "healthy"))
    require_all_and_nothing_else(faulty, healthy)


def require_all_and_nothing_else(faulty: Examination, healthy: Examination) -> None:
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
