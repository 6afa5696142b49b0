"""Pending lists over HTTP: who has what, what is due first, and what follows a correction, a retraction or a change of members."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from milepost.web import report_schemas
from web_client import Api

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def members(api: Api, **roles: str) -> None:
    """roles: by actor, in class-1."""
    await api("PUT", "/v1/groups/class-1", json={"kind": "team"})
    for actor, role in roles.items():
        answer = await api("PUT", f"/v1/groups/class-1/members/{actor}", json={"role": role, "since": "2026-01-01T00:00:00Z"})
        assert answer.status_code == 200, answer.text


def assign(number: int, *, due: str | None = "2026-03-01T12:00:00Z", **fields: Any) -> dict[str, Any]:
    return {
        "actor": "teacher",
        "verb": "assign",
        "occurred_at": f"2026-02-01T08:{number:02}:00Z",
        "group": "class-1",
        "object": {"kind": "assessment", "id": f"a-{number}"},
        "data": {} if due is None else {"due": due},
    } | fields


def submit(actor: str, number: int, **fields: Any) -> dict[str, Any]:
    return assign(number, due=None, actor=actor, verb="submit", occurred_at="2026-02-02T08:00:00Z") | fields


async def ids(api: Api, actor: str, **parameters: Any) -> list[str]:
    return [row["object"]["id"] for row in await api.all_pages(f"/v1/actors/{actor}/pending", **parameters)]


async def test_what_is_given_less_what_is_done(api: Api) -> None:
    """The first due first, what has no due date last, in pages; done by oneself, wherever and whenever."""
    await members(api, ana="member", ben="member", cem="captain")
    await api.send(
        assign(1, due="2026-03-03T00:00:00Z"),
        assign(2, due="2999-03-02T00:00:00+01:00"),
        assign(3, due=None),
        assign(4, due=None),
        assign(5, due="2026-03-01T00:00:00Z"),
        submit("ana", 4, group="elsewhere", occurred_at="2026-01-01T00:00:00Z"),
        submit("ben", 1, verb="excuse"),
    )
    for limit in (1, 2, 50):
        assert await ids(api, "ana", limit=limit) == ["a-5", "a-1", "a-2", "a-3"]
        assert await ids(api, "ben", limit=limit) == ["a-5", "a-2", "a-3", "a-4"]
    page = await api.get("/v1/actors/ana/pending", params={"list": "assessments", "group": "class-1"})
    msgspec.convert(page, report_schemas.PendingPage)
    first, late = page["items"][0], page["items"][2]
    del first["given_id"]
    assert first == {
        "list": "assessments",
        "group": "class-1",
        "object": {"kind": "assessment", "id": "a-5"},
        "given_at": "2026-02-01T08:05:00Z",
        "due": "2026-03-01T00:00:00Z",
        "overdue": True,
    }
    assert (late["due"], late["overdue"]) == ("2999-03-01T23:00:00Z", False)
    assert page["items"][3]["due"] is None
    assert await ids(api, "cem") == []  # has not the role
    assert await ids(api, "ana", group="elsewhere") == await ids(api, "ana", group="none") == []


async def test_it_follows_corrections_and_retractions(api: Api) -> None:
    """A retracted submission opens its object again; a moved or retracted assignment is gone; a second one keeps it there."""
    await members(api, ana="member")
    given = await api.send(
        assign(1), assign(2), assign(2, occurred_at="2026-02-05T08:00:00Z", due="2026-04-01T00:00:00Z"), assign(3)
    )
    done = await api.send(submit("ana", 1))
    assert await ids(api, "ana") == ["a-3", "a-2"]

    async def change(method: str, identity: str, patch: Any = None) -> None:
        answer = await api(method, f"/v1/activities/{identity}", json=patch)
        assert answer.status_code in (200, 204), answer.text

    await change("DELETE", done["ids"][0])
    assert await ids(api, "ana") == ["a-1", "a-3", "a-2"]
    await change("PATCH", given["ids"][3], {"group": "class-2"})
    assert await ids(api, "ana") == ["a-1", "a-2"]
    await change("DELETE", given["ids"][2])
    await change("PATCH", given["ids"][1], {"data": {"due": "2026-02-28T00:00:00Z"}})
    assert await ids(api, "ana") == ["a-2", "a-1"]
    await change("DELETE", given["ids"][1])
    assert await ids(api, "ana") == ["a-1"]
    again = await api.send(submit("ana", 9))
    await change("PATCH", again["ids"][0], {"object": {"kind": "assessment", "id": "a-1"}})
    assert await ids(api, "ana") == []


async def test_whose_it_is_follows_the_members(api: Api) -> None:
    """Who joins later has what is open, who leaves has it no longer, and through two groups it is there twice."""
    await members(api, ana="member")
    await api.send(assign(1, groups=["class-1", "class-2"]))
    await members(api, dan="member")
    assert await ids(api, "dan") == ["a-1"]
    await api("PUT", "/v1/groups/class-2", json={"kind": "team"})
    await api("PUT", "/v1/groups/class-2/members/dan", json={"role": "member", "since": "2026-01-01T00:00:00Z"})
    assert await ids(api, "dan", limit=1) == ["a-1", "a-1"]
    assert await ids(api, "dan", group="class-2") == ["a-1"]
    await api("DELETE", "/v1/groups/class-1/members/dan")
    assert await ids(api, "dan") == ["a-1"]
    await api("PUT", "/v1/groups/class-2/members/dan", json={"role": "captain"})
    assert await ids(api, "dan") == []
    await api.send(submit("ana", 1))
    assert await ids(api, "ana") == []


async def test_lists_of_one_model_are_merged(api: Api) -> None:
    """Without a due date by when it was given, whatever the list; one list can be asked for."""
    await members(api, ana="member")
    ticket = {"verb": "report", "object": {"kind": "ticket", "id": "t-1"}, "occurred_at": "2026-02-01T08:02:30Z"}
    await api.send(assign(1, due=None), assign(2, due=None), assign(4, due=None), assign(3, due=None) | ticket)
    for limit in (1, 3, 50):
        assert await ids(api, "ana", limit=limit) == ["a-1", "a-2", "t-1", "a-4"]
    assert await ids(api, "ana", list="tickets_open") == ["t-1"]


async def test_viewers(api: Api) -> None:
    """A student sees its own; a teacher that of students in classes that it may read; others see no such actor."""
    await members(api, ana="member", ben="member", cem="captain")
    await api.send(assign(1, groups=["class-1", "class-2"]))
    for group, actor in (("class-2", "ana"), ("class-3", "dan")):
        await api("PUT", f"/v1/groups/{group}", json={"kind": "team"})
        await api("PUT", f"/v1/groups/{group}/members/{actor}", json={"role": "member", "since": "2026-01-01T00:00:00Z"})

    async def seen(viewer: str) -> tuple[int, list[str]]:
        answer = await api("GET", "/v1/actors/ana/pending", headers={"milepost-viewer": viewer})
        return answer.status_code, [row["group"] for row in answer.json().get("items", ())]

    assert await seen("ana") == (200, ["class-1", "class-2"])
    assert await seen("cem") == await seen("ben") == (200, ["class-1"])
    assert await seen("dan") == await seen("nobody") == (404, [])


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("actors/nobody/pending", 404, "There is no actor 'nobody'."),
        ("actors/ana/pending?list=assesments", 400, "did you mean assessments?"),
        ("actors/ana/pending?cursor=x", 400, "is not a cursor of this list"),
        ("actors/ana/pending?status=x", 400, "is not a parameter of this route"),
    ],
)
async def test_wrong_questions(api: Api, path: str, status: int, said: str) -> None:
    """They are named."""
    problem = await api("GET", f"/v1/{path}")
    assert (problem.status_code, said in problem.text) == (status, True)
