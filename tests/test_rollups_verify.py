"""Verify recomputes goals from the activities, and names each that its reader is answered otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from milepost.model import Goal, Model, Value
from milepost.rollups import goals, verify_goals
from milepost.rollups.verify import Verification, verify
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = datetime.now(UTC)
COUNT = Value(function="count", text="count")


async def verified(api: Api, **more: Any) -> Verification:
    owner = await api.services.db.owner()
    async with owner:
        row = await (await owner.execute(b"SELECT name FROM milepost.tenant WHERE tenant_id = %s", (api.tenant_id,))).fetchone()
    assert row is not None
    return await verify(api.services.db, tenant=row[0], **more)


async def damage(api: Api, statement: bytes) -> None:
    async with await api.services.db.owner() as owner:
        changed = await owner.execute(statement, {"tenant_id": api.tenant_id})
        assert changed.rowcount > 0


def goals_of(outcome: Verification, name: str) -> list[dict[str, Any]]:
    return [item for item in outcome.items if (item["kind"], item["name"]) == ("goal", name)]


@pytest_asyncio.fixture(loop_scope="module")
async def busy(api: Api) -> Api:
    """Two teams in a league with targets of their own, in zones of their own, and three runners: now and a week ago."""
    await api("PUT", "/v1/groups/league-1", json={"kind": "league", "attributes": {"goal_m": 100_000}})
    for team, zone, target in (("team-1", "Pacific/Auckland", 20_000), ("team-2", "America/St_Johns", None)):
        attributes = {"goal_m": target} if target else {}
        body = {"kind": "team", "parent": "league-1", "time_zone": zone, "attributes": attributes}
        assert (await api("PUT", f"/v1/groups/{team}", json=body)).status_code == 200
    await api.send(
        *(
            run_of(actor=f"user-{runner}", group=f"team-{1 + runner % 2}", measures={"distance_m": 1000.1 * (1 + runner) * (1 + weeks)},
                   occurred_at=(NOW - timedelta(days=7 * weeks)).isoformat())
            for runner in range(3) for weeks in range(2)
        )
    )  # fmt: skip
    return api


async def test_goals_equal_the_activities(busy: Api) -> None:
    """Each goal of each group and actor is compared, in any week, and none differs."""
    for weeks in range(3):
        outcome = await verified(busy, now=NOW - timedelta(days=7 * weeks))
        assert (outcome.differences, outcome.items) == (0, [])
    statements = sum(len(part.verify) for part in busy.services.models.current.compiled.derived())
    # 3 groups have the one goal, 3 actors the two others.
    assert outcome.checked >= statements + 3 + 2 * 3


async def test_goals_are_read_in_pages(busy: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, a page of them is held at once."""
    monkeypatch.setattr(verify_goals, "PAGE", 2)
    whole = await verified(busy, now=NOW)
    monkeypatch.undo()
    assert (whole.differences, whole.checked) == (0, (await verified(busy, now=NOW)).checked)


async def test_loads_beside_it_are_no_differences(busy: Api) -> None:
    """While activities come in and a team moves between zones, what is compared is of one moment."""
    sending = True

    async def send() -> None:
        nonlocal sending
        for number in range(15):
            runs = (run_of(actor=f"user-{one}", measures={"distance_m": 10}, occurred_at=NOW.isoformat()) for one in range(20))
            await busy.send(*runs)
            zone = ("Asia/Kolkata", "Pacific/Auckland")[number % 2]
            assert (await busy("PUT", "/v1/groups/team-1", json={"time_zone": zone})).status_code == 200
        sending = False

    async def look() -> int:
        times = 0
        while sending:
            assert (await verified(busy)).items == []
            times += 1
        return times

    _, times = await asyncio.gather(send(), look())
    assert times > 1


async def test_a_damaged_row_is_a_goal_that_differs(busy: Api) -> None:
    """A wrong row of a rollup is named itself, and so is the goal that is read from it."""
    await damage(
        busy,
        b"UPDATE milepost.rollup_team_distance SET sum_distance_m = sum_distance_m + 120 WHERE tenant_id = %(tenant_id)s"
        b" AND per = 'all' AND group_id = (SELECT group_id FROM milepost.groups"
        b" WHERE tenant_id = %(tenant_id)s AND external_id = 'team-1')",
    )
    outcome = await verified(busy)
    assert outcome.differences == 3  # two goals are read from it
    (goal,) = goals_of(outcome, "team_goal")
    assert {item["kind"] for item in outcome.items} == {"rollup", "goal"}
    assert list(goal["keys"]) == ["group_id"]
    assert goal["recomputed"] == {
        "target": Decimal(20_000),
        "value": Decimal("12001.2"),
        "percent": Decimal("60.01"),
        "remaining": Decimal("7998.8"),
    }
    assert goal["stored"] == {
        "target": Decimal(20_000),
        "value": Decimal("12013.2"),
        "percent": Decimal("60.07"),
        "remaining": Decimal("7986.8"),
    }
    served = await busy.get("/v1/goals/team_goal", params={"group": "team-1"})
    assert {name: Decimal(str(served[name])) for name in goal["stored"]} == goal["stored"]


async def test_a_row_that_nothing_stands_behind_is_a_goal_that_differs(busy: Api) -> None:
    """A goal with a value where no activity counts is found, and one without where some do."""
    await damage(
        busy,
        b"UPDATE milepost.rollup_athlete SET bucket = bucket - interval '7 days' WHERE tenant_id = %(tenant_id)s"
        b" AND per = 'week' AND bucket = (SELECT min(bucket) FROM milepost.rollup_athlete"
        b" WHERE tenant_id = %(tenant_id)s AND per = 'week')",
    )
    nothing, there = {Decimal(0)}, {Decimal("2000.2"), Decimal("4000.4"), Decimal("6000.6")}
    for weeks, stored, recomputed in ((1, nothing, there), (2, there, nothing)):
        wrong = goals_of(await verified(busy, now=NOW - timedelta(days=7 * weeks)), "week_goal")
        assert len(wrong) == 3
        assert {item["stored"]["value"] for item in wrong} == stored
        assert {item["recomputed"]["value"] for item in wrong} == recomputed


def another_bucket(model: Model, goal: Goal, local: datetime) -> tuple[str, datetime, datetime]:
    per, first, last = SPAN(model, goal, local)
    return (per, first, last) if per == "all" else (per, first - timedelta(days=7), last)


SPAN = goals.span
READER_FAULTS: dict[str, tuple[str, Any, str, str]] = {
    "another bucket": ("span", another_bucket, "week_goal", "value"),
    "another value": ("reading_of", lambda *_: "t.n", "team_goal", "value"),
    "a rounded percentage": ("HUNDREDTH", Decimal(1), "team_goal", "percent"),
    "more digits lost": ("EXACT", goals.EXACT.copy(), "team_goal", "remaining"),
}
READER_FAULTS["more digits lost"][1].prec = 4


@pytest.mark.parametrize("fault", READER_FAULTS)
async def test_a_fault_of_the_reader_alone_is_found(busy: Api, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Rollups that are right do not vouch for a goal that is read wrongly."""
    name, wrong, goal, number = READER_FAULTS[fault]
    monkeypatch.setattr(goals, name, wrong)
    outcome = await verified(busy, now=NOW)
    assert {item["kind"] for item in outcome.items} == {"goal"}
    found = goals_of(outcome, goal)
    assert found
    assert any(item["stored"][number] != item["recomputed"][number] for item in found)


async def test_another_target_is_found(busy: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that takes the wrong attribute for the target is wrong, whatever the value."""
    queries: Any = goals._queries
    texts = {name: queries[name] for name in queries} | {"groups": queries.groups.replace("%(attribute)s", "'goal_km'")}
    monkeypatch.setattr(goals, "_queries", SimpleNamespace(**texts))
    found = goals_of(await verified(busy, now=NOW), "team_goal")
    assert {item["recomputed"]["target"] for item in found} == {Decimal(100_000), Decimal(20_000)}
    assert {item["stored"]["target"] for item in found} == {None}


@pytest.mark.parametrize(
    ("target", "value", "percent", "remaining"),
    [
        ("1e-30", "1e25", "1e57", "0"),
        ("3", "2", "66.67", "1"),
        ("20000", "1", "0.01", "19999"),  # a half is rounded up
        ("20000", "-1", "-0.01", "20001"),
        ("40000", "1", "0", "39999"),
        ("12345678901234567890.5", "0.1", "0", "12345678901234567890.4"),
    ],
)
async def test_percentages_are_rounded_once(target: str, value: str, percent: str, remaining: str) -> None:
    """The reader's decimals and verify's fractions agree, also where numbers are very large or small."""
    made = goals.progress(Decimal(target), Decimal(value), now=NOW, elapsed=None)
    again = verify_goals._recomputed(Goal(name="g", rollup="r", value=COUNT, target=target), Decimal(value), target)
    assert verify_goals._numbers(made) == again
    assert (made.percent, made.remaining) == (Decimal(percent), Decimal(remaining))


async def test_a_target_of_no_sense_is_none() -> None:
    """An attribute that no kind declares may be any text; no target follows from one that no percentage can be of."""
    number: Callable[[Any], Decimal | None] = goals.number
    assert [number(text) for text in ("1e-31", "1e999999", "nan", "soon", "true", None)] == [None] * 6
    assert number("12.5") == Decimal("12.5")
