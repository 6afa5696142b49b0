"""Versions: every correction of a verb that keeps them, read, compared, restored and blamed."""

from __future__ import annotations

from typing import Any

import jsonpatch
import pytest

from milepost.postgres import Database
from web_client import Api

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def sent(api: Api, **more: Any) -> str:
    given = {"actor": "ana", "verb": "assign", "object": {"kind": "assessment", "id": "a-1"}, **more}
    taken = await api.send(given, headers={"prefer": "wait=20, return=representation"})
    return f"/v1/activities/{taken['ids'][0]}"


async def corrected(api: Api, path: str, **patch: Any) -> None:
    answer = await api("PATCH", path, json=patch, params={"why": f"because of {next(iter(patch))}"})
    assert answer.status_code == 200, answer.text


async def edited(api: Api) -> str:
    """Four versions."""
    path = await sent(api, content={"title": "Mechanics", "questions": ["a", "b"]}, data={"weight": 1.5})
    await corrected(api, path, content={"title": "Optics"})
    await corrected(api, path, data={"weight": 2.25})
    await corrected(api, path, content={"questions": ["a", "b", "c"]})
    return path


async def test_each_correction_is_a_version_with_who_when_and_why(api: Api) -> None:
    """The newest first, in pages; none before the first correction."""
    path = await sent(api, content={"title": "Mechanics"})
    assert (await api.get(f"{path}/versions"))["items"] == []
    path = await edited(api)
    items = (await api.get(f"{path}/versions"))["items"]
    assert [(one["version"], one["why"]) for one in items] == [
        (4, "because of content"),
        (3, "because of data"),
        (2, "because of content"),
        (1, None),
    ]
    assert items[0]["by"].startswith("mp_") and items[3]["by"] is None
    page = await api.get(f"{path}/versions", params={"limit": 3})
    rest = await api.get(f"{path}/versions", params={"limit": 3, "cursor": page["next"]})
    assert page["items"] + rest["items"] == items and rest["next"] is None


async def test_any_version_is_read_and_any_two_compared(api: Api) -> None:
    """The difference applied to the one gives the other, both ways."""
    path = await edited(api)
    versions = {n: (await api.get(f"{path}/versions/{n}"))["activity"] for n in (1, 2, 3, 4)}
    assert versions[1]["content"] == {"title": "Mechanics", "questions": ["a", "b"]}
    assert versions[2]["content"]["title"] == "Optics" and versions[2]["data"] == {"weight": 1.5}
    assert versions[4]["content"]["questions"] == ["a", "b", "c"] and versions[4]["data"] == {"weight": 2.25}
    for one, other in ((1, 4), (4, 2), (3, 3)):
        found = await api.get(f"{path}/versions/{one}/diff", params={"to": other})
        assert jsonpatch.apply_patch(versions[one], found["patch"]) == versions[other]
    assert (await api("GET", f"{path}/versions/5")).status_code == 404
    assert (await api("GET", f"{path}/versions/1/diff", params={"to": 9})).status_code == 404


async def test_a_restored_version_becomes_the_newest(api: Api) -> None:
    """With its content and its data, and the ones between stay."""
    path = await edited(api)
    answer = await api("POST", f"{path}/versions/1/restore", params={"why": "it was right"}, headers={"if-match": '"4"'})
    assert answer.status_code == 200 and answer.json()["version"] == 5, answer.text
    assert await api.get(f"{path}/content") == {"title": "Mechanics", "questions": ["a", "b"]}
    assert (await api.get(path))["data"] == {"weight": 1.5}
    items = (await api.get(f"{path}/versions"))["items"]
    assert [one["version"] for one in items] == [5, 4, 3, 2, 1] and items[0]["why"] == "it was right"
    first, fifth = [(await api.get(f"{path}/versions/{n}"))["activity"] for n in (1, 5)]
    assert first == fifth
    assert (await api("POST", f"{path}/versions/9/restore")).status_code == 404


async def test_who_edits_an_old_version_is_told_the_current_one(api: Api) -> None:
    """412 for a correction and for a restore, and nothing is changed."""
    path = await edited(api)
    for method, where in (("PATCH", path), ("POST", f"{path}/versions/1/restore")):
        more: dict[str, Any] = {"json": {"content": {"title": "Thermodynamics"}}} if method == "PATCH" else {}
        answer = await api(method, where, headers={"if-match": '"2"'}, **more)
        assert (answer.status_code, answer.json()["version"]) == (412, 4)
    assert (await api.get(f"{path}/content"))["title"] == "Optics"


async def test_blame_names_the_version_of_each_part(api: Api) -> None:
    """The version that last changed it, for the part and its members."""
    path = await edited(api)
    found = {one["part"]: one["version"] for one in (await api.get(f"{path}/blame"))["items"]}
    assert found == {"/content": 4, "/content/title": 2, "/content/questions": 4}
    found = await api.get(f"{path}/blame", params={"part": "/content/questions"})
    assert {one["part"]: one["version"] for one in found["items"]} == {
        "/content/questions": 4,
        "/content/questions/0": 1,
        "/content/questions/1": 1,
        "/content/questions/2": 4,
    }
    assert (await api("GET", f"{path}/blame", params={"part": "/content/nothing"})).status_code == 404


async def test_versions_go_with_the_activity(api: Api) -> None:
    """Retracted: nothing of it is left. And a verb that does not ask for versions has none."""
    path = await edited(api)
    assert (await api("DELETE", path)).status_code == 204
    assert (await api("GET", f"{path}/versions")).status_code == 404
    plain = await sent(api, verb="submit")
    await corrected(api, plain, status="late")
    assert (await api.get(f"{plain}/versions"))["items"] == []
    async with await Database.connect_owner(api.served.url) as owner:
        query = b"SELECT count(*) FROM milepost.activity_version WHERE tenant_id = %s"
        assert await (await owner.execute(query, (api.tenant_id,))).fetchone() == (0,)


async def test_a_damaged_version_is_named_and_not_shown(api: Api) -> None:
    """The others are."""
    path = await edited(api)
    async with await Database.connect_owner(api.served.url) as owner:
        query = b"UPDATE milepost.activity_version SET digest = '\\x00' WHERE tenant_id = %s AND version = 3"
        await owner.execute(query, (api.tenant_id,))
    answer = await api("GET", f"{path}/versions/3")
    assert answer.status_code == 500 and answer.json()["object"].endswith("/versions/3")
    assert (await api("GET", f"{path}/versions/4")).status_code == 200
