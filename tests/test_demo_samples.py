"""The samples: what their models take, as large as asked for, the same every time, and never in the future."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import pytest

from milepost.access._commands import parse_command
from milepost.demo import SYSTEMS, model_text
from milepost.demo.sample import Sample
from milepost.demo.systems import sample_of
from milepost.intake.accept import Acceptor
from milepost.model import Model, parse_model

ANCHOR = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
SIZE = 3_000


@pytest.fixture(scope="module", params=SYSTEMS)
def system(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(system: str) -> Model:
    return parse_model(model_text(system))


@pytest.fixture
def sample(system: str) -> Sample:
    return sample_of(system, anchor=ANCHOR, size=SIZE)


def rejected(model: Model, *bodies: bytes) -> list[object]:
    acceptor = Acceptor(model, 1)
    return [one for body in bodies for one in acceptor.accept(1, body, ANCHOR).rejected]


def test_the_model_takes_every_activity(sample: Sample, model: Model) -> None:
    """None is rejected: not of the sample, not of the trickle, not of the tour."""
    assert rejected(model, msgspec.json.encode({"activities": list(sample.activities())})) == []
    dice = Random(1)
    live = [sample.live(dice, ANCHOR) for _ in range(500)]
    assert rejected(model, msgspec.json.encode({"activities": live})) == []
    assert len({one["key"] for one in live}) == len(live)
    assert rejected(model, *((call.body or "").encode() for call in sample.tour() if call.body)) == []


def test_the_model_takes_every_command(sample: Sample, model: Model) -> None:
    """Groups come after their parents, and members after their groups and actors."""
    known: set[str] = set()
    for command in sample.commands():
        parse_command(command, model=model)
        for name in ("parent", "group", "actor"):
            assert command.get(name) is None or command[name] in known, command
        known.add(command.get("id", ""))


@pytest.mark.parametrize("size", [1, 50, SIZE])
def test_it_is_as_large_as_asked_for(system: str, size: int) -> None:
    """Exactly so many activities, of which nearly all are different ones."""
    activities = list(sample_of(system, anchor=ANCHOR, size=size).activities())
    assert len(activities) == size
    assert len({one["key"] for one in activities}) >= size * 0.95


def test_it_is_the_same_every_time(system: str, sample: Sample) -> None:
    """So that loading it can be broken off and gone on with."""
    again = sample_of(system, anchor=ANCHOR, size=SIZE)
    assert list(sample.commands()) == list(again.commands())
    assert list(sample.activities()) == list(again.activities())


def test_times_are_plausible(sample: Sample) -> None:
    """Nothing lies after the anchor; days come in order; more happens by day than by night."""
    moments = [datetime.fromisoformat(one["occurred_at"]) for one in sample.activities()]
    assert max(moments) <= ANCHOR
    assert min(moments) < ANCHOR - timedelta(days=50)
    backwards = [earlier - later for earlier, later in itertools.pairwise(moments) if later < earlier]
    assert max(backwards, default=timedelta()) < timedelta(days=3)
    assert len({moment.date() for moment in moments}) > 50


def test_fitness_has_what_boards_and_privacy_need() -> None:
    """Some workouts are private, some are sent twice, and teams come near their goals."""
    sample = sample_of("fitness", anchor=ANCHOR, size=20_000)
    activities = list(sample.activities())
    seen = Counter(one["visibility"] for one in activities)
    assert 0.05 < seen["private"] / len(activities) < 0.15
    assert len({one["key"] for one in activities}) < len(activities)
    goals = {one["id"]: one["attributes"]["goal_m"] for one in sample.commands() if one.get("kind") == "team"}
    done: Counter[str] = Counter()
    for one in activities:
        if one["verb"] != "train":
            done[one["group"]] += one["measures"]["distance_m"]
    shares = sorted(done[team] / goal for team, goal in goals.items())
    assert shares[0] < 1 < shares[-1]
    assert shares[0] > 0.3


def test_classroom_has_contents_worth_keeping_apart() -> None:
    """Assessments have 2 to 20 kB of content, are handed in, and graded after that."""
    activities = list(sample_of("classroom", anchor=ANCHOR, size=10_000).activities())
    sizes = [len(msgspec.json.encode(one["content"])) for one in activities if one["verb"] == "assign"]
    assert 1_500 < min(sizes) < 4_000 < max(sizes) < 20_480
    handed = {(one["actor"], one["object"]["id"]): one["occurred_at"] for one in activities if one["verb"] == "submit"}
    grades = [one for one in activities if one["verb"] == "grade"]
    assert len(grades) > 1_000
    assert all(handed[one["actor"], one["object"]["id"]] < one["occurred_at"] for one in grades)


def test_research_settles_its_questions() -> None:
    """A question is settled after it was asked; some never are."""
    activities = list(sample_of("research", anchor=ANCHOR, size=10_000).activities())
    asked = {one["object"]["id"]: one["occurred_at"] for one in activities if one["verb"] == "ask"}
    settled = {one["object"]["id"]: one["occurred_at"] for one in activities if one["verb"] == "resolve"}
    assert 0.5 < len(settled) / len(asked) < 0.95
    assert all(asked[question] < moment for question, moment in settled.items())


def test_audit_has_an_attack_to_find() -> None:
    """In one night far more sign-ins fail than on any other day."""
    activities = list(sample_of("audit", anchor=ANCHOR, size=10_000).activities())
    failed = [one for one in activities if one["verb"] == "sign_in" and one["status"] == "error"]
    (day, most), (_, second), *_ = Counter(one["occurred_at"][:10] for one in failed).most_common()
    assert most > 10 * second, day
