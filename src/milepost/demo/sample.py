"""What a sample is, and the dice that all four are made with.

A system's sample is a class made from a moment, a size and a seed; the same three make the same sample, so that loading it can
be broken off and gone on with, and loading it twice counts it once: every activity has a key and a time.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from random import Random
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

__all__ = ["Activity", "Call", "Command", "Sample", "Weighted", "at", "days_of", "people"]

Activity = dict[str, Any]
Command = dict[str, Any]
Item = TypeVar("Item")

FIRST_NAMES = (  # noqa: SIM905
    "Ada Amir Ana Anders Aisha Ben Bruna Carla Chen Chloe Daniel Diego Elif Emma Eva Farah Felix Fatou Grace Hana "
    "Hugo Ines Ivan Jana Jonas Julia Kai Kofi Lea Liam Lina Luca Maja Marco Maria Mei Mila Nadia Nils Noor Olga Omar "
    "Paul Petra Priya Rafael Rosa Sam Sara Sofia Tariq Tess Tomas Uma Vera Victor Wen Yara Yusuf Zoe"
).split()
LAST_NAMES = (  # noqa: SIM905
    "Abebe Ahmed Almeida Andersen Becker Bianchi Brandt Brown Costa Dahl Demir Diallo Eriksen Fischer Garcia Haddad "
    "Hansen Ito Ivanova Jansen Jensen Kaya Keller Khan Kim Kowalski Larsen Lehmann Lopez Martin Mensah Meyer Moreau "
    "Mueller Nguyen Novak Okafor Olsen Patel Pereira Popov Ricci Rossi Sato Schmidt Silva Singh Smith Sousa Suzuki "
    "Tanaka Torres Vogel Wang Weber Wilson Wolf Yilmaz Zhang Zimmermann"
).split()


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request worth trying. `body` is JSON text; without one it is a GET."""

    shows: str
    path: str
    body: str | None = None


class Sample(ABC):
    """One system's data. `anchor` is the moment it ends at; `size` about how many activities it has."""

    def __init__(self, *, anchor: datetime, size: int, seed: int = 7) -> None:
        self.anchor = anchor
        self.size = size
        self.seed = seed

    @property
    @abstractmethod
    def summary(self) -> str:
        """What it holds, in a few words."""

    @abstractmethod
    def commands(self) -> Iterator[Command]:
        """Groups, actors and members, in an order in which each can be done."""

    @abstractmethod
    def activities(self) -> Iterator[Activity]:
        """Exactly `size` activities, about in the order of their times; none later than the anchor."""

    @abstractmethod
    def live(self, dice: Random, now: datetime) -> Activity:
        """Something that happens now."""

    @abstractmethod
    def tour(self) -> tuple[Call, ...]:
        """A few requests that show what it is for: the first one writes."""

    def dice(self, purpose: str) -> Random:
        """A stream of chance of its own for each purpose, so that one can change without the others."""
        return Random(f"{self.seed}/{type(self).__name__}/{purpose}")


class Weighted:
    """Draws items by weight; faster than `Random.choices` for one at a time."""

    def __init__(self, weights: Sequence[float]) -> None:
        self._sums = list(accumulate(weights))

    def draw(self, dice: Random) -> int:
        return bisect(self._sums, dice.random() * self._sums[-1], hi=len(self._sums) - 1)


def days_of(first: date, last: date, size: int, weight: Sequence[float], *, seasons: float = 0.0) -> Iterator[tuple[date, int]]:
    """The days from first to last with how much happens on each, `size` in all.

    weight: of Monday to Sunday. seasons: how much more (0 to 1) happens at midsummer than in the yearly mean.
    """
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    weights = [
        weight[day.weekday()] * (1 - seasons * math.cos(2 * math.pi * (day.timetuple().tm_yday - 10) / 365)) for day in days
    ]
    share = size / sum(weights)
    due = 0.0
    given = 0
    for day, part in zip(days, weights, strict=True):
        due += part * share
        count = round(due) - given
        given += count
        yield day, count


def at(dice: Random, day: date, hour: float, spread_h: float, zone: ZoneInfo, anchor: datetime) -> datetime:
    """A moment around an hour of a local day, to the second; a day earlier where that would be after the anchor."""
    seconds = min(max(dice.gauss(hour, spread_h), 0.0), 23.99) * 3600
    local = datetime.combine(day, time(), zone) + timedelta(seconds=int(seconds))
    moment = local.astimezone(UTC)
    while moment > anchor:
        moment -= timedelta(days=1)
    return moment


def people(dice: Random, count: int) -> list[str]:
    """Names; two people may share one, as they do."""
    return [f"{dice.choice(FIRST_NAMES)} {dice.choice(LAST_NAMES)}" for _ in range(count)]
