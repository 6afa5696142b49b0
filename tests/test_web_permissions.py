"""`POST /v1/check` and who may do something in a group, over HTTP. The rules themselves: test_property_permissions.py."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from milepost.access.permissions import CHECKS_MAX
from milepost.web import access_schemas
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def put(api: Api, path: str, **body: Any) -> None:
    answer = await api("PUT", path, json=body)
    assert answer.status_code == 200, answer.text


async def team(api: Api) -> str:
    """user-1 is captain of team-1, user-2 its member, user-3 a member with a permission of its own. → the id of user-2's run."""
    await put(api, "/v1/groups/team-1", kind="team")
    await put(api, "/v1/groups/team-1/members/user-1", role="captain")
    await put(api, "/v1/groups/team-1/members/user-2", role="member")
    await put(api, "/v1/groups/team-1/members/user-3", role="member", permissions=["correct"])
    return str((await api.send(run_of("user-2")))["ids"][0])


async def ask(api: Api, body: Any, **request: Any) -> Any:
    answer = await api("POST", "/v1/check", json=body, **({"key": "read"} | request))
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert msgspec.to_builtins(msgspec.convert(shown, access_schemas.Checked)) == shown
    return shown


async def test_one_and_many(api: Api) -> None:
    """One question has one answer, several have theirs in their order, about groups and activities mixed."""
    run = await team(api)
    assert await ask(api, {"actor": "user-1", "action": "correct", "group": "team-1"}) == {"allowed": True}
    assert await ask(api, {"actor": "user-2", "action": "correct", "group": "team-1"}) == {"allowed": False}
    questions = [
        ({"actor": "user-2", "action": "read", "group": "team-1"}, True),
        ({"actor": "user-3", "action": "correct", "activity": run}, True),
        ({"actor": "user-2", "action": "correct", "activity": run}, False),
        ({"actor": "user-2", "action": "read", "activity": run}, True),
        ({"actor": "nobody", "action": "read", "activity": run}, False),
        ({"actor": "user-1", "action": "fly", "group": "team-1"}, False),
        ({"actor": "user-1", "action": "", "group": "team-1"}, False),
        ({"actor": "user-1", "action": "read\0", "group": "team-1"}, False),
        ({"actor": "user-1\0", "action": "read", "group": "team-1"}, False),
        ({"actor": "user-1", "action": "read", "group": "team-1\0"}, False),
        ({"actor": "user-1", "action": "read", "group": "none"}, False),
        ({"actor": "user-1", "action": "read", "group": ""}, False),
        ({"actor": "user-1", "action": "read", "activity": "no id"}, False),
        ({"actor": "user-1", "action": "read", "activity": "0" * 32}, False),
    ]
    answered = await ask(api, {"checks": [question for question, _ in questions]})
    assert [one["allowed"] for one in answered["checks"]] == [expected for _, expected in questions]
    assert await ask(api, {"checks": []}) == {"checks": []}


async def test_a_corrected_activity_is_asked_by_either_id(api: Api) -> None:
    """Its first id goes on being its name when a correction moves it to another time; retracted, nobody may do anything."""
    run = await team(api)
    answer = await api("PATCH", f"/v1/activities/{run}", json={"occurred_at": "2026-04-01T00:00:00Z"})
    assert answer.status_code == 200, answer.text
    assert await ask(api, {"actor": "user-1", "action": "correct", "activity": run}) == {"allowed": True}
    assert (await api("DELETE", f"/v1/activities/{run}")).status_code in (200, 204)
    assert await ask(api, {"actor": "user-1", "action": "correct", "activity": run}) == {"allowed": False}


async def test_questions_that_are_none(api: Api) -> None:
    """What is wrong with a question is told by its place."""
    for body, pointers in (
        ({}, ["/actor", "/action", "/group"]),
        ({"actor": 1, "action": None, "group": "g", "colour": 1}, ["/colour", "/actor", "/action"]),
        ({"actor": "a", "action": "read", "group": "g", "activity": "x"}, ["/group"]),
        ({"checks": [], "actor": "a"}, ["/actor"]),
        ({"checks": {}}, ["/checks"]),
        ({"checks": [1]}, ["/checks/0"]),
        ({"checks": [{"actor": "a", "action": "read", "group": "g"}, {"actor": "a", "group": "g"}]}, ["/checks/1/action"]),
        ({"checks": [{}] * (CHECKS_MAX + 1)}, ["/checks"]),
    ):
        answer = await api("POST", "/v1/check", json=body)
        assert answer.status_code == 400, body
        assert [one["pointer"] for one in answer.json()["errors"]] == pointers
    for key, expected in ((None, 401), ("write", 403)):
        answer = await api("POST", "/v1/check", key=key, json={"actor": "a", "action": "read", "group": "g"})
        assert answer.status_code == expected


async def test_a_viewer_asks_for_itself(api: Api) -> None:
    """It need not say who it is, and may not ask about anybody else."""
    await team(api)
    token = (await api("POST", "/v1/admin/viewer-tokens", json={"actor": "user-1"})).json()["token"]
    assert await ask(api, {"action": "correct", "group": "team-1"}, key=token) == {"allowed": True}
    assert await ask(api, {"actor": "user-1", "action": "correct", "group": "team-1"}, key=token) == {"allowed": True}
    answer = await api("POST", "/v1/check", key=token, json={"actor": "user-2", "action": "correct", "group": "team-1"})
    assert answer.status_code == 403


async def test_who_may(api: Api) -> None:
    """All who may do something in a group, page by page, by a role, by a permission, or from above; each once."""
    await team(api)
    await put(api, "/v1/groups/league-1", kind="league")
    await put(api, "/v1/groups/team-1", parent="league-1")
    await put(api, "/v1/groups/league-1/members/user-9", role="whatever", permissions=["correct"])
    await put(api, "/v1/groups/league-1/members/user-1", role="whatever")
    path = "/v1/groups/team-1/permitted"
    found = await api.all_pages(path, action="correct", limit=1, key="read")
    assert {"actor": "user-9", "group": "league-1", "role": "whatever", "permissions": ["correct"]} in found
    assert sorted(one["actor"] for one in found) == ["user-1", "user-3", "user-9"]
    found = await api.all_pages(path, action="read", limit=2)
    assert sorted((one["actor"], one["group"]) for one in found) == [
        ("user-1", "team-1"), ("user-2", "team-1"), ("user-3", "team-1"), ("user-9", "league-1"),
    ]  # fmt: skip
    assert await api.all_pages(path, action="fly") == []
    page = await api.get(path, params={"action": "read"})
    assert msgspec.to_builtins(msgspec.convert(page, access_schemas.PermittedPage)) == page
    assert (await api("GET", "/v1/groups/none/permitted?action=read")).status_code == 404
    assert (await api("GET", path)).status_code == 400
    token = (await api("POST", "/v1/admin/viewer-tokens", json={"actor": "user-1"})).json()["token"]
    assert (await api("GET", f"{path}?action=read", key=token)).status_code == 403
