"""Milestones: made by the load that reaches them, once; gone while they are not reached; nobody's to change."""

from __future__ import annotations

from typing import Any

import pytest

from milepost.rollups.verify import verify
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


def run(day: int, metres: float, **fields: Any) -> dict[str, Any]:
    return run_of(occurred_at=f"2026-03-{day:02}T08:00:00Z", measures={"distance_m": metres}, key=f"run-{day}", **fields)


async def target(api: Api, metres: int, group: str = "team-1") -> None:
    answer = await api("PUT", f"/v1/groups/{group}", json={"kind": "team", "attributes": {"quest_m": metres}})
    assert answer.status_code == 200, answer.text


async def standing(api: Api, feed: str = "groups/team-1", **request: Any) -> list[Any]:
    """(percent, when) of the milestones in a feed, the oldest first."""
    answer = await api("GET", f"/v1/{feed}/feed", **request)
    items = answer.json().get("items", [])
    found = [(one["data"]["percent"], one["occurred_at"]) for one in items if one["verb"] == "milestone"]
    assert (await verify(api.services.db)).differences == 0
    return sorted(found)


async def test_a_milestone_is_an_activity_of_its_own(api: Api) -> None:
    """At the moment of the run that reached it, in the group's feed, with what was reached; a retry makes no second."""
    await target(api, 1000)
    await api.send(run(1, 400))
    assert await standing(api) == []
    await api.send(run(2, 200))
    await api.send(run(2, 200), run(1, 400))
    assert await standing(api) == [(50, "2026-03-02T08:00:00Z")]
    await api.send(run(3, 5000))
    assert [percent for percent, _ in await standing(api)] == [50, 100]
    (made,) = [one for one in (await api.get("/v1/groups/team-1/feed"))["items"] if one.get("data", {}).get("percent") == 100]
    del made["received_at"], made["id"]
    assert made == {
        "version": 1,
        "occurred_at": "2026-03-03T08:00:00Z",
        "actor": "milepost",
        "verb": "milestone",
        "group": "team-1",
        "visibility": "group",
        "source": "milepost",
        "key": "quest/team-1/0001-01-01T00/100",
        "data": {"goal": "quest", "percent": 100, "value": 5600, "target": 1000},
    }


async def test_it_stands_while_it_is_reached(api: Api) -> None:
    """A retraction, a correction or a higher target takes it away; reaching it again makes it again, once."""
    await target(api, 1000)
    sent = await api.send(run(1, 600), run(2, 500))
    assert [percent for percent, _ in await standing(api)] == [50, 100]
    await api("DELETE", f"/v1/activities/{sent['ids'][1]}")
    assert [percent for percent, _ in await standing(api)] == [50]
    await api("PATCH", f"/v1/activities/{sent['ids'][0]}", json={"measures": {"distance_m": 300}})
    assert await standing(api) == []
    await api.send(run(5, 700))
    assert await standing(api) == [(50, "2026-03-05T08:00:00Z"), (100, "2026-03-05T08:00:00Z")]
    await target(api, 1500)
    assert [percent for percent, _ in await standing(api)] == [50]
    await target(api, 500)
    assert [percent for percent, _ in await standing(api)] == [50, 100]


async def test_nobody_changes_it(api: Api) -> None:
    """It is nobody's to correct or retract, and no client can send one."""
    await target(api, 100)
    await api.send(run(1, 600))
    identity = next(one["id"] for one in (await api.get("/v1/groups/team-1/feed"))["items"] if one["verb"] == "milestone")
    for method, body in (("DELETE", None), ("PATCH", {"status": "odd"})):
        answer = await api(method, f"/v1/activities/{identity}", json=body)
        assert (answer.status_code, "A milestone is made" in answer.text) == (409, True)
    answer = await api("POST", "/v1/activities", json={"activities": [run_of(verb="milestone")]})
    assert "verb" in answer.json()["rejected"][0]["pointer"]


async def test_who_sees_it(api: Api) -> None:
    """A group's: who may read the group. An actor's own: the actor, each week anew."""
    await target(api, 100)
    for actor, group in (("user-1", "team-1"), ("user-2", "team-2")):
        await api("PUT", f"/v1/groups/{group}", json={"kind": "team"})
        await api("PUT", f"/v1/groups/{group}/members/{actor}", json={"role": "member"})
    await api.send(run(3, 450_000.0, visibility="private"), run(4, 450_000.5))
    assert await standing(api, headers={"milepost-viewer": "user-1"}) != []
    assert await standing(api, headers={"milepost-viewer": "user-2"}) == []
    own = [(100, "2026-03-04T08:00:00Z")]
    assert await standing(api, "actors/user-1", headers={"milepost-viewer": "user-1"}) == own
    assert await standing(api, "actors/user-1", headers={"milepost-viewer": "user-2"}) == []
    await api.send(run(11, 450_000.0), run(12, 450_000.5))
    assert len(await standing(api, "actors/user-1", headers={"milepost-viewer": "user-1"})) == 2
