"""Each operation by the same harness: it starts, rolls back, starts again and completes, under load and under SIGKILL."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from busy_shop import WAITS, Shop
from milepost.doctor.rollout.operations import OPERATIONS

pytest_plugins = ["fix_rollout"]

LONG = bool(os.environ.get("MILEPOST_TEST_LONG"))
SLACK_MS = 250  # what a busy machine adds to a request, beside a lock timeout


@dataclass(frozen=True, kw_only=True)
class Case:
    """One operation. before: SQL that makes what it needs. done: a query that is true once it is complete. kill_at: the step at which
    it is killed in the short form; the long one goes through all.
    """

    operation: Mapping[str, Any]
    done: str
    before: str = ""
    kill_at: int = 2

    def __str__(self) -> str:
        return str(self.operation["operation"])


CASES = [
    Case(
        operation={"operation": "create_index", "table": "public.orders", "columns": ["customer_id"]},
        done="SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('orders_customer_id_idx')",
    ),
    Case(
        operation={"operation": "drop_index", "index": "public.orders_status"},
        before="CREATE INDEX orders_status ON orders (status) INCLUDE (total) WHERE total > 3",
        done="SELECT to_regclass('orders_status') IS NULL",
    ),
]
every = pytest.mark.parametrize("case", CASES, ids=str)


def test_every_operation_has_a_case() -> None:
    """The harness knows all of them."""
    assert {str(case) for case in CASES} == OPERATIONS.keys()


@every
async def test_start_roll_back_start_complete(shop: Shop, case: Case) -> None:
    """Rolled back, the database is as it was found; nothing is served half; twice done is done once."""
    if case.before:
        await shop.query(case.before)
    before = await shop.shape()
    assert (await shop.run(case.operation, hold=True)).standing.state == "held", shop.said
    assert (await shop.roll_back()).standing.state == "rolled_back"
    assert await shop.shape() == before
    assert (await shop.run(case.operation, hold=True)).standing.state == "held"
    outcome = await shop.run(case.operation)
    assert outcome.standing.state == "completed", outcome
    assert await shop.value(case.done)
    after = await shop.shape()
    assert (await shop.run(case.operation)).standing.state == "completed"
    assert await shop.shape() == after


@every
async def test_under_load(shop: Shop, case: Case) -> None:
    """No request fails, none is delayed beyond the lock timeout, no index is invalid, beside a writer that went idle elsewhere."""
    if case.before:
        await shop.query(case.before)
    async with shop.in_use() as load:
        outcome = await shop.run(case.operation)
        assert outcome.standing.state == "completed", outcome
    assert not load.failed, load.failed[:3]
    assert load.slowest_ms < WAITS.lock_timeout_ms + SLACK_MS
    assert await shop.value(case.done)
    assert await shop.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


async def killed_at(shop: Shop, case: Case, number: int) -> bool:
    """Runs it in a process of its own that is killed at its step of that number. → whether it came so far."""
    script = "import asyncio, json, sys, run_rollout; asyncio.run(run_rollout.run(sys.argv[1], json.loads(sys.argv[2])))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, shop.url, json.dumps(case.operation),
        env={**os.environ, "MILEPOST_TEST_FAULT": f"rollout.step:{number}", "PYTHONPATH": "src:tests"},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode in (0, -signal.SIGKILL), errors.decode()
    return process.returncode != 0


@every
async def test_killed_at_each_step(shop: Shop, case: Case) -> None:
    """Whatever was done when it died, the next run goes on to the end; killed again one step further, and so on."""
    if case.before:
        await shop.query(case.before)
    number = 0 if LONG else case.kill_at - 1
    async with shop.in_use(idle_writer=False) as load:
        while await killed_at(shop, case, number := number + 1) and LONG:
            pass
        assert (await shop.run(case.operation)).standing.state == "completed"
    assert number >= case.kill_at, "it has no such step"
    assert not load.failed, load.failed[:3]
    assert await shop.value(case.done)
    assert await shop.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
