"""Runs one operation in a process of its own, to be killed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from busy_shop import WAITS
from milepost.doctor import Target
from milepost.doctor.rollout import Change, Rollout

__all__ = ["run"]


async def run(url: str, operation: Mapping[str, Any]) -> None:
    async with Rollout.open(await Target.open(url), waits=WAITS) as rollout:
        outcome = await rollout.run(Change.of("test", [operation]))
    assert outcome.standing.state == "completed", outcome
