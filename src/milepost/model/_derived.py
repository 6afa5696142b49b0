"""Reads what a model derives from activities: rollups, latest, pairs, goals, boards, pending lists and
reports.

Only the form is read here; whether a verb, measure or key exists is for `_check`, once the whole model has
been read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal, TypeVar

from milepost.model._phrases import Unreadable, number_of_units, read_duration, read_value
from milepost.model._report_values import read_report_value
from milepost.model._tables import Table
from milepost.model._types import Board, Goal, Latest, Pair, Pending, Report, Rollup, Snapshots, Value

__all__ = [
    "LATEST_KEYS",
    "NO_VALUE",
    "REPORT_DAYS_MAX",
    "REPORT_PERS",
    "WEEKDAYS",
    "read_boards",
    "read_goals",
    "read_latest",
    "read_pairs",
    "read_pending",
    "read_reports",
    "read_rollups",
]

T = TypeVar("T")

NO_VALUE: Final = Value(function="count", text="")  # keeps the place of one that could not be read
LATEST_KEYS: Final = ("group", "object", "actor")
MILESTONE_MAX: Final = 1000  # percent
ACTIVITIES_MIN_MAX: Final = 1_000_000
SNAPSHOT_SPANS: Final = ("day", "week", "month")
SNAPSHOT_TOP_MAX: Final = 100_000  # written in one transaction, while the lane waits

_BELONGS: tuple[Literal["addressed", "membership"], ...] = ("addressed", "membership")
_RANKS: tuple[Literal["actor", "group"], ...] = ("actor", "group")
_WITHIN = ("group", "everywhere")
_VISIBILITIES = ("public", "group", "private")
_TIES: tuple[Literal["earliest", "shared"], ...] = ("earliest", "shared")
_ORDERS: tuple[Literal["down", "up"], ...] = ("down", "up")
REPORT_PERS: Final = ("hour", "day", "week", "month", "hour_of_day", "day_of_week")
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
REPORT_DAYS_MAX: Final = 3660
_COMPARES: tuple[Literal["previous"], ...] = ("previous",)
_ROLLUP_VALUE = re.compile(r"\s*([^.\s]+)\s*\.(.*)", re.DOTALL)


def _each(model: Table, section: str, read: Callable[[Table, str], T]) -> dict[str, T]:
    entries = {}
    for name, path, raw in model.named(section):
        table = Table(model.notes, path, raw)
        entries[name] = read(table, name)
        table.close()
    return entries


def read_rollups(model: Table) -> dict[str, Rollup]:
    return _each(model, "rollups", _rollup)


def _rollup(table: Table, name: str) -> Rollup:
    return Rollup(
        name=name,
        of=table.words("of", required=True),
        by=table.words("by", required=True),
        belongs=table.choice("belongs", _BELONGS, "addressed"),
        ancestors=table.flag("ancestors", default=True),
        per=table.words("per") if table.has("per") else ("day", "all"),
        values=_values(table),
    )


def _values(table: Table) -> tuple[Value, ...]:
    values: list[Value] = []
    for position, text in enumerate(table.words("values", required=True)):
        path = (*table.path, "values", position)
        value = table.read(path, "bad-value", read_value, text, NO_VALUE) if text else NO_VALUE
        if value.text and value in values and text not in table.content["values"][:position]:
            table.notes.add(path, "duplicate", f"{value.text} is named twice")
        values.append(value)
    return tuple(values)


def read_latest(model: Table) -> dict[str, Latest]:
    return _each(model, "latest", _latest)


def _latest(table: Table, name: str) -> Latest:
    return Latest(
        name=name,
        of=table.words("of", required=True),
        by=table.choices("by", LATEST_KEYS, (), required=True),
        values=table.words("values", empty=True),
    )


def read_pairs(model: Table) -> dict[str, Pair]:
    return _each(model, "pairs", _pair)


def _pair(table: Table, name: str) -> Pair:
    return Pair(name=name, open=table.words("open", required=True), close=table.words("close", required=True))


def read_goals(model: Table) -> dict[str, Goal]:
    return _each(model, "goals", _goal)


def _goal(table: Table, name: str) -> Goal:
    rollup, value = table.phrase("value", "bad-value", _rollup_value, ("", NO_VALUE), required=True)
    return Goal(
        name=name,
        rollup=rollup,
        value=value,
        target=_target(table),
        milestones=_milestones(table),
        per=table.text("per", default="all"),
    )


def _rollup_value(text: str) -> tuple[str, Value]:
    match = _ROLLUP_VALUE.fullmatch(text)
    if match is None:
        raise Unreadable("a goal's value should read ROLLUP.VALUE, such as team_distance.sum(distance_m)")
    return match[1], read_value(match[2])


def _target(table: Table) -> str:
    """`group.ATTRIBUTE`, or a number above 0 as decimal text; "" if it is neither."""
    value = table.raw("target")
    path = (*table.path, "target")
    if value is None:
        table.missing("target")
    elif isinstance(value, bool) or not isinstance(value, int | float | str):
        table.wrong_type("target", 'a number, or a text such as "group.goal_m"')
    elif isinstance(value, str) and not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        if value.startswith("group."):
            return value
        table.notes.add(path, "bad-value", 'a target is a number, or an attribute such as "group.goal_m"')
    else:
        try:
            number_of_units(value, 6)
        except Unreadable as error:
            table.notes.add(path, "bad-number", str(error))
            return ""
        if float(value) > 0:
            return str(value)
        table.notes.add(path, "out-of-range", "a target is above 0: progress is a percentage of it")
    return ""


def _milestones(table: Table) -> tuple[int, ...]:
    value = table.raw("milestones")
    if value is None:
        return ()
    if not isinstance(value, list):
        table.wrong_type("milestones", "a list of percentages such as [50, 100]")
        return ()
    highest = 0
    for position, percent in enumerate(value):
        path = (*table.path, "milestones", position)
        if isinstance(percent, bool) or not isinstance(percent, int):
            table.notes.add(path, "wrong-type", "a milestone is a whole number of percent")
        elif not 1 <= percent <= MILESTONE_MAX:
            table.notes.add(path, "out-of-range", f"a milestone is 1 to {MILESTONE_MAX} percent")
        elif percent <= highest:
            message = f"milestones ascend, and none is there twice: {percent} follows {highest}"
            table.notes.add(path, "not-ascending", message)
        else:
            highest = percent
    return tuple(percent for percent in value if isinstance(percent, int))


def read_boards(model: Table) -> dict[str, Board]:
    return _each(model, "boards", _board)


def _board(table: Table, name: str) -> Board:
    return Board(
        name=name,
        rank=table.choice("rank", _RANKS, "actor", required=True),
        within=table.choices("within", _WITHIN, (), required=True),
        belongs=table.choice("belongs", _BELONGS, "addressed"),
        ancestors=table.flag("ancestors", default=True),
        by=table.phrase("by", "bad-value", read_value, NO_VALUE, required=True),
        of=table.words("of", required=True),
        windows=table.words("windows", required=True),
        scores=table.choices("scores", _VISIBILITIES, _VISIBILITIES),
        ties=table.choice("ties", _TIES, "earliest"),
        order=table.choice("order", _ORDERS, "down"),
        activities_min=_activities_min(table),
        snapshots=_snapshots(table.table("snapshots")),
    )


def _snapshots(table: Table) -> Snapshots:
    top = table.whole("top", 1, SNAPSHOT_TOP_MAX)
    read = Snapshots(
        at_end_of=table.choices("at_end_of", SNAPSHOT_SPANS, ()),
        keep=table.phrase("keep", "bad-duration", read_duration, "") or None,
        top=Snapshots().top if top is None else top,
    )
    table.close()
    return read


def _activities_min(table: Table) -> int:
    value = table.raw("minimum")
    if value is None:
        return 1
    if isinstance(value, bool) or not isinstance(value, int):
        table.wrong_type("minimum", "a whole number of activities")
    elif not 1 <= value <= ACTIVITIES_MIN_MAX:
        message = f"a minimum is 1 to {ACTIVITIES_MIN_MAX} activities"
        table.notes.add((*table.path, "minimum"), "out-of-range", message)
    else:
        return value
    return 1


def read_pending(model: Table) -> dict[str, Pending]:
    return _each(model, "pending", _pending)


def _pending(table: Table, name: str) -> Pending:
    return Pending(
        name=name,
        given=table.text("given", required=True),
        done=table.words("done", required=True),
        by=table.choice("by", ("object",), "object"),
        due=table.text("due") or None,
        roles=table.words("roles"),
    )


def read_reports(model: Table) -> dict[str, Report]:
    return _each(model, "reports", _report)


def _report(table: Table, name: str) -> Report:
    parts = table.words("parts")
    days = table.whole("days", 1, REPORT_DAYS_MAX)
    return Report(
        name=name,
        parts=parts,
        source=table.text("from", required=not parts),
        by=table.words("by", empty=True),
        values=_report_values(table, required=not parts),
        per=table.choice("per", REPORT_PERS, "day") if table.has("per") else None,
        days=days,
        hours=_hours(table),
        weekdays=tuple(WEEKDAYS.index(day) + 1 for day in table.choices("weekdays", WEEKDAYS, ())),
        compare=table.choice("compare", _COMPARES, "previous") if table.has("compare") else None,
        top=table.whole("top", 1, 500),
        order=table.choice("order", _ORDERS, "down"),
        kind=table.text("kind") or None,
    )


def _report_values(table: Table, *, required: bool) -> tuple[str, ...]:
    values: list[str] = []
    for position, text in enumerate(table.words("values", required=required)):
        path = (*table.path, "values", position)
        value = table.read(path, "bad-value", read_report_value, text, None) if text else None
        if value is not None and value.text in values and text not in table.content["values"][:position]:
            table.notes.add(path, "duplicate", f"{value.text} is named twice")
        values.append(value.text if value is not None else "")
    return tuple(values)


def _hours(table: Table) -> tuple[int, int] | None:
    value = table.raw("hours")
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or not all(type(hour) is int for hour in value):
        table.wrong_type("hours", "two hours of the day such as [9, 17], the second excluded")
        return None
    if not 0 <= value[0] < value[1] <= 24:
        table.notes.add((*table.path, "hours"), "bad-range", "hours are 0 to 24, the first below the second")
        return None
    return value[0], value[1]
