"""Home feeds over HTTP: what a viewer follows and may see, once each, page by page."""

from __future__ import annotations

from typing import Any

import pytest

from milepost.feeds import _sides
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


def minute_of(number: int, **fields: Any) -> dict[str, Any]:
    """An activity at its own minute, so that the order is known."""
    return run_of(**({"occurred_at": f"2026-03-{1 + number // 60:02}T07:{number % 60:02}:00Z", "key": str(number)} | fields))


def keys(items: list[dict[str, Any]]) -> list[int]:
    return [int(item["key"]) for item in items]


async def follow(api: Api, *paths: str) -> None:
    for path in paths:
        answer = await api("PUT", f"/v1/actors/me/follows/{path}")
        assert answer.status_code == 200, answer.text


async def test_what_is_followed_is_shown_once(api: Api) -> None:
    """Actors, groups, also as later ones of several, and objects; what is followed twice comes once, at every size of page."""
    await api.send(
        minute_of(0, actor="ben", group="team-1", visibility="public"),
        minute_of(1, actor="cem", group="team-1", visibility="public"),
        minute_of(2, actor="cem", group="team-2", visibility="public"),
        minute_of(3, actor="cem", group=None, groups=["team-2", "team-1"], visibility="public"),
        minute_of(4, actor="cem", group="team-2", object={"kind": "workout", "id": "w/1"}, visibility="public"),
        minute_of(5, actor="ben", group="team-2", object={"kind": "workout", "id": "w/1"}, visibility="public", verb="walk"),
        minute_of(6, actor="cem", group="team-2", object={"kind": "workout", "id": "w/2"}, visibility="public"),
        minute_of(7, actor="me", group="team-2", visibility="public"),
    )
    assert await api.get("/v1/home", params={"actor": "me"}) == {"items": [], "next": None}
    await follow(api, "actor/ben", "group/team-1", "object/workout/w%2F1")
    for limit in (1, 2, 50):
        assert keys(await api.all_pages("/v1/home", actor="me", limit=limit)) == [5, 4, 3, 1, 0]
        assert keys(await api.all_pages("/v1/home", actor="me", limit=limit, verb="walk")) == [5]
    found = await api.get("/v1/home", params={"from": "2026-03-01T07:01:00Z", "to": "2026-03-01T07:04:00Z", "actor": "me"})
    assert keys(found["items"]) == [3, 1]
    await api("DELETE", "/v1/actors/me/follows/actor/ben")
    assert keys(await api.all_pages("/v1/home", actor="me")) == [5, 4, 3, 1, 0]  # still by the group and the object
    await api("DELETE", "/v1/actors/me/follows/group/team-1")
    assert keys(await api.all_pages("/v1/home", actor="me")) == [5, 4]


async def test_following_shows_nothing_that_may_not_be_seen(api: Api) -> None:
    """Of what is followed: public, of groups that the viewer may read, and the viewer's own private activities."""
    await api("PUT", "/v1/groups/team-1/members/me", json={"role": "member"})
    await follow(api, "actor/ben", "group/team-2", "object/workout/w-1")
    thing = {"kind": "workout", "id": "w-1"}
    await api.send(
        minute_of(0, actor="ben", group="team-1", visibility="group"),
        minute_of(1, actor="ben", group="team-2", visibility="group"),
        minute_of(2, actor="ben", group=None, groups=["team-3", "team-1"], visibility="group"),
        minute_of(3, actor="ben", group="team-1", visibility="private"),
        minute_of(4, actor="cem", group="team-2", visibility="group"),
        minute_of(5, actor="cem", group="team-2", visibility="public"),
        minute_of(6, actor="me", group="team-2", visibility="private"),
        minute_of(7, actor="cem", group="team-1", object=thing, visibility="group"),
        minute_of(8, actor="cem", group="team-2", object=thing, visibility="group"),
        minute_of(9, actor="me", group=None, object=thing, visibility="group"),
        minute_of(10, actor="me", group="team-1", visibility="private"),
        minute_of(11, actor="cem", group=None, groups=["team-1", "team-2"], visibility="group"),
    )
    for limit in (1, 3, 50):
        assert keys(await api.all_pages("/v1/home", actor="me", limit=limit)) == [9, 7, 6, 5, 2, 0]
    await api("PUT", "/v1/groups/team-2/members/me", json={"role": "member"})
    assert keys(await api.all_pages("/v1/home", actor="me", limit=2)) == [11, 9, 8, 7, 6, 5, 4, 2, 1, 0]


async def test_whose_home(api: Api) -> None:
    """A key says whose; a viewer has its own, and nobody else's."""
    await follow(api, "actor/ben")
    await api.send(minute_of(0, actor="ben", visibility="public"))
    token = (await api("POST", "/v1/admin/viewer-tokens", json={"actor": "me"})).json()["token"]
    assert keys((await api.get("/v1/home", key=token))["items"]) == [0]
    assert keys((await api.get("/v1/home", params={"actor": "me"}, key=token))["items"]) == [0]
    assert keys((await api.get("/v1/home", headers={"milepost-viewer": "me"}))["items"]) == [0]
    assert (await api.get("/v1/home", params={"actor": "nobody"}))["items"] == []
    assert (await api("GET", "/v1/home", params={"actor": "ben"}, key=token)).status_code == 403
    assert (await api("GET", "/v1/home")).json()["errors"][0]["pointer"] == "/actor"
    assert (await api("GET", "/v1/home", params={"actor": "a\x01"})).json()["errors"][0][
        "pointer"
    ] == "/actor"  # nobody sent the header


@pytest.mark.parametrize("looks", [(1, 1, 1), (2, 3, 5), (4, 30, 30)])
async def test_pages_from_short_looks(api: Api, monkeypatch: pytest.MonkeyPatch, looks: tuple[int, ...]) -> None:
    """However little is looked at for a page, and however narrow the windows, no item is left out or repeated."""
    monkeypatch.setattr(_sides, "LOOKS", looks)
    monkeypatch.setattr(_sides, "LEG_ROWS_MIN", 1)
    monkeypatch.setattr(_sides, "LEGS_UNWINDOWED_MAX", 0)
    monkeypatch.setattr(_sides, "WIDER", 2)
    monkeypatch.setattr(_sides, "BLIND", 2)
    await api("PUT", "/v1/groups/team-1/members/me", json={"role": "member"})
    await follow(api, "actor/user-1", "actor/user-2", "group/team-2", "object/workout/w-3")
    await api.send(
        *(
            minute_of(
                n * n % 997,
                actor=f"user-{n % 9}",
                group=f"team-{n % 4}",
                object={"kind": "workout", "id": f"w-{n % 5}"},
                visibility=("public", "group", "private")[n % 3],
                key=str(n),
            )
            for n in range(200)
        )
    )
    everything = await api.all_pages("/v1/activities", limit=500)
    expected = [
        int(item["key"])
        for item in everything
        if (item["visibility"] == "public" or (item["visibility"] == "group" and item["group"] == "team-1"))
        and (item["actor"] in ("user-1", "user-2") or item["group"] == "team-2" or item["object"]["id"] == "w-3")
    ]
    assert len(expected) > 30
    assert keys(await api.all_pages("/v1/home", actor="me", limit=6)) == expected
