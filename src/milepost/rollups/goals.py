"""Goals: how far a rollup's value is towards its target, and when it will get there at this pace.

`percent` is of the target, rounded to two decimals, and may pass 100; `remaining` is never below 0. Where the target
is an attribute that the group does not have, `target`, `percent` and `remaining` are None; the `value` of an average,
minimum or share is None until there is one.

`projected_at` supposes that the pace goes on which held from the beginning of the first day that counted (in this
bucket) until now: as much again per second. It is None without a pace (nothing counted, or nothing yet to measure
time by), when the goal is reached, when no date can hold it, and for values that do not add up over time (averages,
minima, maxima, shares).

`read_goal` answers one reader, `progress_of` many groups or actors at once, by the same statements: `milepost verify`
compares what they answer with the activities.

`read_goal` raises `NotFound` for a goal that the model does not declare and for an unknown group or actor,
`InvalidInput` where a key of the goal's rollup is missing or not one of its keys; both `BeingFilled` while the rollup's
history is being counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any

from milepost.errors import FieldError, InvalidInput, NotFound
from milepost.model import Goal, Model
from milepost.postgres import Connection, load_queries
from milepost.rollups.filling import require_filled
from milepost.rollups.keys import find_keys
from milepost.rollups.read import declared, put_words
from milepost.schema.compile import reading_of
from milepost.storage.by_index import plan_by_index

__all__ = ["ADDING_UP", "Progress", "number", "progress", "progress_of", "read_goal"]

_queries = load_queries(__package__, "goals.sql")

HUNDREDTH = Decimal("0.01")
EXPONENT_MAX = 30  # of a target: beyond it no percentage means anything
# Digits enough that nothing but the percentage is rounded, and that once.
EXACT = Context(prec=100)
ADDING_UP = frozenset({"count", "sum", "distinct"})
THE_ONE_BUCKET = datetime(1, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Progress:
    target: Decimal | None
    value: Decimal | None
    percent: Decimal | None
    remaining: Decimal | None
    projected_at: datetime | None


async def read_goal(
    conn: Connection, tenant_id: int, model: Model, name: str, asked: Mapping[str, str], *, now: datetime
) -> Progress:
    """asked: every key of the goal's rollup, by its text in a query."""
    goal = declared(model.goals, name, "goal")
    await plan_by_index(conn, sorts=True)
    rollup = model.rollups[goal.rollup]
    keys = await find_keys(conn, tenant_id, model, rollup.by, asked)
    missing = tuple(
        FieldError(f"/{key}", f"is required: {name} has one for each {key}") for key in rollup.by if key not in asked
    )
    if missing:
        raise InvalidInput(errors=missing)
    if not keys.known:
        raise NotFound("There is no such group or actor.")
    (entity,) = keys.parameters.values()
    (found,) = await progress_of(conn, tenant_id, model, goal, [entity], now=now)
    return found


async def progress_of(
    conn: Connection, tenant_id: int, model: Model, goal: Goal, entities: Sequence[int], *, now: datetime
) -> list[Progress]:
    """entities: the numbers of groups or of actors, whichever the goal's rollup is kept by; at least one. → in their order."""
    await plan_by_index(conn, sorts=True)
    rollup = model.rollups[goal.rollup]
    await require_filled(conn, tenant_id, f"rollup_{rollup.name}")
    (key,) = rollup.by  # the model's check sees to it: a goal's rollup is by group alone or by actor alone
    adds_up = goal.value.function in ADDING_UP
    parameters: dict[str, Any] = {"tenant_id": tenant_id, "now": now, "model_zone": model.time_zone, "entities": list(entities)}
    parameters["attribute"] = goal.target.removeprefix("group.")
    query = _queries.groups if key == "group" else _queries.actors
    here = {row[0]: row[1:] for row in await (await conn.execute(query, parameters)).fetchall()}
    spans = [span(model, goal, here[entity][0]) for entity in entities]
    per = spans[0][0]
    parameters |= {"per": per, "firsts": [first for _, first, _ in spans], "lasts": [last for _, _, last in spans]}
    words = {"table": f"milepost.rollup_{rollup.name}", "key": f"{key}_id", "value": reading_of(model, rollup, goal.value)}
    values: dict[int, Any] = dict(await (await conn.execute(put_words(_queries.values, **words), parameters)).fetchall())
    since: dict[int, datetime] = {}
    if adds_up:
        since |= dict(await (await conn.execute(put_words(_queries.first_days, **words), parameters)).fetchall())
    answers = []
    for entity in entities:
        local, attribute = here[entity]
        value = values.get(entity)
        if value is None and adds_up:
            value = 0
        target = attribute if goal.target.startswith("group.") else goal.target
        elapsed = local - since[entity] if entity in since else None
        answers.append(progress(number(target), number(value), now=now, elapsed=elapsed))
    return answers


def progress(target: Decimal | None, value: Decimal | None, *, now: datetime, elapsed: timedelta | None) -> Progress:
    """elapsed: since the beginning of the first day that counted; None: no pace."""
    if target is None or target <= 0 or value is None:
        return Progress(target=target, value=value, percent=None, remaining=None, projected_at=None)
    remaining = max(EXACT.subtract(target, value), Decimal(0))
    projected_at = None
    if elapsed is not None and elapsed > timedelta(0) and value > 0 and remaining > 0:
        try:
            projected_at = now + timedelta(seconds=round(elapsed.total_seconds() * float(remaining / value)))
        except OverflowError:
            projected_at = None  # after the year 9999
    return Progress(
        target=target,
        value=value,
        percent=EXACT.divide(EXACT.multiply(value, Decimal(100)), target).quantize(HUNDREDTH, ROUND_HALF_UP, EXACT),
        remaining=remaining,
        projected_at=projected_at,
    )


def span(model: Model, goal: Goal, local: datetime) -> tuple[str, datetime, datetime]:
    """The goal's bucket at a local time: how it is stored (`per`, `bucket`), and the day after its last."""
    today = local.replace(hour=0, minute=0, second=0, microsecond=0)
    match goal.per:
        case "all":
            return "all", THE_ONE_BUCKET, datetime.max
        case "day":
            return "day", today, today + timedelta(days=1)
        case "week":
            monday = today - timedelta(days=today.weekday())
            return "week", monday, monday + timedelta(days=7)
        case "month":
            first = today.replace(day=1)
            return "month", first, (first + timedelta(days=32)).replace(day=1)
        case "hour":
            hour = local.replace(minute=0, second=0, microsecond=0)
            return "hour", hour, hour + timedelta(hours=1)
        case name:
            term = model.terms[name]
            start = datetime.combine(term.first, datetime.min.time())
            return f"term:{name}", start, datetime.combine(term.last, datetime.min.time()) + timedelta(days=1)


def number(value: Any) -> Decimal | None:
    """None for what is no number, or none of this world: an attribute that the group's kind does not declare may be anything."""
    if value is None:
        return None
    try:
        made = Decimal(str(value))
    except InvalidOperation:
        return None
    return made if made.is_finite() and abs(made.adjusted()) <= EXPONENT_MAX else None
