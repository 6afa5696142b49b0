"""What an actor follows, over HTTP: put, listed, ended, and bounded."""

from __future__ import annotations

from typing import Any

import pytest

from milepost.access import _follows
from milepost.access._commands import parse_command
from milepost.errors import InvalidInput
from milepost.model import parse_model
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

FREE = parse_model('name = "free"\n[verbs.run]\n')


async def follow(api: Api, path: str, method: str = "PUT") -> Any:
    return await api(method, f"/v1/actors/ana/follows/{path}")


async def test_follow_and_unfollow(api: Api) -> None:
    """Actors, groups and objects are followed whether they have done anything or not, once, since the first time."""
    answer = await follow(api, "actor/ben")
    assert answer.status_code == 200, answer.text
    since = answer.json()["since"]
    assert answer.json() == {"actor": "ana", "kind": "actor", "id": "ben", "since": since}
    assert (await follow(api, "actor/ben")).json()["since"] == since
    assert (await follow(api, "group/team-1")).json()["kind"] == "group"
    assert (await follow(api, "object/workout%2Fw%2F1")).json()["id"] == "workout/w/1"
    assert (await follow(api, "object/workout/w-2")).json()["id"] == "workout/w-2"
    listed = [(one["kind"], one["id"]) for one in await api.all_pages("/v1/actors/ana/follows", limit=2)]
    assert listed == [("actor", "ben"), ("group", "team-1"), ("object", "workout/w-2"), ("object", "workout/w/1")]
    assert [one["id"] for one in await api.all_pages("/v1/actors/ana/follows", kind="group")] == ["team-1"]
    assert (await follow(api, "actor/ben", "DELETE")).status_code == 204
    assert (await follow(api, "object/workout/w-2", "DELETE")).status_code == 204
    assert (await follow(api, "object/workout%2Fw%2F1", "DELETE")).status_code == 204
    assert [one["id"] for one in await api.all_pages("/v1/actors/ana/follows")] == ["team-1"]


async def test_what_is_not_followed(api: Api) -> None:
    """What is not followed cannot be unfollowed; who is not known has no list, who follows nothing an empty one."""
    await api.send(run_of("ana"))
    for path in ("actor/ben", "actor/ana2", "group/team-1", "group/none", "object/workout/w-1"):
        assert (await follow(api, path, "DELETE")).status_code == 404, path
    assert await api.get("/v1/actors/ana/follows") == {"items": [], "next": None}
    assert (await api("GET", "/v1/actors/nobody/follows")).status_code == 404
    assert (await api("GET", "/v1/actors/ana/follows", params={"kind": "team"})).status_code == 400
    assert (await follow(api, "team/team-1")).status_code == 422


async def test_a_viewer_sees_its_own(api: Api) -> None:
    """On an actor's behalf its own follows are listed, and nobody else's are there."""
    for path in ("actor/ben", "group/team-1"):
        await follow(api, path)
    assert len((await api.get("/v1/actors/ana/follows", headers={"milepost-viewer": "ana"}))["items"]) == 2
    assert (await api("GET", "/v1/actors/ana/follows", headers={"milepost-viewer": "ben"})).status_code == 404


async def test_not_more_than_may_be(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is a conflict; what is followed already is none."""
    monkeypatch.setattr(_follows, "FOLLOWS_MAX", 2)
    for path, status in (("actor/b", 200), ("actor/c", 200), ("actor/d", 409), ("actor/b", 200)):
        assert (await follow(api, path)).status_code == status, path
    await follow(api, "actor/b", "DELETE")
    assert (await follow(api, "actor/d")).status_code == 200


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"kind": "actor", "id": "ana"}, "/id"),
        ({"kind": "object", "id": "workout"}, "/id"),
        ({"kind": "object", "id": "/w-1"}, "/id"),
        ({"kind": "object", "id": "x" * 65 + "/w"}, "/id"),
        ({"kind": "team", "id": "t"}, "/kind"),
        ({"kind": "group"}, "/id"),
        ({"kind": "group", "id": "x" * 257}, "/id"),
        ({"kind": "group", "id": "t", "since": "always"}, "/since"),
    ],
)
async def test_malformed(fields: dict[str, Any], pointer: str) -> None:
    """A follow that is not well formed names its field."""
    with pytest.raises(InvalidInput) as error:
        parse_command({"do": "follow", "actor": "ana", **fields}, model=FREE)
    assert [fault.pointer for fault in error.value.errors] == [pointer]
