"""Rollups, goals, latest tables and pairs over HTTP: keys, buckets, values, pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from milepost.rollups.goals import progress
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


def day_of(number: int, **fields: Any) -> dict[str, Any]:
    """A run on the number-th of March 2026."""
    return run_of(**({"occurred_at": f"2026-03-{number:02}T23:30:00Z", "measures": {"distance_m": 1000.5}} | fields))


async def rows(api: Api, name: str = "team_distance", **parameters: Any) -> list[Any]:
    return await api.all_pages(f"/v1/rollups/{name}", **parameters)


async def test_values(api: Api) -> None:
    """Values stand under their text in the model, exact and in the user's units."""
    await api.send(day_of(2), day_of(2, actor="user-2", measures={"distance_m": 6000.2}), day_of(2, measures=None))
    assert await rows(api, group="team-1") == [
        {
            "bucket": "2026-03-02",
            "keys": {"group": "team-1"},
            "values": {
                "count": 3,
                "sum(distance_m)": 7000.7,
                "avg(distance_m)": 3500.35,
                "max(distance_m)": 6000.2,
                "distinct(actor)": 2,
                "last_at": "2026-03-02T23:30:00Z",
                "share(distance_m >= 5000)": 0.5,
            },
        }
    ]
    answer = await api("GET", "/v1/rollups/team_distance", params={"group": "team-1"})
    assert '"sum(distance_m)":7000.7' in answer.text


async def test_buckets(api: Api) -> None:
    """Buckets are the group's local time; the newest comes first, in pages."""
    await api("PUT", "/v1/groups/team-1", json={"kind": "team", "time_zone": "Europe/Berlin"})
    await api.send(*(day_of(n) for n in (1, 2, 8, 31)))

    async def buckets(**parameters: Any) -> list[Any]:
        return [row["bucket"] for row in await rows(api, group="team-1", **parameters)]

    days = ["2026-04-01", "2026-03-09", "2026-03-03", "2026-03-02"]
    assert await buckets() == days
    assert await buckets(limit=1) == days
    assert await buckets(**{"from": "2026-03-03", "to": "2026-04-01"}) == days[1:3]
    assert await buckets(**{"from": "2026-03-03T00:00:00+01:00"}) == days[:3]
    assert await buckets(bucket="week") == ["2026-03-30", "2026-03-09", "2026-03-02"]
    assert await buckets(bucket="month") == ["2026-04-01", "2026-03-01"]
    assert await buckets(bucket="hour", limit=2) == [
        "2026-04-01T01:00",
        "2026-03-09T00:00",
        "2026-03-03T00:00",
        "2026-03-02T00:00",
    ]
    assert await buckets(bucket="hour", to="2026-03-02T00:30") == ["2026-03-02T00:00"]
    assert await buckets(bucket="spring") == ["spring"]
    assert await buckets(bucket="all") == [None]


async def test_keys(api: Api) -> None:
    """Rows are filtered by any of the rollup's keys, and show all of them by the app's own ids."""
    await api.send(
        day_of(1, data={"device": "fenix", "slope": 1.5}, object={"kind": "workout", "id": "w/1"}),
        day_of(2, object={"kind": "workout", "id": "w/1"}),
        day_of(2, actor="user-2", group="team-2"),
    )
    found = await rows(api, "devices", bucket="all", limit=1)
    one = {"verb": "run", "data.device": "fenix", "data.slope": 1.5, "object": {"kind": "workout", "id": "w/1"}}
    assert [row["keys"] for row in found if row["keys"]["data.device"]] == [one]
    assert len(found) == 2
    for filters in ({"data.device": "fenix"}, {"data.slope": "1.50"}, {"verb": "run", "data.slope": "1.5"}):
        assert [row["keys"] for row in await rows(api, "devices", bucket="all", **filters)] == [one]
    assert len(await rows(api, "devices", bucket="all", object="workout/w/1")) == 2
    assert [row["keys"] for row in await rows(api, "members", actor="user-2")] == [{"group": "team-2", "actor": "user-2"}]
    assert [row["keys"] for row in await rows(api, "members", group="team-1", limit=1)] == [
        {"group": "team-1", "actor": "user-1"}
    ] * 2
    assert len(await rows(api, "members", limit=1)) == 3
    assert await rows(api, "whole", bucket="all") == [{"bucket": None, "keys": {}, "values": {"count": 3}}]
    assert await rows(api, "members", group="none") == []


async def test_what_is_taken_back_is_not_shown(api: Api) -> None:
    """A row whose activities were all retracted is gone."""
    taken = await api.send(day_of(1), day_of(2))
    await api("DELETE", f"/v1/activities/{taken['ids'][0]}")
    assert [row["bucket"] for row in await rows(api, group="team-1")] == ["2026-03-02"]


@pytest.mark.parametrize(
    ("path", "status", "pointer", "said"),
    [
        ("rollups/team_distanse", 404, None, "The model declares no rollup 'team_distanse'. Did you mean team_distance?"),
        ("rollups/team_distance?actor=a", 400, "/actor", "is not a key here: they are group"),
        ("rollups/team_distance?data.device=a", 400, "/data.device", "is not a key here: they are group"),
        ("rollups/members?bucket=week", 400, "/bucket", "'week' is not kept here: day, all are"),
        ("rollups/members?bucket=all&from=2026-03-01", 400, "/bucket", "all has no from and to: it is one bucket"),
        ("rollups/members?from=soon", 400, "/from", "'soon' is not a local date or time, such as 2026-03-01 or 2026-03-01T13:00"),
        ("rollups/devices?bucket=all&data.slope=steep", 400, "/data.slope", "'steep' is not of the type decimal"),
        ("rollups/members?cursor=x", 400, "/cursor",
         "is not a cursor of this list: cursors belong to one key's tenant, one route and its filters"),
        ("goals/none", 404, None, "The model declares no goal 'none'."),
        ("goals/team_goal", 400, "/group", "is required: team_goal has one for each group"),
        ("goals/team_goal?group=none", 404, None, "There is no such group or actor."),
        ("goals/team_goal?actor=a&group=b", 400, "/actor", "is not a key here: they are group"),
        ("latest/none", 404, None, "The model declares no latest table 'none'."),
        ("pairs/tickets", 400, "/object", "is required, or a group"),
        ("pairs/tickets?object=x", 400, "/object", "must be KIND/ID, such as workout/w-55"),
    ],
)  # fmt: skip
async def test_wrong_questions(api: Api, path: str, status: int, pointer: str | None, said: str) -> None:
    """What the model does not declare is not there, or named as wrong."""
    problem = (await api("GET", f"/v1/{path}")).json()
    assert problem["status"] == status
    if pointer is None:
        assert problem["detail"] == said
    else:
        assert problem["errors"] == [{"pointer": pointer, "detail": said}]


async def test_a_rollup_that_is_being_filled(api: Api) -> None:
    """While a rollup is filled from history it answers 503 with Retry-After, not wrong numbers; so does its goal."""
    await api.send(day_of(1))
    await api("PUT", "/v1/groups/team-1", json={"kind": "team", "attributes": {"goal_m": 1000}})
    owner = await api.services.db.owner()
    try:
        await owner.execute(
            b"INSERT INTO milepost.filling (tenant_id, name, filled_to) VALUES (%s, 'rollup_team_distance', %s)",
            (api.tenant_id, "00000000-0000-0000-0000-000000000000"),
        )
        for path in ("/v1/rollups/team_distance", "/v1/goals/team_goal?group=team-1"):
            answer = await api("GET", path)
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "5"
            assert answer.json()["type"] == "/problems/being-filled"
            assert "team_distance is being filled" in answer.json()["detail"]
        assert (await api("GET", "/v1/rollups/members")).status_code == 200
    finally:
        await owner.execute(b"DELETE FROM milepost.filling WHERE tenant_id = %s", (api.tenant_id,))
        await owner.close()


async def test_goal_of_a_group(api: Api) -> None:
    """A goal's progress: value, percent, what remains, and when it is reached at this pace."""
    now = datetime.now(UTC)
    yesterday = (now - timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    await api.send(run_of(occurred_at=yesterday.isoformat(), measures={"distance_m": 2500.5}))
    goal = await api.get("/v1/goals/team_goal", params={"group": "team-1"})
    assert goal == {"target": None, "value": 2500.5, "percent": None, "remaining": None, "projected_at": None}
    await api("PUT", "/v1/groups/team-1", json={"kind": "team", "attributes": {"goal_m": 10_000}})
    goal = await api.get("/v1/goals/team_goal", params={"group": "team-1"})
    projected = datetime.fromisoformat(goal.pop("projected_at"))
    assert goal == {"target": 10_000, "value": 2500.5, "percent": 25.01, "remaining": 7499.5}
    expected = now + (now - yesterday) * 7499.5 / 2500.5
    assert abs(projected - expected) < timedelta(seconds=60)
    await api("PUT", "/v1/groups/team-1", json={"attributes": {"goal_m": 2000}})
    goal = await api.get("/v1/goals/team_goal", params={"group": "team-1"})
    assert goal == {"target": 2000, "value": 2500.5, "percent": 125.03, "remaining": 0, "projected_at": None}


async def test_goal_of_a_week(api: Api) -> None:
    """A goal per week counts this week alone; an average has no pace."""
    now = datetime.now(UTC)
    await api.send(
        run_of(occurred_at=now.isoformat(), measures={"distance_m": 5000}),
        run_of(occurred_at=(now - timedelta(days=7)).isoformat(), measures={"distance_m": 7000}),
    )
    goal = await api.get("/v1/goals/week_goal", params={"actor": "user-1"})
    assert (goal["target"], goal["value"], goal["percent"], goal["remaining"]) == (20_000, 5000, 25, 15_000)
    goal = await api.get("/v1/goals/mean_goal", params={"actor": "user-1"})
    assert (goal["value"], goal["percent"], goal["projected_at"]) == (6000, 120, None)


async def test_goal_without_anything(api: Api) -> None:
    """Where nothing counted yet, a sum is 0 and an average is not known."""
    await api("PUT", "/v1/actors/user-1", json={})
    assert await api.get("/v1/goals/week_goal", params={"actor": "user-1"}) == {
        "target": 20_000,
        "value": 0,
        "percent": 0,
        "remaining": 20_000,
        "projected_at": None,
    }
    goal = await api.get("/v1/goals/mean_goal", params={"actor": "user-1"})
    assert goal == {"target": 5000, "value": None, "percent": None, "remaining": None, "projected_at": None}


async def test_projection() -> None:
    """As much again per second as since the first day that counted; no date where there is no pace, or none can hold it."""
    now = datetime(2026, 3, 11, tzinfo=UTC)

    def projected(target: str, value: str, days: float | None) -> datetime | None:
        elapsed = None if days is None else timedelta(days=days)
        return progress(Decimal(target), Decimal(value), now=now, elapsed=elapsed).projected_at

    assert projected("100", "50", 10) == now + timedelta(days=10)
    assert projected("100", "25", 1) == now + timedelta(days=3)
    for target, value, days in (("100", "100", 10), ("100", "50", None), ("100", "50", 0), ("100", "0", 10), ("100", "50", -1)):
        assert projected(target, value, days) is None
    assert projected("1000000000", "0.001", 10) is None


async def test_latest(api: Api) -> None:
    """One row a key with the newest activity; a correction of it shows at once; filtered by keys, in pages."""
    grades = [
        {"actor": f"student-{student}", "verb": "grade", "group": f"class-{student % 2}", "key": f"{student}-{paper}-{time}",
         "object": {"kind": "assessment", "id": f"a/{paper}"}, "measures": {"score": student * 10 + paper + time / 4},
         "occurred_at": f"2026-03-0{1 + time}T08:00:00Z"}
        for student in range(3) for paper in range(2) for time in range(2)
    ]  # fmt: skip
    taken = await api.send(*grades)
    items = await api.all_pages("/v1/latest/grade_book", limit=2)
    assert len(items) == 6
    one = await api.all_pages("/v1/latest/grade_book", group="class-1", object="assessment/a/1", actor="student-1")
    identity = taken["ids"][next(i for i, grade in enumerate(grades) if grade["key"] == "1-1-1")]
    keys = {"group": "class-1", "object": {"kind": "assessment", "id": "a/1"}, "actor": "student-1"}
    assert one == [{"keys": keys, "id": identity, "occurred_at": "2026-03-02T08:00:00Z", "values": {"score": 11.25}}]
    assert len(await api.all_pages("/v1/latest/grade_book", group="class-0", limit=1)) == 4
    assert len(await api.all_pages("/v1/latest/grade_book", actor="student-2", limit=1)) == 2
    assert await api.all_pages("/v1/latest/grade_book", actor="nobody") == []
    await api("DELETE", f"/v1/activities/{identity}")
    one = await api.all_pages("/v1/latest/grade_book", group="class-1", object="assessment/a/1", actor="student-1")
    assert one[0]["values"] == {"score": 11}


async def test_pairs(api: Api) -> None:
    """What was opened and closed on an object, with the time between; a group's open ones come first."""
    await api.send(
        *(
            {"actor": "user-1", "verb": verb, "group": "team-1", "object": {"kind": "ticket", "id": f"t/{ticket}"},
             "occurred_at": f"2026-03-01T{hour:02}:00:00Z"}
            for ticket, verb, hour in (
                (1, "report", 1), (1, "resolve", 3), (1, "report", 5),
                (2, "report", 2), (2, "resolve", 4),
                (3, "report", 6), (4, "report", 7), (4, "resolve", 8),
            )
        )
    )  # fmt: skip
    first = await api.all_pages("/v1/pairs/tickets", object="ticket/t/1", limit=1)
    assert [(one["opened_at"], one["closed_at"], one["seconds"]) for one in first] == [
        ("2026-03-01T05:00:00Z", None, None),
        ("2026-03-01T01:00:00Z", "2026-03-01T03:00:00Z", 7200),
    ]
    assert (await api.get(f"/v1/activities/{first[1]['closed_id']}"))["verb"] == "resolve"
    for limit in (1, 2, 50):
        of_group = await api.all_pages("/v1/pairs/tickets", group="team-1", limit=limit)
        assert [(one["object"]["id"], one["seconds"]) for one in of_group] == [
            ("t/3", None),
            ("t/1", None),
            ("t/4", 3600),
            ("t/2", 7200),
            ("t/1", 7200),
        ]
    assert await api.all_pages("/v1/pairs/tickets", group="none") == []


async def test_viewers(api: Api) -> None:
    """A viewer is told the numbers of a group that it may read, and its own; what it may not see is not there."""
    await api.send(run_of(), run_of("user-2", group="team-2"))
    for number in (1, 2):
        await api("PUT", f"/v1/groups/team-{number}", json={"kind": "team", "attributes": {"goal_m": 1000}})
        await api("PUT", f"/v1/groups/team-{number}/members/user-{number}", json={"role": "member"})

    async def seen(path: str) -> int:
        answer = await api("GET", f"/v1/{path}", headers={"milepost-viewer": "user-1"})
        return answer.status_code

    for path in (
        "rollups/team_distance?group={group}",
        "rollups/members?group={group}",
        "rollups/athlete?actor={actor}",
        "goals/team_goal?group={group}",
        "goals/week_goal?actor={actor}",
        "latest/grade_book?group={group}",
        "pairs/tickets?group={group}",
    ):
        assert await seen(path.format(group="team-1", actor="user-1")) == 200, path
        assert await seen(path.format(group="team-2", actor="user-2")) == 404, path
    for path in ("rollups/whole", "rollups/team_distance", "latest/grade_book", "pairs/tickets?object=ticket/t-1"):
        assert await seen(path) == 404, path
