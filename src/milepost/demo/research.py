"""Research: organisations hold studies; people from several organisations work on them together, with roles. They commit
and merge in working hours, ask questions and settle them after hours or weeks, and roles change on the way.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import count
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from milepost.demo.sample import Activity, Call, Command, Sample, Weighted, at, days_of, people

__all__ = ["Research"]

DAYS = 396
WEEK = (1.1, 1.2, 1.15, 1.1, 0.9, 0.15, 0.15)
ORGANISATIONS = (
    ("oceans", "Institute for Ocean Studies", "Europe/Lisbon"),
    ("genes", "Genome Centre", "America/New_York"),
    ("climate", "Climate Data Consortium", "Europe/Berlin"),
    ("materials", "Materials Laboratory", "Asia/Seoul"),
    ("health", "Public Health Network", "Africa/Nairobi"),
    ("space", "Southern Observatory", "America/Santiago"),
)
THEMES = ("Baseline", "Survey", "Cohort", "Model", "Archive", "Sensors", "Review", "Replication")
FOLDERS = ("analysis", "data", "figures", "notebooks", "paper", "scripts")
SUBJECTS = (
    "clean the raw measurements",
    "add confidence intervals",
    "fix off-by-one in the join",
    "rerun with the new seed",
    "describe the sampling",
    "update the figures",
    "remove an unused model",
    "answer the second reviewer",
)
QUESTIONS = (
    "Which outliers do we keep?",
    "Is the control group large enough?",
    "Why do the two instruments differ?",
    "Who may see the raw data?",
    "Do we report the failed runs?",
)
# Of a hundred things that happen.
MIX = {"commit": 62, "merge": 12, "ask": 9, "answer": 11, "grant": 4, "change_role": 2}
PRIORITIES = ("low", "normal", "high")


@dataclass(frozen=True, kw_only=True)
class Question:
    id: str
    study: int


class Research(Sample):
    def __init__(self, *, anchor: datetime, size: int, seed: int = 7) -> None:
        super().__init__(anchor=anchor, size=size, seed=seed)
        self.begin = anchor - timedelta(days=DAYS)
        self.study_count = min(48, max(len(ORGANISATIONS), size // 600))
        self.zones = [ZoneInfo(zone) for _, _, zone in ORGANISATIONS]
        dice = self.dice("people")
        self.people = people(dice, min(300, max(12, size // 120)))
        rates = [dice.lognormvariate(0, 1.0) for _ in range(self.study_count)]
        self._studies = Weighted(rates)
        self.crews = [self._crew(dice, study) for study in range(self.study_count)]
        self._asked: dict[int, str] = {}  # the last question of each study

    @property
    def summary(self) -> str:
        return (
            f"{len(self.people)} people on {self.study_count} studies of {len(ORGANISATIONS)} organisations, 13 months of work"
        )

    def commands(self) -> Iterator[Command]:
        for name, title, zone in ORGANISATIONS:
            yield {"do": "put_group", "id": f"org-{name}", "kind": "organisation", "name": title, "time_zone": zone}
        for study in range(self.study_count):
            organisation = ORGANISATIONS[self._organisation(study)]
            theme = THEMES[study // len(ORGANISATIONS) % len(THEMES)]
            yield {
                "do": "put_group",
                "id": self._study(study),
                "kind": "study",
                "name": f"{theme} {study + 1}",
                "parent": f"org-{organisation[0]}",
                "time_zone": organisation[2],
                "attributes": {"title": f"{organisation[1]}: {theme.lower()} {study + 1}"},
            }
        for number, name in enumerate(self.people):
            person = self._person(number)
            home = ORGANISATIONS[number % len(ORGANISATIONS)][0]
            yield {"do": "put_actor", "id": person, "name": name}
            yield self._member(f"org-{home}", person, "admin" if number < len(ORGANISATIONS) else "member")
        yield {"do": "put_actor", "id": "bot-ci", "name": "build bot", "kind": "bot"}
        for study, crew in enumerate(self.crews):
            for place, number in enumerate(crew):
                role = ("maintainer", "collaborator")[min(place, 1)] if place < 6 else "contributor"
                # Beside their roles some may do more: the second of a crew invites others, a contributor or two correct.
                extra = {1: ["invite"], 6: ["write", "correct"], 7: ["write"]}.get(place, [])
                yield self._member(self._study(study), self._person(number), role, extra)

    def activities(self) -> Iterator[Activity]:
        dice = self.dice("work")
        numbers = count(1)
        order = count()
        later: list[tuple[datetime, int, str, Question]] = []  # answers and resolutions to come
        started: set[int] = set()
        self._asked.clear()
        left = self.size
        for day, due in days_of(self.begin.date(), self.anchor.date(), self.size, WEEK):
            today: list[Activity] = []
            budget = min(due, left)
            end = datetime.combine(day + timedelta(days=1), datetime.min.time(), self.anchor.tzinfo)
            while later and later[0][0] < end and len(today) < budget:
                moment, _, verb, question = heapq.heappop(later)
                today.append(self._about(dice, verb, question, moment, f"a-{next(numbers):06}"))
            while len(today) < budget:
                study = self._studies.draw(dice)
                zone = self.zones[self._organisation(study)]
                moment = at(dice, day, 14.0, 2.8, zone, self.anchor)
                verb = dice.choices(tuple(MIX), tuple(MIX.values()))[0] if study in started else "start"
                started.add(study)
                activity = self._work(dice, verb, study, moment, f"a-{next(numbers):06}")
                today.append(activity)
                if activity["verb"] == "ask":
                    question = Question(id=activity["object"]["id"], study=study)
                    settled = moment + timedelta(hours=dice.lognormvariate(3.2, 1.2))
                    if settled < self.anchor and dice.random() < 0.85:
                        heapq.heappush(later, (settled, next(order), "resolve", question))
            left -= len(today)
            today.sort(key=lambda one: str(one["occurred_at"]))
            yield from today

    def live(self, dice: Random, now: datetime) -> Activity:
        verb = dice.choices(tuple(MIX), tuple(MIX.values()))[0]
        return self._work(dice, verb, self._studies.draw(dice), now, f"live-{dice.getrandbits(60):015x}")

    def tour(self) -> tuple[Call, ...]:
        study, organisation = self._study(0), f"org-{ORGANISATIONS[0][0]}"
        ask = {
            "actor": self._person(0),
            "verb": "ask",
            "group": study,
            "object": {"kind": "question", "id": "try-1"},
            "data": {"title": "Which outliers do we keep?", "priority": "high"},
        }
        return (
            Call(
                shows="Ask a question, and wait until it is counted",
                path="/v1/activities",
                body=json.dumps({"activities": [ask]}),
            ),
            Call(shows="The study's timeline, newest first", path=f"/v1/groups/{study}/feed?limit=3"),
            Call(
                shows="The organisation by months, all its studies together",
                path=f"/v1/rollups/study_activity?group={organisation}&bucket=month&limit=3",
            ),
            Call(
                shows="The organisation's analytics of 90 days: by kind, times to resolution, engagement, the trend",
                path=f"/v1/reports/organisation_analytics?group={organisation}&days=90",
            ),
            Call(
                shows="Its business day, hour by hour, by its own clock",
                path=f"/v1/reports/business_hours?group={organisation}",
            ),
            Call(
                shows="One person's collaborative studies, with statistics",
                path=f"/v1/reports/my_collaborative_studies?actor={self._person(self.crews[0][0])}",
            ),
        )

    def _work(self, dice: Random, verb: str, study: int, moment: datetime, key: str) -> Activity:
        crew = self.crews[study]
        # Few do most: the first of a crew come up most often.
        who = crew[min(int(dice.expovariate(0.35)), len(crew) - 1)]
        if verb == "answer" and study not in self._asked:
            verb = "ask"
        robot = verb in ("commit", "merge") and dice.random() < 0.12
        activity: Activity = {
            "key": key,
            "occurred_at": moment.isoformat(),
            "actor": "bot-ci" if robot else self._person(who),
            "verb": verb,
            "group": self._study(study),
            "visibility": "public" if study % 5 == 0 else "group",
            "source": "git" if verb in ("start", "commit", "merge") else "web",
        }
        match verb:
            case "start" | "commit" | "merge":
                activity["object"] = {"kind": "change", "id": blake2b(key.encode(), digest_size=10).hexdigest()}
                activity["measures"] = self._files(dice, verb)
                activity["data"] = {
                    "subject": dice.choice(SUBJECTS),
                    "author": "bot" if robot else "person",
                    "folder": dice.choice(FOLDERS),
                }
            case "ask":
                self._asked[study] = f"q-{key}"
                activity["object"] = {"kind": "question", "id": self._asked[study]}
                activity["data"] = {"title": dice.choice(QUESTIONS), "priority": dice.choice(PRIORITIES)}
            case "answer":
                activity["object"] = {"kind": "question", "id": self._asked[study]}
                activity["data"] = {"text": "See the notebook: " + dice.choice(SUBJECTS) + "."}
            case _:
                subject = self._person(dice.choice(crew))
                activity["actor"] = self._person(crew[0])
                activity["object"] = {"kind": "membership", "id": f"{self._study(study)}/{subject}"}
                activity["data"] = {"member": subject, "role": dice.choice(("collaborator", "contributor"))}
        return activity

    def _about(self, dice: Random, verb: str, question: Question, moment: datetime, key: str) -> Activity:
        crew = self.crews[question.study]
        return {
            "key": key,
            "occurred_at": moment.replace(microsecond=0).isoformat(),
            "actor": self._person(crew[dice.randrange(min(3, len(crew)))]),
            "verb": verb,
            "group": self._study(question.study),
            "object": {"kind": "question", "id": question.id},
            "data": {"outcome": dice.choices(("settled", "dropped", "moved"), (80, 12, 8))[0]},
            "source": "web",
        }

    def _files(self, dice: Random, verb: str) -> dict[str, int]:
        scale = {"start": 30, "commit": 4, "merge": 9}[verb]
        return {
            "files_added": int(dice.expovariate(1 / scale * 2)),
            "files_modified": 0 if verb == "start" else 1 + int(dice.expovariate(1 / scale)),
            "files_deleted": 0 if verb == "start" else int(dice.expovariate(1.5)),
        }

    def _crew(self, dice: Random, study: int) -> list[int]:
        """Who works on a study: mostly people of its own organisation, some from others."""
        home = self._organisation(study)
        own = [number for number in range(len(self.people)) if number % len(ORGANISATIONS) == home]
        size = min(len(self.people), dice.randint(4, 18))
        crew = dice.sample(own, min(len(own), max(2, size * 2 // 3)))
        others = [number for number in range(len(self.people)) if number not in crew]
        return crew + dice.sample(others, min(len(others), max(0, size - len(crew))))

    def _member(self, group: str, person: str, role: str, permissions: Sequence[str] = ()) -> dict[str, Any]:
        member = {"do": "put_member", "group": group, "actor": person, "role": role, "since": "always"}
        return member | {"permissions": list(permissions)} if permissions else member

    def _organisation(self, study: int) -> int:
        return study % len(ORGANISATIONS)

    def _study(self, study: int) -> str:
        return f"study-{study + 1:02}"

    def _person(self, number: int) -> str:
        return f"person-{number + 1:03}"
