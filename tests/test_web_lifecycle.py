"""Retention, holds and erasure over HTTP: what would go, sooner by rule, held, and gone from every page."""

from __future__ import annotations

import msgspec
import pytest

from milepost.web import lifecycle_schemas
from test_storage_archive import archive, differences
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_actor_is_erased(api: Api) -> None:
    """With its answer it is on no page: not as an activity, an actor, a member, in feeds or on a board; the receipt can be read again."""
    await api("PUT", "/v1/groups/team-1", json={"kind": "team"})
    await api("PUT", "/v1/groups/team-1/members/user-1", json={"role": "member"})
    await api.send(run_of("user-1", key="one", group="team-1"), run_of("user-2", key="two", group="team-1"))
    (mine,) = await api.all_pages("/v1/activities", actor="user-1", verb="run")
    answer = await api("POST", "/v1/admin/erase", json={"actor": "user-1"})
    assert answer.status_code == 200, answer.text
    shown = msgspec.convert(answer.json(), lifecycle_schemas.ErasureShown)
    assert (shown.state, shown.removed["activity"], shown.totals) == ("done", 1, "keep")
    assert [item["actor"] for item in await api.all_pages("/v1/activities", verb="run")] == ["user-2"]
    assert [item["actor"] for item in await api.all_pages("/v1/groups/team-1/feed", verb="run")] == ["user-2"]
    assert await api.all_pages("/v1/groups/team-1/members") == []
    for path in ("/v1/actors/user-1", f"/v1/activities/{mine['id']}"):
        assert (await api("GET", path)).status_code == 404, path
    assert await api.get(f"/v1/admin/erasures/{shown.id}") == answer.json()
    assert (await api("GET", "/v1/admin/erasures/999999")).status_code == 404
    again = await api(
        "POST",
        "/v1/activities",
        json={"activities": [run_of("user-1", key="one", group="team-1")]},
        headers={"prefer": "wait=20"},
    )
    assert again.json()["loaded"] == 0


async def test_a_hold(api: Api) -> None:
    """While it holds, erasing is 409; lifted, it is on record."""
    await api.send(run_of("user-1", key="one"))
    placed = await api("POST", "/v1/admin/holds", json={"actor": "user-1", "reason": "case 7"})
    assert placed.status_code == 200
    assert (await api("POST", "/v1/admin/erase", json={"actor": "user-1"})).status_code == 409
    assert len(msgspec.convert(await api.get("/v1/admin/holds"), lifecycle_schemas.HoldPage).items) == 1
    assert (await api("DELETE", f"/v1/admin/holds/{placed.json()['id']}")).status_code == 204
    assert (await api.get("/v1/admin/holds"))["items"] == []
    assert (await api.get("/v1/admin/holds?lifted=true"))["items"][0]["reason"] == "case 7"


async def test_wrong_words(api: Api) -> None:
    """Each fault is named with its field."""
    for path, body, pointer in (
        ("/v1/admin/erase", {}, "/actor"),
        ("/v1/admin/erase", {"actor": "a", "totals": "none"}, "/totals"),
        ("/v1/admin/holds", {"actor": "a"}, "/reason"),
        ("/v1/admin/holds", {"reason": "x", "actors": "a"}, "/actors"),
    ):
        answer = await api("POST", path, json=body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer), answer.text


async def test_retention_is_told(api: Api) -> None:
    """What is planned and logged, in the shapes that the API describes; a rule that the model has not is 404."""
    msgspec.convert(await api.get("/v1/admin/retention"), lifecycle_schemas.RetentionPage)
    msgspec.convert(await api.get("/v1/admin/retention/log"), lifecycle_schemas.RetentionLog)
    assert (await api("PUT", "/v1/admin/retention/nothing", json={"delete_after": "1 day"})).status_code == 404
    assert (await api("PUT", "/v1/admin/retention/nothing", json={"delete_after": "soon"})).status_code == 400


async def test_what_is_archived_is_erased(api: Api) -> None:
    """Its rows leave the files, which are written anew; no page has it, others' stay, the receipt counts it, and verify agrees."""
    await api.send(
        *(run_of(f"user-{n % 2}", key=f"cold-{n}", occurred_at=f"2026-01-{1 + n:02}T07:00:00Z") for n in range(6)),
    )
    await archive(api)
    answer = await api("POST", "/v1/admin/erase", json={"actor": "user-1"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["removed"]["activity"] == 3
    assert answer.json()["removed"]["cold"] == 3
    assert [item["actor"] for item in await api.all_pages("/v1/activities", verb="run")] == ["user-0"] * 3
    assert await differences(api) == []
