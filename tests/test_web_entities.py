"""Actors, groups and members over HTTP, and what their changes do to numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from milepost.access import groups
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def put(api: Api, path: str, **body: Any) -> dict[str, Any]:
    answer = await api("PUT", path, json=body)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def test_actors(api: Api) -> None:
    """An actor is there from its first activity or its first PUT; what is absent in a PUT stays."""
    await api.send(run_of("user-1"))
    assert await api.get("/v1/actors/user-1") == {"id": "user-1", "kind": None, "name": None, "attributes": {}}
    shown = await put(api, "/v1/actors/user-1", name="One", attributes={"since": 2020})
    assert shown == {"id": "user-1", "kind": None, "name": "One", "attributes": {"since": 2020}}
    await put(api, "/v1/actors/user-1", kind="person")
    assert (await api.get("/v1/actors/user-1"))["name"] == "One"
    await put(api, "/v1/actors/user-2", name="Two")
    assert (await put(api, "/v1/actors/user-1", name=None))["name"] is None
    assert (await api("GET", "/v1/actors/none")).status_code == 404


async def test_actors_are_listed(api: Api) -> None:
    """In the order of their ids, page by page, by a part of name or id."""
    for number in range(7):
        await put(api, f"/v1/actors/user-{number}", name=f"Runner {number % 2}")
    assert [one["id"] for one in await api.all_pages("/v1/actors", limit=2)] == [f"user-{n}" for n in range(7)]
    assert [one["id"] for one in await api.all_pages("/v1/actors", limit=2, q="runner 1")] == ["user-1", "user-3", "user-5"]
    assert [one["id"] for one in await api.all_pages("/v1/actors", q="USER-6")] == ["user-6"]


async def test_groups(api: Api) -> None:
    """A group has a kind, a parent, a zone and attributes; they are listed by each."""
    await put(api, "/v1/groups/league-1", kind="league", name="League")
    shown = await put(
        api, "/v1/groups/team-1", kind="team", parent="league-1", time_zone="Europe/Berlin", attributes={"goal_m": 1000}
    )
    assert shown.pop("changed_at").endswith("Z")
    assert shown == {
        "id": "team-1",
        "kind": "team",
        "name": None,
        "parent": "league-1",
        "time_zone": "Europe/Berlin",
        "status": "active",
        "attributes": {"goal_m": 1000},
    }
    await put(api, "/v1/groups/team-2", kind="team", parent="league-1", status="closed")
    await put(api, "/v1/groups/team-3", kind="team")
    for expected, filters in (
        (["league-1", "team-1", "team-2", "team-3"], {}),
        (["team-1", "team-2"], {"parent": "league-1"}),
        (["team-2"], {"parent": "league-1", "status": "closed"}),
        (["league-1"], {"kind": "league"}),
        (["league-1"], {"q": "leag"}),
        ([], {"parent": "none"}),
    ):
        assert [one["id"] for one in await api.all_pages("/v1/groups", **filters, limit=1)] == expected, filters


async def test_groups_are_searched(api: Api) -> None:
    """Each word begins a word of the name, the id, or an attribute that the model searches; what is called so comes first, page by page."""
    for group, more in (
        ("river-runners", {"name": "River Runners"}),
        ("river", {"name": "Old club"}),
        ("t-1", {"name": "Rivers & Hills"}),
        ("t-2", {"name": "Hill climbers", "attributes": {"motto": "Down by the river", "town": "Riverside"}}),
        ("t-3", {"name": "Lake", "attributes": {"town": "Riverside"}}),
        ("t-4", {"name": "Ostseeläufer"}),
    ):
        await put(api, f"/v1/groups/{group}", kind="team", **more)
    for q, expected in (
        ("river", ["river", "river-runners", "t-1", "t-2"]),
        ("RIV", {"river", "t-1", "river-runners", "t-2"}),
        ("runn river", ["river-runners"]),
        ("river-runners", ["river-runners"]),
        ("t-4", ["t-4"]),
        ("ostseeläuf", ["t-4"]),
        ("by the", ["t-2"]),
        ("riverside", []),
        ("it's \\ 'quoted':*", []),
    ):
        for limit in (1, 50):
            found = [one["id"] for one in await api.all_pages("/v1/groups", q=q, limit=limit)]
            assert (set(found) if isinstance(expected, set) else found) == expected, (q, found)
    assert [one["id"] for one in await api.all_pages("/v1/groups", q="hill", kind="team", status="closed")] == []
    assert (await api("GET", "/v1/groups", params={"q": "%&"})).json()["errors"][0]["pointer"] == "/q"
    # A viewer finds among those that it may read.
    await put(api, "/v1/groups/t-2/members/user-1", role="member")
    headers = {"milepost-viewer": "user-1"}
    found = await api.get("/v1/groups", params={"q": "river"}, headers=headers)
    assert [one["id"] for one in found["items"]] == ["t-2"]


async def test_what_is_not_meant_crowds_nobody_out(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few are ranked, they are among those of the kind and status asked for, that have the words in what is searched."""
    monkeypatch.setattr(groups, "RANKED_MAX", 2)
    for number in range(8):
        await put(api, f"/v1/groups/g-{number}", kind="team", name="Harbour", attributes={"town": "Seaside"})
    await put(api, "/v1/groups/g-8", kind="team", name="Harbour", status="closed")
    await put(api, "/v1/groups/g-9", kind="league", name="Harbour of Seaside")
    for asked, expected in (
        ({"q": "harbour", "status": "closed"}, ["g-8"]),
        ({"q": "harbour", "kind": "league"}, ["g-9"]),
        ({"q": "seaside"}, ["g-9"]),
    ):
        assert [one["id"] for one in await api.all_pages("/v1/groups", limit=1, **asked)] == expected, asked
    assert len(await api.all_pages("/v1/groups", q="harbour", limit=1)) == 2


async def test_the_health_of_a_group(api: Api) -> None:
    """Activity, breadth and trend of four weeks, with what they are made of; of an empty group nothing."""
    await put(api, "/v1/groups/team-1", kind="team")
    empty = await api.get("/v1/groups/team-1/health")
    assert (empty["score"], empty["values"]["members"]) == (0, 0)
    for actor in ("user-1", "user-2"):
        await put(api, f"/v1/groups/team-1/members/{actor}", role="member", since="always")
    now = datetime.now(UTC)
    runs = [run_of("user-1", occurred_at=(now - timedelta(days=days)).isoformat()) for days in (1, 2, 3, 4, 30, 31)]
    await api.send(*runs)
    found = await api.get("/v1/groups/team-1/health")
    assert found["values"] == {"count": 4, "members": 2, "engagement": 0.5, "count_before": 2}
    assert {name: part["value"] for name, part in found["parts"].items()} == {"activity": 0.25, "breadth": 0.5, "trend": 1}
    assert found["score"] == 50  # 40 % of a quarter, 40 % of a half, 20 % of one
    assert (found["days"], found["rollup"]) == (28, "team_distance")
    assert found["parts"]["activity"]["formula"] == "count ÷ (members × 2 a week × 4 weeks), at most 1"
    assert (await api("GET", "/v1/groups/none/health")).status_code == 404
    stranger = await api("GET", "/v1/groups/team-1/health", headers={"milepost-viewer": "user-9"})
    assert stranger.status_code == 404


async def test_a_group_that_cannot_be(api: Api) -> None:
    """What is wrong with a group is told by field, all at once, and nothing is stored."""
    answer = await api("PUT", "/v1/groups/team-1", json={"kind": "tam", "time_zone": "Mars", "colour": 1, "id": "team-2"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"pointer": "/id", "detail": "is 'team-1' in the route"}]
    answer = await api("PUT", "/v1/groups/team-1", json={"kind": "tam", "time_zone": "Mars", "colour": 1})
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/colour", "/kind", "/time_zone"]
    answer = await api("PUT", "/v1/groups/team-1", json={"parent": "team-1", "do": "put_actor"})
    assert answer.json()["errors"] == [{"pointer": "/do", "detail": "is not known here"}]
    await put(api, "/v1/groups/team-1", kind="team")
    answer = await api("PUT", "/v1/groups/team-1", json={"kind": "league"})
    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/conflict"
    assert (await api("PUT", "/v1/groups/team-2", content=b"[]")).status_code == 400
    assert (await api("GET", "/v1/groups/team-2")).status_code == 404


async def test_members(api: Api) -> None:
    """Members have a role, permissions, and when and by whom they were added."""
    await put(api, "/v1/groups/team-1", kind="team")
    shown = await put(api, "/v1/groups/team-1/members/user-1", role="captain", permissions=["pin"])
    assert shown["added_by"].startswith(f"mp_{api.tenant_id}_")
    assert (shown["role"], shown["permissions"], shown["until"]) == ("captain", ["pin"], None)
    await put(api, "/v1/groups/team-1/members/user-2", role="member", since="always", added_by="user-1")
    await put(api, "/v1/groups/team-2/members/user-1", role="member")
    members = await api.all_pages("/v1/groups/team-1/members", limit=1)
    assert [(one["actor"], one["role"], one["added_by"]) for one in members] == [
        ("user-1", "captain", shown["added_by"]),
        ("user-2", "member", "user-1"),
    ]
    assert [one["actor"] for one in await api.all_pages("/v1/groups/team-1/members", role="member")] == ["user-2"]
    assert [one["group"] for one in await api.all_pages("/v1/actors/user-1/groups", limit=1)] == ["team-1", "team-2"]
    before = {"at": "2020-01-01T00:00:00Z"}
    assert [one["actor"] for one in await api.all_pages("/v1/groups/team-1/members", **before)] == ["user-2"]
    answer = await api("DELETE", "/v1/groups/team-1/members/user-1")
    assert (answer.status_code, answer.content) == (204, b"")
    assert [one["actor"] for one in await api.all_pages("/v1/groups/team-1/members")] == ["user-2"]
    assert (await api("DELETE", "/v1/groups/team-1/members/user-1")).status_code == 404
    answer = await api("PUT", "/v1/groups/team-1/members/user-1", json={"role": "king"})
    assert answer.json()["errors"][0]["pointer"] == "/role"
    for path in ("/v1/groups/none/members", "/v1/actors/none/groups"):
        assert (await api("GET", path)).status_code == 404


async def test_a_parent_counts_its_groups(api: Api) -> None:
    """Declaring a parent counts the history of the group for it, and moving it away from a moment on splits it."""
    await api.send(
        run_of(measures={"distance_m": 1000}),
        run_of(occurred_at="2026-04-01T00:00:00Z", measures={"distance_m": 500}),
    )
    await put(api, "/v1/groups/league-1", kind="league")
    await put(api, "/v1/groups/team-1", kind="team", parent="league-1")

    async def total(group: str) -> Any:
        rows = (await api.get("/v1/rollups/team_distance", params={"group": group, "bucket": "all"}))["items"]
        return rows[0]["values"]["sum(distance_m)"] if rows else None

    assert await total("league-1") == 1500
    await put(api, "/v1/groups/league-2", kind="league")
    await put(api, "/v1/groups/team-1", parent="league-2", since="2026-03-15T00:00:00Z")
    assert [await total(group) for group in ("team-1", "league-1", "league-2")] == [1500, 1000, 500]
    then = await api.get("/v1/groups/team-1", params={"at": "2026-03-10T00:00:00Z"})
    assert then["parent"] == "league-1"


async def test_ids_with_slashes(api: Api) -> None:
    """A slash in an id is written %2F in a path; two slashes, or NUL, lead nowhere."""
    await put(api, "/v1/actors/team%2F7", name="Slashed")
    assert (await api.get("/v1/actors/team%2F7"))["id"] == "team/7"
    await put(api, "/v1/groups/a%2Fb/members/c%2Fd", role="member")
    assert (await api.get("/v1/groups/a%2Fb/members"))["items"][0]["actor"] == "c/d"
    for path in ("/v1/actors/team/7", "/v1//actors/user", "/v1/actors//", "/v1/actors/%00", "/v1/actors/a%2500"):
        assert (await api("GET", path)).status_code == 404, path
