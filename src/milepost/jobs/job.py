"""A job: something a deployment does now and then, in one process of many. What it is, and when it is due.

A job belongs to the current slot of its period: this hour, day, week, month or quarter (of its time zone). It is due in a slot that
has no run which did it. So one that was missed, because no process lived, is caught up once, however many slots went by. A run that
fails is tried again in the same slot, `ATTEMPTS_MAX` times, each time later. A job that is new to a database begins with the slot
after the one in which it was first seen. Asked for by hand, it is due at once, whatever the slot, the hours or a pause say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from milepost.postgres import Connection, Database
from milepost.settings import Settings

__all__ = ["ATTEMPTS_MAX", "EVERY", "Every", "Job", "Standing", "Work", "due_at", "slot_of"]

Every = Literal["hour", "day", "week", "month", "quarter"]
EVERY: tuple[Every, ...] = ("hour", "day", "week", "month", "quarter")

ATTEMPTS_MAX = 4  # in one slot
RETRY_S = (60, 300, 1500)  # after the first attempt that failed, the second, the third


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a job works with. owner: a connection of the tables' owner, in autocommit; the job's own until it ends."""

    db: Database
    settings: Settings
    owner: Connection
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Job:
    """run: does it, bounded, and fine to be done again; answers with what is kept in its history, as JSON. timeout_s: then it is
    cancelled, and has failed."""

    name: str
    about: str  # one sentence
    every: Every
    run: Callable[[Work], Awaitable[dict[str, Any]]]
    timeout_s: float = 3600.0


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the database knows of a job. hours: from the first to before the second, of `time_zone`'s clock; None: at any.
    attempts: those that failed in the slot of the last run."""

    first_seen_at: datetime
    every: Every
    hours: tuple[int, int] | None
    time_zone: str
    paused: bool
    asked_at: datetime | None
    slot: datetime | None  # of the last run
    done: bool  # whether a run of that slot did it
    attempts: int
    ended_at: datetime | None


def slot_of(every: Every, now: datetime, time_zone: str = "UTC") -> datetime:
    """When the slot began that `now` lies in, in UTC."""
    local = now.astimezone(ZoneInfo(time_zone)).replace(minute=0, second=0, microsecond=0, fold=0)
    if every != "hour":
        local = local.replace(hour=0)
    match every:
        case "week":
            local -= timedelta(days=local.weekday())
        case "month":
            local = local.replace(day=1)
        case "quarter":
            local = local.replace(month=(local.month - 1) // 3 * 3 + 1, day=1)
    return local.astimezone(UTC)


def due_at(standing: Standing, now: datetime) -> datetime | None:
    """Since when, or from when on, the job is due in the slot of `now`; None: not in this slot."""
    if standing.asked_at is not None:
        return standing.asked_at
    slot = slot_of(standing.every, now, standing.time_zone)
    if standing.paused or slot <= standing.first_seen_at:
        return None
    moment = slot
    if standing.slot == slot:
        if standing.done or standing.attempts >= ATTEMPTS_MAX:
            return None
        if standing.attempts and standing.ended_at is not None:
            moment = standing.ended_at + timedelta(seconds=RETRY_S[standing.attempts - 1])
    return max(moment, _opening(standing, max(moment, now)))


def _opening(standing: Standing, moment: datetime) -> datetime:
    """The first moment from `moment` on that lies in the job's hours."""
    if standing.hours is None:
        return moment
    first, last = standing.hours
    local = moment.astimezone(ZoneInfo(standing.time_zone))
    if first <= local.hour < last:
        return moment
    opening = local.replace(hour=first, minute=0, second=0, microsecond=0)
    return (opening if local.hour < first else opening + timedelta(days=1)).astimezone(UTC)
