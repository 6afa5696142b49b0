"""Verify a goal: what its reader is answered, for every group or actor there is, against the activities themselves.

One statement goes through the activities that may count (`recomputed_goal`), in one snapshot, without a limit of time; PostgreSQL
spills what does not fit into its memory, and the answers come page by page, so that this process holds a page. The snapshot
is read only and has no transaction number: neither intake nor the queue waits for it, but vacuum does, as it does for a dump.

What is compared is the value, the percentage and what remains, as served. `projected_at` is left out: it is a guess about
tomorrow, made from the days that are compared as rows of the rollup.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any
from uuid import UUID

from milepost.activity import LARGEST_ID, SMALLEST_ID, id_from
from milepost.model import Goal, Model
from milepost.postgres import Connection, load_queries
from milepost.rollups.goals import ADDING_UP, EXACT, Progress, number, progress_of
from milepost.schema.compile import recomputed_goal

__all__ = ["ComparedGoal", "compared_goals"]

_queries = load_queries(__package__, "verify_goals.sql")

PAGE = 1_000
# How far from now an activity in the bucket of now can lie: the bucket, and a day for two zones.
NEAR_DAYS = {"hour": 2, "day": 3, "week": 9, "month": 33}
HALF = Fraction(1, 2)

Numbers = dict[str, Decimal | None]


@dataclass(frozen=True, kw_only=True)
class ComparedGoal:
    """key: the group or actor, by its column and number. served, recomputed: target, value, percent, remaining."""

    key: dict[str, int]
    served: Numbers
    recomputed: Numbers


async def compared_goals(
    conn: Connection, tenant_id: int, model: Model, goal: Goal, *, now: datetime, over: Callable[[str], str]
) -> AsyncIterator[ComparedGoal]:
    """conn: in a snapshot of its own, whose settings this changes. over: makes the statement read what is archived, too. Raises
    `BeingFilled` as the reader does.
    """
    await conn.execute(_queries.unhurried)
    low, high = _ids(model, goal, now)
    parameters: dict[str, Any] = {"tenant_id": tenant_id, "now": now, "low": low, "high": high}
    (key,) = model.rollups[goal.rollup].by
    async with conn.cursor(name="goals") as cursor:
        await cursor.execute(over(recomputed_goal(model, goal)), parameters)
        while rows := await cursor.fetchmany(PAGE):
            served = await progress_of(conn, tenant_id, model, goal, [row[0] for row in rows], now=now)
            for (entity, value, target), progress in zip(rows, served, strict=True):
                yield ComparedGoal(
                    key={f"{key}_id": entity}, served=_numbers(progress), recomputed=_recomputed(goal, value, target)
                )


def _numbers(progress: Progress) -> Numbers:
    return {name: getattr(progress, name) for name in ("target", "value", "percent", "remaining")}


def _recomputed(goal: Goal, counted: Any, text: str | None) -> Numbers:
    """By fractions, where the reader rounds decimals."""
    value = Decimal(0) if counted is None and goal.value.function in ADDING_UP else number(counted)
    target = number(text)
    percent = remaining = None
    if target is not None and target > 0 and value is not None:
        hundredths = Fraction(value) * 10_000 / Fraction(target)
        rounded = floor(abs(hundredths) + HALF) * (-1 if hundredths < 0 else 1)
        percent = Decimal(f"{rounded}e-2")
        remaining = EXACT.subtract(target, value) if value < target else Decimal(0)
    return {"target": target, "value": value, "percent": percent, "remaining": remaining}


def _ids(model: Model, goal: Goal, now: datetime) -> tuple[UUID, UUID]:
    """Bounds of the activities that can be in the goal's bucket, so that partitions outside are not read."""
    if goal.per == "all":
        return SMALLEST_ID, LARGEST_ID
    if goal.per in NEAR_DAYS:
        near = timedelta(days=NEAR_DAYS[goal.per])
        return id_from(now - near), id_from(now + near)
    term = model.terms[goal.per]
    first = max(term.first, date.min + timedelta(days=2)) - timedelta(days=2)
    last = min(term.last, date.max - timedelta(days=3)) + timedelta(days=3)
    return id_from(datetime.combine(first, time(), UTC)), id_from(datetime.combine(last, time(), UTC))
