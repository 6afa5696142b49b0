"""Classroom: teachers publish material and assessments (2 to 20 kB of questions); students hand in what they were given,
mostly in time, are graded some days later, now and then again, and watch videos in the evenings.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from milepost.demo.sample import Activity, Call, Command, Sample, at, days_of, people

__all__ = ["Classroom"]

DAYS = 396
WEEK = (1.2, 1.25, 1.2, 1.1, 0.9, 0.35, 0.6)
SCHOOL = "school-riverside"
ZONE = ZoneInfo("Europe/London")
COURSES = ("algebra", "biology", "chemistry", "english", "geography", "history")
PURPOSES = ("TMA", "CMA", "Exam")
CLASSES_A_STUDENT = 3
# Of a hundred things that nobody waits for; what is handed in and graded follows from what is assigned.
MIX = {"assign": 3, "publish": 13, "revise": 3, "open": 20, "play": 26, "pause": 17, "complete": 10, "leave": 8}
FOLLOWING_SHARE = 0.7  # of a day at most
LENGTHS_S = (240.0, 420.0, 610.5, 905.0)
WORDS = (  # noqa: SIM905
    "angle balance carbon decide energy factor gather harvest island journal kernel ladder method nation observe "
    "pattern quarter reason sample theory union volume weather yield zone because compare describe estimate explain "
    "measure predict"
).split()
FEEDBACK = (
    "Well argued.",
    "Show your working.",
    "Units are missing.",
    "Much better than last time.",
    "See me about question 3.",
)


@dataclass(frozen=True, kw_only=True)
class Assessment:
    id: str
    group: int
    questions: int
    weight: float
    due: datetime


@dataclass(frozen=True, kw_only=True)
class Following:
    """What comes of an assessment for one student: handing in, and a grade; or an excuse."""

    verb: str
    student: int
    assessment: Assessment


class Classroom(Sample):
    def __init__(self, *, anchor: datetime, size: int, seed: int = 7) -> None:
        super().__init__(anchor=anchor, size=size, seed=seed)
        self.begin = anchor - timedelta(days=DAYS)
        self.class_count = min(12, max(3, size // 2_500))
        dice = self.dice("people")
        seats = min(25, max(4, size // 1_200)) * self.class_count
        self.students = people(dice, max(CLASSES_A_STUDENT + 1, seats // CLASSES_A_STUDENT))
        self.teachers = people(dice, self.class_count)
        self.rolls: list[list[int]] = [[] for _ in range(self.class_count)]
        for number in range(len(self.students)):
            for group in dice.sample(range(self.class_count), CLASSES_A_STUDENT):
                self.rolls[group].append(number)
        self.ability = [dice.gauss(64, 13) for _ in self.students]
        self._versions: dict[str, int] = {}

    @property
    def summary(self) -> str:
        who = f"{len(self.students)} students and {len(self.teachers)} teachers"
        return f"{who} in {self.class_count} classes, 13 months of lessons"

    def commands(self) -> Iterator[Command]:
        yield {"do": "put_group", "id": SCHOOL, "kind": "school", "name": "Riverside School", "time_zone": ZONE.key}
        for course in COURSES:
            yield {"do": "put_group", "id": f"course-{course}", "kind": "course", "name": course.title(), "parent": SCHOOL}
        for group in range(self.class_count):
            course = COURSES[group % len(COURSES)]
            yield {
                "do": "put_group",
                "id": self._class(group),
                "kind": "class",
                "name": f"{course.title()} {group // len(COURSES) + 1}",
                "parent": f"course-{course}",
                "attributes": {"starts": self.begin.isoformat(), "days": DAYS},
            }
        for number, name in enumerate(self.teachers):
            yield {"do": "put_actor", "id": self._teacher(number), "name": name, "kind": "teacher"}
            yield self._member(number, self._teacher(number), "teacher")
        for number, name in enumerate(self.students):
            yield {"do": "put_actor", "id": self._student(number), "name": name, "kind": "student"}
        for group, roll in enumerate(self.rolls):
            for student in roll:
                yield self._member(group, self._student(student), "student")

    def activities(self) -> Iterator[Activity]:
        dice = self.dice("lessons")
        numbers, order = count(1), count()
        later: list[tuple[datetime, int, Following]] = []
        enrolling = [(group, student) for group, roll in enumerate(self.rolls) for student in roll][: self.size // 10]
        self._versions.clear()
        for day, budget in days_of(self.begin.date(), self.anchor.date(), self.size, WEEK, seasons=-0.3):
            today: list[Activity] = []
            while enrolling and len(today) < budget:
                group, student = enrolling.pop()
                moment = at(dice, day, 9.5, 0.8, ZONE, self.anchor)
                today.append(self._enrol(group, student, moment, f"l-{next(numbers):06}"))
            end = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
            while later and later[0][0] < end and len(today) < budget * FOLLOWING_SHARE:
                moment, _, following = heapq.heappop(later)
                today.append(self._follow(dice, following, moment, f"l-{next(numbers):06}"))
                for when, what in self._after(dice, following, moment):
                    heapq.heappush(later, (when, next(order), what))
            while len(today) < budget:
                group = dice.randrange(self.class_count)
                verb = dice.choices(tuple(MIX), tuple(MIX.values()))[0]
                hour, spread = (10.5, 2.0) if verb in ("assign", "publish", "revise") else (18.5, 2.3)
                moment = at(dice, day, hour, spread, ZONE, self.anchor)
                key = f"l-{next(numbers):06}"
                if verb == "assign":
                    activity, given = self._assign(dice, group, moment, key)
                    for when, what in given:
                        heapq.heappush(later, (when, next(order), what))
                else:
                    activity = self._lesson(dice, verb, group, moment, key)
                today.append(activity)
            today.sort(key=lambda one: str(one["occurred_at"]))
            yield from today

    def live(self, dice: Random, now: datetime) -> Activity:
        verbs = tuple(verb for verb in MIX if verb not in ("assign", "revise"))
        verb = dice.choices(verbs, [MIX[verb] for verb in verbs])[0]
        return self._lesson(dice, verb, dice.randrange(self.class_count), now, f"live-{dice.getrandbits(60):015x}")

    def tour(self) -> tuple[Call, ...]:
        group, student = self._class(0), self._student(self.rolls[0][0])
        grade = {
            "actor": student,
            "verb": "grade",
            "group": group,
            "object": {"kind": "assessment", "id": "try-1"},
            "measures": {"score": 72.5, "weight": 10},
            "data": {"feedback": "Show your working."},
        }
        body = json.dumps({"activities": [grade]})
        return (
            Call(shows="Grade a student, and wait until it is counted", path="/v1/activities", body=body),
            Call(shows="The class's timeline, newest first", path=f"/v1/groups/{group}/feed?limit=3"),
            Call(shows="The class's grades, over all time", path=f"/v1/rollups/class_grades?group={group}&bucket=all"),
            Call(shows="What a student has been given and not handed in", path=f"/v1/actors/{student}/pending?limit=3"),
            Call(
                shows="The grade book: weighted, and who passes",
                path=f"/v1/reports/grade_book_totals?group={group}&limit=3",
            ),
            Call(shows="What is open in the class, student by student", path=f"/v1/reports/open_work?group={group}&limit=3"),
        )

    # ── What teachers do ───────────────────────────────────────────────────────────────────────────────────────────

    def _assign(
        self, dice: Random, group: int, moment: datetime, key: str
    ) -> tuple[Activity, list[tuple[datetime, Following]]]:
        due = (moment + timedelta(days=dice.choice((7, 10, 14)))).replace(hour=22, minute=59, second=0)
        questions = dice.randint(6, 44)
        weight = float(dice.choice((5, 10, 15, 25)))
        assessment = Assessment(id=f"assessment-{key}", group=group, questions=questions, weight=weight, due=due)
        activity = self._said(self._teacher(group), "assign", group, moment, key, "assessment", assessment.id)
        activity["measures"] = {"weight": weight}
        activity["data"] = {"due": due.isoformat(), "purpose": dice.choice(PURPOSES)}
        activity["content"] = {
            "title": f"{COURSES[group % len(COURSES)].title()}: {_sentence(dice, 4)}",
            "instructions": _sentence(dice, 40),
            "questions": [self._question(dice, number) for number in range(1, questions + 1)],
        }
        given = []
        for student in self.rolls[group]:
            luck = dice.random()
            if luck < 0.04:
                given.append((due - timedelta(days=1), Following(verb="excuse", student=student, assessment=assessment)))
            elif luck < 0.94:
                handed = due - timedelta(hours=dice.expovariate(1 / 40) - (12 if luck > 0.86 else 0))
                when = max(handed, moment + timedelta(hours=2))
                given.append((when, Following(verb="submit", student=student, assessment=assessment)))
        return activity, [(when, what) for when, what in given if when < self.anchor]

    def _question(self, dice: Random, number: int) -> dict[str, Any]:
        prompt = _sentence(dice, dice.randint(12, 45))
        question: dict[str, Any] = {"number": number, "points": dice.randint(1, 8), "prompt": prompt}
        if dice.random() < 0.5:
            question["choices"] = [_sentence(dice, 5) for _ in range(4)]
            question["answer"] = dice.randrange(4)
        return question

    def _lesson(self, dice: Random, verb: str, group: int, moment: datetime, key: str) -> Activity:
        if verb == "publish":
            activity = self._said(self._teacher(group), verb, group, moment, key, "material", f"material-{key}")
            activity["data"] = {"kind": dice.choice(("text", "video", "quiz", "link"))}
            return activity
        if verb == "revise":
            document = f"document-{group:02}-{dice.randrange(4)}"
            version = self._versions[document] = self._versions.get(document, 0) + 1
            # Each version is the one before with one chapter changed, so that a difference is small.
            chapters = [self._chapter(self.dice(f"{document}/{number}")) for number in range(8)]
            chapters[version % 8]["text"] = _sentence(dice, 90)
            activity = self._said(self._teacher(group), verb, group, moment, key, "document", document)
            activity["content"] = {"chapters": chapters}
            activity["data"] = {"version": version}
            activity["measures"] = {"bytes": len(json.dumps(activity["content"]))}
            return activity
        student = self._student(dice.choice(self.rolls[group]))
        video = dice.randrange(12)
        length = LENGTHS_S[video % len(LENGTHS_S)]
        position = length if verb == "complete" else round(length * dice.random(), 3)
        activity = self._said(student, verb, group, moment, key, "video", f"video-{group:02}-{video:02}")
        activity["measures"] = {
            "open": {"length_s": length},
            "play": {"position_s": position},
        }.get(verb, {"position_s": position, "length_s": length, "progress": round(position / length, 3)})
        activity["visibility"] = "private" if dice.random() < 0.3 else "group"
        return activity

    def _chapter(self, dice: Random) -> dict[str, str]:
        return {"title": _sentence(dice, 4), "text": _sentence(dice, 90)}

    # ── What follows ───────────────────────────────────────────────────────────────────────────────────────────────

    def _follow(self, dice: Random, what: Following, moment: datetime, key: str) -> Activity:
        assessment = what.assessment
        student = self._student(what.student)
        moment = moment.replace(microsecond=0)
        activity = self._said(student, what.verb, assessment.group, moment, key, "assessment", assessment.id)
        match what.verb:
            case "submit":
                activity["data"] = {"banked": False}
                activity["content"] = {
                    "answers": [
                        {"question": number, "answer": _sentence(dice, dice.randint(1, 20))}
                        for number in range(1, assessment.questions + 1)
                    ]
                }
            case "grade":
                score = min(100.0, max(0.0, dice.gauss(self.ability[what.student], 9)))
                activity["measures"] = {"score": round(score, 1), "weight": assessment.weight}
                activity["data"] = {"feedback": dice.choice(FEEDBACK)}
            case _:
                activity["data"] = {"reason": "illness"}
        return activity

    def _after(self, dice: Random, what: Following, moment: datetime) -> Iterator[tuple[datetime, Following]]:
        """A grade some days after handing in, and for some a second one after a talk."""
        again = what.verb == "grade" and dice.random() < 0.05
        if what.verb == "submit" or again:
            when = max(moment, what.assessment.due) + timedelta(days=dice.uniform(1, 9))
            if when < self.anchor:
                yield when, Following(verb="grade", student=what.student, assessment=what.assessment)

    def _enrol(self, group: int, student: int, moment: datetime, key: str) -> Activity:
        name = self._student(student)
        return self._said(name, "enrol", group, moment, key, "enrolment", f"{self._class(group)}/{name}")

    def _said(self, actor: str, verb: str, group: int, moment: datetime, key: str, kind: str, object_id: str) -> Activity:
        return {
            "key": key,
            "occurred_at": moment.isoformat(),
            "actor": actor,
            "verb": verb,
            "group": self._class(group),
            "object": {"kind": kind, "id": object_id},
            "visibility": "group",
            "source": "classroom",
        }

    def _member(self, group: int, actor: str, role: str) -> dict[str, Any]:
        return {"do": "put_member", "group": self._class(group), "actor": actor, "role": role, "since": "always"}

    def _class(self, group: int) -> str:
        return f"class-{group + 1:02}"

    def _teacher(self, number: int) -> str:
        return f"teacher-{number + 1:02}"

    def _student(self, number: int) -> str:
        return f"student-{number + 1:03}"


def _sentence(dice: Random, words: int) -> str:
    return " ".join(dice.choices(WORDS, k=words))
