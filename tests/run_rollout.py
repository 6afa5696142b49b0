"""Runs one operation, or applies one advice, in a process of its own, which is killed at a step."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from busy_shop import WAITS
from milepost.doctor import Finding, Target
from milepost.doctor.advisor import Index
from milepost.doctor.advisor.advice import Advice, Make
from milepost.doctor.advisor.apply import Applied, apply
from milepost.doctor.advisor.findings import findings_of
from milepost.doctor.advisor.planning import Size
from milepost.doctor.rollout import Change, Rollout

__all__ = ["advise", "killed_at", "missing", "run"]


async def run(url: str, operation: Mapping[str, Any]) -> None:
    async with Rollout.open(await Target.open(url), waits=WAITS) as rollout:
        outcome = await rollout.run(Change.of("test", [operation]))
    assert outcome.standing.state == "completed", outcome


def missing(table: str, *keys: str, helps: str) -> Finding:
    """Advice for one index, as the advisor words it. helps: the statement that it shall make a hundred times as fast."""
    size = Size(pages=100, rows=60_000)
    make = Make(index=Index(table=table, keys=keys), size=size, leaves=0, helps={helps: (100.0, 1.0)}, saves=99.0)
    return findings_of(Advice(make=(make,), before=100.0))[0]


async def advise(url: str, given: Mapping[str, Any]) -> Applied:
    """given: `table`, `keys`, `helps`, and `workload` by name."""
    finding = missing(given["table"], *given["keys"], helps=given["helps"])
    return await apply(await Target.open(url), finding, given["workload"], waits=WAITS)


async def killed_at(url: str, operation: Mapping[str, Any], number: int, *, by: str = "run") -> bool:
    """Whether it came to its step of that number, where it was killed. by: `run`, or `advise`."""
    script = f"import asyncio, json, sys, run_rollout; asyncio.run(run_rollout.{by}(sys.argv[1], json.loads(sys.argv[2])))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, url, json.dumps(operation),
        env={**os.environ, "MILEPOST_TEST_FAULT": f"rollout.step:{number}", "PYTHONPATH": "src:tests"},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode in (0, -signal.SIGKILL), errors.decode()
    return process.returncode != 0
