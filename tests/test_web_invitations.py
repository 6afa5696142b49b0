"""Invitations over HTTP: asked, accepted, declined, revoked, expired; and who may ask whom as what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from milepost.web import access_schemas
from web_client import Api

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKED = "/v1/groups/team-1/invitations/user-2"


async def put(api: Api, path: str, **body: Any) -> dict[str, Any]:
    answer = await api("PUT", path, json=body)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def members(api: Api) -> dict[str, str]:
    return {one["actor"]: one["role"] for one in await api.all_pages("/v1/groups/team-1/members")}


async def test_an_invitation_accepted(api: Api) -> None:
    """It makes a member from then on, added by whoever asked; accepting again changes nothing."""
    await put(api, "/v1/groups/team-1", kind="team")
    await put(api, "/v1/groups/team-1/members/user-1", role="captain")
    shown = await put(api, ASKED, role="member", permissions=["invite"], by="user-1")
    assert msgspec.to_builtins(msgspec.convert(shown, access_schemas.InvitationShown)).keys() == shown.keys()
    assert (shown["state"], shown["invited_by"], shown["decided_at"]) == ("open", "user-1", None)
    assert await members(api) == {"user-1": "captain"}
    answers = [await api("POST", ASKED, json={"answer": "accept"}) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["state"] == "accepted"
    (member,) = [one for one in await api.all_pages("/v1/groups/team-1/members") if one["actor"] == "user-2"]
    assert (member["role"], member["permissions"], member["added_by"]) == ("member", ["invite"], "user-1")
    for method, body in (("POST", {"answer": "decline"}), ("DELETE", None)):
        assert (await api(method, ASKED, json=body)).status_code == 409
    assert (await api("PUT", ASKED, json={"role": "member"})).status_code == 409  # a member is not invited


async def test_declined_revoked_expired(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them makes a member; and each can be followed by a new invitation."""
    await put(api, "/v1/groups/team-1", kind="team")
    key = (await put(api, ASKED, role="member"))["invited_by"]
    assert key.startswith(f"mp_{api.tenant_id}_")
    assert (await api("POST", ASKED, json={"answer": "decline"})).json()["state"] == "declined"
    assert (await api("POST", ASKED, json={"answer": "accept"})).status_code == 409
    assert (await put(api, ASKED, role="captain"))["state"] == "open"
    assert (await api("DELETE", ASKED)).status_code == 204
    assert (await api("POST", ASKED, json={"answer": "accept"})).status_code == 409
    soon = datetime.now(UTC) + timedelta(seconds=1)
    await put(api, ASKED, role="member", expires_at=soon.isoformat())
    while datetime.now(UTC) <= soon:
        await api.get("/v1/groups/team-1")
    assert [one["state"] for one in await api.all_pages("/v1/groups/team-1/invitations")] == ["expired"]
    answer = await api("POST", ASKED, json={"answer": "accept"})
    assert (answer.status_code, "expired" in answer.json()["detail"]) == (409, True)
    assert await members(api) == {}
    assert (await api("DELETE", ASKED)).status_code == 204


async def test_who_may_invite(api: Api) -> None:
    """By name: who has the action there, or above; and nobody gives what it has not."""
    await put(api, "/v1/groups/league-1", kind="league")
    await put(api, "/v1/groups/team-1", kind="team", parent="league-1")
    await put(api, "/v1/groups/team-1/members/captain", role="captain")
    await put(api, "/v1/groups/team-1/members/plain", role="member")
    await put(api, "/v1/groups/team-1/members/host", role="member", permissions=["invite"])
    await put(api, "/v1/groups/league-1/members/above", role="any", permissions=["invite", "read", "write"])
    for by, role, permissions, pointer in (
        ("captain", "captain", [], None),
        ("plain", "member", [], "/by"),
        ("nobody", "member", [], "/by"),
        ("host", "member", [], None),
        ("host", "member", ["invite"], None),
        ("host", "captain", [], "/role"),
        ("host", "member", ["correct"], "/role"),
        ("above", "member", ["invite"], None),
    ):
        answer = await api("PUT", ASKED, json={"role": role, "permissions": permissions, "by": by})
        if pointer is None:
            assert answer.status_code == 200, (by, answer.text)
        else:
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), (by, answer.text)


async def test_invitations_that_cannot_be(api: Api) -> None:
    """What is wrong is told by field; what is not there is 404."""
    await put(api, "/v1/groups/team-1", kind="team")
    for body, pointers in (
        ({}, ["/role"]),
        ({"role": "king"}, ["/role"]),
        ({"role": "member", "expires_at": "2020-01-01T00:00:00Z"}, ["/expires_at"]),
        ({"role": "member", "expires_at": "always"}, ["/expires_at"]),
        ({"role": "member", "colour": 1}, ["/colour"]),
    ):
        answer = await api("PUT", ASKED, json=body)
        assert (answer.status_code, [one["pointer"] for one in answer.json()["errors"]]) == (422, pointers), answer.text
    assert (await api("PUT", "/v1/groups/none/invitations/user-2", json={"role": "member"})).status_code == 404
    assert (await api("POST", ASKED, json={"answer": "accept"})).status_code == 404
    assert (await api("POST", ASKED, json={"answer": "perhaps"})).status_code == 422
    assert (await api("DELETE", ASKED)).status_code == 404
    for path in ("/v1/groups/none/invitations", "/v1/actors/none/invitations"):
        assert (await api("GET", path)).status_code == 404


async def test_lists_and_viewers(api: Api) -> None:
    """Lists by group and by actor, page by page, by state. Being invited shows nothing of the group but the invitation."""
    for team in ("team-1", "team-2"):
        await put(api, f"/v1/groups/{team}", kind="team")
        for actor in ("user-1", "user-2"):
            await put(api, f"/v1/groups/{team}/invitations/{actor}", role="member")
    await api("POST", ASKED, json={"answer": "accept"})
    path = "/v1/groups/team-1/invitations"
    assert [one["actor"] for one in await api.all_pages(path, limit=1)] == ["user-1", "user-2"]
    assert [one["actor"] for one in await api.all_pages(path, state="open")] == ["user-1"]
    assert [one["group"] for one in await api.all_pages("/v1/actors/user-2/invitations", limit=1)] == ["team-1", "team-2"]
    shown = await api.get(path)
    assert msgspec.to_builtins(msgspec.convert(shown, access_schemas.InvitationPage)).keys() == shown.keys()
    token = (await api("POST", "/v1/admin/viewer-tokens", json={"actor": "user-1"})).json()["token"]
    assert [one["state"] for one in await api.all_pages("/v1/actors/user-1/invitations", key=token)] == ["open", "open"]
    for hidden in (path, "/v1/groups/team-1", "/v1/actors/user-2/invitations"):
        assert (await api("GET", hidden, key=token)).status_code == 404
    token = (await api("POST", "/v1/admin/viewer-tokens", json={"actor": "user-2"})).json()["token"]
    assert (await api("GET", path, key=token)).status_code == 200
