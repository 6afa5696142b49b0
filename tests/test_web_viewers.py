"""Viewers over HTTP: tokens, reading on somebody's behalf, and what is 401, 403 and 404."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from milepost.access import viewer
from milepost.access.keys import list_keys, revoke_key
from milepost.access.viewer_tokens import LIFE_S, ViewerTokens
from milepost.errors import Unauthorized
from milepost.web import access_schemas
from web_client import Api, Served, run_of, tenant_on

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERYONE = {"public", "group", "private"}


async def put(api: Api, path: str, **body: Any) -> None:
    answer = await api("PUT", path, json=body)
    assert answer.status_code == 200, answer.text


async def token_of(api: Api, actor: str, **body: Any) -> str:
    answer = await api("POST", "/v1/admin/viewer-tokens", key="write", json={"actor": actor, **body})
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["token"]
    return token


async def teams(api: Api) -> dict[str, str]:
    """league-1 has team-1 and team-2; user-1 runs in team-1, once in each visibility. → the ids by visibility."""
    await put(api, "/v1/groups/league-1", kind="league")
    for team in ("team-1", "team-2"):
        await put(api, f"/v1/groups/{team}", kind="team", parent="league-1")
    await put(api, "/v1/groups/team-1/members/user-1", role="member")
    runs = [run_of(visibility=one, occurred_at=f"2026-03-0{n}T00:00:00Z") for n, one in enumerate(sorted(EVERYONE), 1)]
    return dict(zip(sorted(EVERYONE), (await api.send(*runs))["ids"], strict=True))


async def seen(api: Api, ids: dict[str, str], **request: Any) -> set[str]:
    """What of the runs there is, to whom the request is made for."""
    found = set()
    for visibility, id_ in ids.items():
        answer = await api("GET", f"/v1/activities/{id_}", **request)
        assert answer.status_code in (200, 404), answer.text
        found |= {visibility} if answer.status_code == 200 else set()
    return found


async def test_who_sees_an_activity(api: Api) -> None:
    """Public: everyone. Of a group: who may read it, by a role, a permission, in the group or above it. Private: its actor."""
    ids = await teams(api)
    await put(api, "/v1/groups/team-1/members/user-2", role="captain")
    await put(api, "/v1/groups/team-1/members/user-3", role="guest")
    await put(api, "/v1/groups/team-1/members/user-4", role="guest", permissions=["read"])
    await put(api, "/v1/groups/team-2/members/user-5", role="captain")
    await put(api, "/v1/groups/league-1/members/user-6", role="whatever")  # a league has no roles: its members may read
    for actor, expected in (
        ("user-1", EVERYONE),
        ("user-2", {"public", "group"}),
        ("user-3", {"public"}),
        ("user-4", {"public", "group"}),
        ("user-5", {"public"}),
        ("user-6", {"public", "group"}),
        ("nobody", {"public"}),
    ):
        assert await seen(api, ids, key=await token_of(api, actor)) == expected, actor
        assert await seen(api, ids, key="read", headers={"milepost-viewer": actor}) == expected, actor
    assert await seen(api, ids, key="read") == EVERYONE


async def test_what_is_invisible_is_absent(api: Api) -> None:
    """The answer is the same as for what does not exist, whatever is asked of it."""
    ids = await teams(api)
    token = await token_of(api, "user-9")
    for path, other in (
        (f"/v1/activities/{ids['group']}", f"/v1/activities/{'0' * 8}-0000-8000-8000-{'0' * 12}"),
        (f"/v1/activities/{ids['private']}/content", f"/v1/activities/{'0' * 8}-0000-8000-8000-{'0' * 12}/content"),
        ("/v1/groups/team-1", "/v1/groups/team-0"),
        ("/v1/groups/team-1/members", "/v1/groups/team-0/members"),
    ):
        hidden, absent = await api("GET", path, key=token), await api("GET", other, key=token)
        assert (hidden.status_code, absent.status_code) == (404, 404), path
        assert hidden.text.replace("team-1", "team-0") == absent.text


async def test_groups_of_a_viewer(api: Api) -> None:
    """One sees the groups that it may read, and those below them, page by page; and their members."""
    await teams(api)
    await put(api, "/v1/groups/league-1/members/user-2", role="whatever")
    for actor, expected in (("user-1", ["team-1"]), ("user-2", ["league-1", "team-1", "team-2"]), ("nobody", [])):
        token = await token_of(api, actor)
        assert [one["id"] for one in await api.all_pages("/v1/groups", limit=1, key=token)] == expected
        below = [one["id"] for one in await api.all_pages("/v1/groups", parent="league-1", key=token)]
        assert below == [one for one in expected if one != "league-1"]
    token = await token_of(api, "user-1")
    assert (await api.get("/v1/groups/team-1", key=token))["parent"] == "league-1"
    assert [one["actor"] for one in await api.all_pages("/v1/groups/team-1/members", key=token)] == ["user-1"]


async def test_actors_of_a_viewer(api: Api) -> None:
    """One is told of itself and of the members of groups that it may read, and of their memberships there; of its own it sees all."""
    await teams(api)
    await put(api, "/v1/groups/team-2/members/user-2", role="member")
    await put(api, "/v1/groups/team-1/members/user-3", role="guest")
    await put(api, "/v1/groups/team-2/members/user-3", role="guest")
    await put(api, "/v1/groups/league-1/members/user-6", role="whatever")
    for actor, expected in (
        ("user-1", ["user-1", "user-3"]),
        ("user-2", ["user-2", "user-3"]),
        ("user-3", ["user-3"]),
        ("user-6", ["user-1", "user-2", "user-3", "user-6"]),
        ("nobody", []),
    ):
        token = await token_of(api, actor)
        assert [one["id"] for one in await api.all_pages("/v1/actors", limit=1, key=token)] == expected
        for other in ("user-1", "user-2", "user-3", "user-6"):
            known = 200 if other in expected else 404
            assert (await api("GET", f"/v1/actors/{other}", key=token)).status_code == known, (actor, other)
            assert (await api("GET", f"/v1/actors/{other}/groups", key=token)).status_code == known, (actor, other)
    token = await token_of(api, "user-1")
    assert [one["group"] for one in await api.all_pages("/v1/actors/user-3/groups", key=token)] == ["team-1"]
    token = await token_of(api, "user-3")
    assert [one["group"] for one in await api.all_pages("/v1/actors/user-3/groups", key=token)] == ["team-1", "team-2"]


async def test_lists_from_either_side(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether what a viewer sees is few or many decides where a list is looked for, not what is in it."""
    await teams(api)
    await put(api, "/v1/groups/league-1/members/user-6", role="whatever")
    token = await token_of(api, "user-6")
    few = [await api.all_pages(path, limit=1, key=token) for path in ("/v1/groups", "/v1/actors")]
    searched = await api.all_pages("/v1/groups", q="team", limit=1, key=token)
    monkeypatch.setattr(viewer, "FEW_MAX", 1)
    assert [await api.all_pages(path, limit=1, key=token) for path in ("/v1/groups", "/v1/actors")] == few
    assert await api.all_pages("/v1/groups", q="team", limit=1, key=token) == searched
    assert [len(found) for found in (*few, searched)] == [3, 2, 2]


async def test_rights_hold_as_of_now(api: Api) -> None:
    """Who leaves sees no more of what there was, and a team that moves takes its readers above with it."""
    ids = await teams(api)
    await put(api, "/v1/groups/league-2", kind="league")
    await put(api, "/v1/groups/league-2/members/user-2", role="whatever")
    mate = await token_of(api, "user-3")
    above = await token_of(api, "user-2")
    await put(api, "/v1/groups/team-1/members/user-3", role="member", since="always")
    assert (await seen(api, ids, key=mate), await seen(api, ids, key=above)) == ({"public", "group"}, {"public"})
    await put(api, "/v1/groups/team-1", parent="league-2")
    assert (await api("DELETE", "/v1/groups/team-1/members/user-3")).status_code == 204
    assert (await seen(api, ids, key=mate), await seen(api, ids, key=above)) == ({"public"}, {"public", "group"})


async def test_several_groups_and_none(api: Api) -> None:
    """To several groups: a reader of any of them. Of visibility group, but to none: its actor alone."""
    await teams(api)
    await put(api, "/v1/groups/team-2/members/user-2", role="member")
    both, none = (await api.send(run_of(groups=["team-1", "team-2"], group=None), run_of(group=None)))["ids"]
    assert await seen(api, {"both": both, "none": none}, key=await token_of(api, "user-1")) == {"both", "none"}
    assert await seen(api, {"both": both, "none": none}, key=await token_of(api, "user-2")) == {"both"}


async def test_a_viewer_token_only_reads(api: Api) -> None:
    """Nothing that needs a key can be done with one; nor what shows all of a tenant."""
    token = await token_of(api, "user-1")
    for method, path in (
        ("POST", "/v1/activities"),
        ("PATCH", "/v1/activities/x"),
        ("PUT", "/v1/groups/team-1"),
        ("DELETE", "/v1/groups/team-1/members/user-1"),
        ("GET", "/v1/admin/keys"),
        ("POST", "/v1/admin/viewer-tokens"),
        ("GET", "/v1/receipts/x"),
    ):
        answer = await api(method, path, key=token, json={"actor": "user-2"} if method == "POST" else None)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden"), path
    answer = await api("GET", "/v1/groups", key=token, headers={"milepost-viewer": "user-2"})
    assert answer.status_code == 403
    answer = await api("PUT", "/v1/groups/team-1", json={}, headers={"milepost-viewer": "user-2"})
    assert answer.status_code == 403


async def test_who_may_make_one(api: Api) -> None:
    """A key with the scope write or admin; what is wrong with the question is told by field."""
    for key, expected in (("write", 200), ("admin", 200), ("read", 403), (None, 401)):
        answer = await api("POST", "/v1/admin/viewer-tokens", key=key, json={"actor": "user-1"})
        assert answer.status_code == expected, key
    made = (await api("POST", "/v1/admin/viewer-tokens", json={"actor": "user-1", "expires_in_s": 60})).json()
    assert msgspec.to_builtins(msgspec.convert(made, access_schemas.ViewerTokenMade)).keys() == made.keys()
    assert 55 < (datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)).total_seconds() <= 60
    for body, pointers in (
        ({}, ["/actor"]),
        ({"actor": 7, "colour": 1, "expires_in_s": "x"}, ["/colour", "/actor", "/expires_in_s"]),
        ({"actor": "", "expires_in_s": 86_401}, ["/actor", "/expires_in_s"]),
        ({"actor": "user-1", "expires_in_s": 0}, ["/expires_in_s"]),
        ({"actor": "user-1", "expires_in_s": True}, ["/expires_in_s"]),
    ):
        answer = await api("POST", "/v1/admin/viewer-tokens", json=body)
        assert answer.status_code == 400
        assert [one["pointer"] for one in answer.json()["errors"]] == pointers
    answer = await api("POST", "/v1/admin/viewer-tokens", json={"actor": "user-1", "expires_in": 60})
    detail = "is not known here; did you mean 'expires_in_s'?"
    assert answer.json()["errors"] == [{"pointer": "/expires_in", "detail": detail}]


async def test_tokens_that_are_none(api: Api, served: Served) -> None:
    """Forged, altered, expired, of another deployment, by another algorithm, or of a revoked key: 401."""
    good = await token_of(api, "user-1")
    header, body, signature = good.split(".")
    claims = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert set(claims) == {"tenant", "actor", "key", "iat", "exp"}
    assert claims["exp"] - claims["iat"] == LIFE_S

    def encoded(what: object) -> str:
        return urlsafe_b64encode(json.dumps(what).encode()).rstrip(b"=").decode()

    async with served.services.db.transaction("point") as conn:
        ours, late = await ViewerTokens.of_deployment(conn), await ViewerTokens.of_deployment(conn)
    late._clock = lambda: 0.0
    none = encoded({"alg": "none", "typ": "JWT"})
    for token in (
        f"{header}.{encoded(claims | {'actor': 'user-2'})}.{signature}",
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        f"{header}.{body}.",
        f"{header}.{body}.{signature}A",
        f"{header}.{body}.{signature[:-1]}",
        f"{header}.{body}",
        ".",
        "..",
        "." * 5000,
        ViewerTokens(b"another").sign(api.tenant_id, "user-1", claims["key"]).token,
        late.sign(api.tenant_id, "user-1", claims["key"]).token,
        ours.sign(api.tenant_id, "user-1", "mp_1_nokey").token,
    ):
        answer = await api("GET", "/v1/groups", key=token)
        assert answer.status_code == 401, token
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert (await api("GET", "/v1/groups", key=good)).status_code == 200
    with pytest.raises(Unauthorized):
        ours.open("ä.b.c")


async def test_a_token_ends_with_its_key(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever revokes the key takes its tokens back, within a second."""
    token = await token_of(api, "user-1")
    monkeypatch.setattr("milepost.access.viewer_tokens.REMEMBERED_S", 0.0)
    assert (await api("GET", "/v1/groups", key=token)).status_code == 200
    async with api.services.db.transaction("write", tenant_id=api.tenant_id) as conn:
        [writing] = [one for one in await list_keys(conn, api.tenant_id) if one.name == "write"]
        await revoke_key(conn, api.tenant_id, writing.key_id)
    assert (await api("GET", "/v1/groups", key=token)).status_code == 401


async def test_a_token_is_of_one_tenant(api: Api, served: Served) -> None:
    """An actor of the same name elsewhere sees nothing here."""
    ids = await teams(api)
    number, keys = await tenant_on(served)
    other = Api(served, api.client, number, keys)
    await put(other, "/v1/groups/team-1", kind="team")
    assert await seen(other, ids, key=await token_of(other, "user-1")) == set()


async def test_on_behalf_of(api: Api) -> None:
    """Ids that are not ASCII are percent-encoded; what cannot be an id is an error; a cursor is of one viewer."""
    ids = await teams(api)
    await put(api, "/v1/groups/team-1/members/%C3%A4%2F1", role="member")
    assert await seen(api, ids, key="read", headers={"milepost-viewer": "%C3%A4%2F1"}) == {"public", "group"}
    for wrong in ("", "%00", "%ff", "a" * 300):
        answer = await api("GET", "/v1/groups", key="read", headers={"milepost-viewer": wrong})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/Milepost-Viewer"), wrong
    await put(api, "/v1/groups/league-1/members/user-2", role="whatever")
    token = await token_of(api, "user-2")
    cursor = (await api.get("/v1/groups?limit=1", key=token))["next"]
    assert (await api("GET", f"/v1/groups?limit=1&cursor={cursor}", key=token)).status_code == 200
    assert (await api("GET", f"/v1/groups?limit=1&cursor={cursor}", key="read")).status_code == 400


async def test_an_actor_that_comes_later(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token can be made before anything is known of the actor."""
    monkeypatch.setattr("milepost.access.viewer_tokens.REMEMBERED_S", 0.0)
    token = await token_of(api, "user-7")
    ids = dict.fromkeys(["run"], (await api.send(run_of("user-8")))["ids"][0])
    assert await seen(api, ids, key=token) == set()
    await put(api, "/v1/groups/team-1/members/user-7", role="member")
    assert await seen(api, ids, key=token) == {"run"}
