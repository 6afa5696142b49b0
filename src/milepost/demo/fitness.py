"""Fitness: members of teams in four leagues log runs, rides and walks for 13 months, before work, at noon and in the
evening, more at weekends and in summer; one in ten is private, trackers send some twice, and teams chase a distance.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from milepost.demo.sample import Activity, Call, Command, Sample, Weighted, at, days_of, people

__all__ = ["Fitness"]

DAYS = 396
RESENT_FROM = 20  # workouts a day, so that a small sample keeps its size
WEEK = (0.9, 1.0, 1.0, 1.05, 0.85, 1.5, 1.45)
LEAGUES = (
    ("north", "Northern League", "Europe/Oslo"),
    ("south", "Southern League", "Europe/Lisbon"),
    ("east", "Pacific League", "Asia/Tokyo"),
    ("west", "Atlantic League", "America/New_York"),
)
PLACES = ("Harbour", "River", "Hill", "Park", "Old Town", "Station", "Forest", "Lake", "Bridge", "Garden")
ANIMALS = ("Herons", "Foxes", "Otters", "Hares", "Swifts", "Badgers", "Lynxes", "Ravens", "Martens", "Cranes")
MOTTOS = ("Every step counts", "Slow is fine", "Rain is weather", "Further together")
# verb, the tracker's word, km (median), minutes a km, metres of climb a km
SPORTS = (
    ("run", "Run", 7.0, 5.8, 8.0),
    ("run", "TrailRun", 11.0, 7.2, 28.0),
    ("ride", "Ride", 28.0, 2.5, 9.0),
    ("ride", "GravelRide", 34.0, 3.0, 14.0),
    ("walk", "Walk", 4.5, 11.5, 6.0),
    ("walk", "Hike", 12.0, 14.0, 35.0),
    ("train", "Rowing", 6.0, 4.8, 0.0),
)
METRES_A_WORKOUT = 12_500.0  # on average, with those that do not count
HOURS = (6.7, 12.4, 18.3)
NOTES = ("river loop", "with the dog", "legs like lead", "new shoes", "rain all the way", "personal best", "easy one", "hills")
SOURCES = ("strava", "garmin", "polar", "manual")


@dataclass(frozen=True, kw_only=True)
class Member:
    id: str
    name: str
    team: int
    rate: float
    pace: float  # of the usual one
    hour: float
    sports: tuple[float, ...]
    source: str
    joined_day: int  # days after the beginning; 0: from the start


class Fitness(Sample):
    def __init__(self, *, anchor: datetime, size: int, seed: int = 7) -> None:
        super().__init__(anchor=anchor, size=size, seed=seed)
        self.team_count = min(40, max(4, size // 1_500))
        self.begin = anchor - timedelta(days=DAYS)
        self.zones = [ZoneInfo(LEAGUES[self._league(team)][2]) for team in range(self.team_count)]
        self.members = self._members(min(1_200, max(3 * self.team_count, size // 50)))
        self._weights = Weighted([member.rate for member in self.members])
        self._sports = [Weighted(member.sports) for member in self.members]

    @property
    def summary(self) -> str:
        return f"{len(self.members):,} members in {self.team_count} teams of {len(LEAGUES)} leagues, 13 months of workouts"

    def commands(self) -> Iterator[Command]:
        dice = self.dice("teams")
        likely_m = self.size / self.team_count * METRES_A_WORKOUT
        for name, title, zone in LEAGUES:
            yield {"do": "put_group", "id": f"league-{name}", "kind": "league", "name": title, "time_zone": zone}
        for team in range(self.team_count):
            league = LEAGUES[self._league(team)]
            yield {
                "do": "put_group",
                "id": self._team(team),
                "kind": "team",
                "name": f"{PLACES[team % 10]} {ANIMALS[(team * 7 + team // 10) % 10]}",
                "parent": f"league-{league[0]}",
                "time_zone": league[2],
                "attributes": {"goal_m": int(likely_m * dice.uniform(0.8, 1.6)) // 1_000 * 1_000, "motto": dice.choice(MOTTOS)},
            }
        captains: set[int] = set()
        for member in self.members:
            yield {"do": "put_actor", "id": member.id, "name": member.name}
            since = self.begin + timedelta(days=member.joined_day)
            yield {
                "do": "put_member",
                "group": self._team(member.team),
                "actor": member.id,
                "role": "member" if member.team in captains else "captain",
                "since": since.isoformat() if member.joined_day else "always",
            }
            captains.add(member.team)

    def activities(self) -> Iterator[Activity]:
        dice = self.dice("workouts")
        first, last = self.begin.date(), self.anchor.date()
        number = 0
        repeat: Activity | None = None
        for day, count in days_of(first, last, self.size, WEEK, seasons=0.25):
            since = (day - first).days
            today = []
            for _ in range(count):
                who = self._weights.draw(dice)
                while self.members[who].joined_day > since:
                    who = self._weights.draw(dice)
                number += 1
                member = self.members[who]
                hour = member.hour if day.weekday() < 5 else 10.2
                moment = at(dice, day, hour, 1.1, self.zones[member.team], self.anchor)
                today.append(self._workout(dice, who, moment, f"w-{number:06}"))
            today.sort(key=lambda one: str(one["occurred_at"]))
            if repeat is not None and len(today) > RESENT_FROM:  # a tracker that sends yesterday's workout once more
                today[0] = repeat
            repeat = today[-1] if len(today) > RESENT_FROM and dice.random() < 0.5 else None
            yield from today

    def live(self, dice: Random, now: datetime) -> Activity:
        return self._workout(dice, self._weights.draw(dice), now, f"live-{dice.getrandbits(60):015x}")

    def tour(self) -> tuple[Call, ...]:
        team, member = self._team(0), self.members[0].id
        run = {
            "actor": member,
            "verb": "run",
            "group": team,
            "object": {"kind": "workout", "id": "try-1"},
            "measures": {"distance_m": 5200, "duration_s": 1710},
            "data": {"note": "river loop"},
        }
        body = json.dumps({"activities": [run]})
        return (
            Call(shows="Log a run, and wait until it is counted", path="/v1/activities", body=body),
            Call(shows="The team's feed, newest first", path=f"/v1/groups/{team}/feed?limit=3"),
            Call(shows="How far the team is towards its goal", path=f"/v1/goals/team_goal?group={team}"),
            Call(
                shows="Where its first member stands on the week's board of everybody",
                path=f"/v1/boards/distance/standing?window=week&member={member}&around=2",
            ),
        )

    def _workout(self, dice: Random, who: int, moment: datetime, key: str) -> Activity:
        member = self.members[who]
        verb, sport, km, minutes, climb = SPORTS[self._sports[who].draw(dice)]
        distance = km * 1000 * dice.lognormvariate(0, 0.35)
        duration = distance / 1000 * minutes * 60 * member.pace * dice.uniform(0.93, 1.1)
        activity: Activity = {
            "key": key,
            "occurred_at": moment.isoformat(),
            "actor": member.id,
            "verb": verb,
            "object": {"kind": "workout", "id": key},
            "group": self._team(member.team),
            "measures": {
                "distance_m": round(distance, 1),
                "duration_s": int(duration),
                "climb_m": round(distance / 1000 * climb * dice.uniform(0.2, 1.8), 1),
            },
            "data": {"sport": sport},
            "visibility": dice.choices(("group", "public", "private"), (70, 20, 10))[0],
            "source": member.source,
        }
        if dice.random() < 0.2:
            activity["data"]["note"] = dice.choice(NOTES)
        return activity

    def _members(self, count: int) -> list[Member]:
        dice = self.dice("members")
        names = people(dice, count)
        members = []
        for number, name in enumerate(names):
            team = number % self.team_count
            members.append(
                Member(
                    id=f"user-{number + 1:04}",
                    name=name,
                    team=team,
                    rate=dice.lognormvariate(0, 0.8),
                    pace=dice.uniform(0.8, 1.25),
                    hour=dice.choice(HOURS),
                    sports=tuple(dice.random() ** 2 for _ in SPORTS),
                    source=dice.choices(SOURCES, (50, 30, 12, 8))[0],
                    # The first of each team is its captain, and there from the start.
                    joined_day=dice.randrange(1, DAYS - 14) if number >= self.team_count and dice.random() < 0.25 else 0,
                )
            )
        return members

    def _league(self, team: int) -> int:
        return team % len(LEAGUES)

    def _team(self, team: int) -> str:
        return f"team-{team + 1:02}"
