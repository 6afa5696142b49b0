"""One activity over HTTP: read, corrected, retracted, its content; and that other tenants do not see it."""

from __future__ import annotations

from typing import Any

import pytest

from web_client import Api, run_of, tenant_on

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

GONE = {
    "type": "/problems/not-found",
    "title": "There is no such thing here",
    "status": 404,
    "detail": "There is no such activity.",
}


async def sent(api: Api, **fields: Any) -> str:
    """The path of an activity that is loaded."""
    taken = await api.send(run_of(**fields))
    return f"/v1/activities/{taken['ids'][0]}"


async def distance(api: Api, group: str = "team-1") -> Any:
    rows = (await api.get("/v1/rollups/team_distance", params={"group": group, "bucket": "all"}))["items"]
    return rows[0]["values"]["sum(distance_m)"] if rows else None


async def test_reading_gives_what_was_sent(api: Api) -> None:
    """Every field comes back as it was sent; measures are exact; absent ones are absent."""
    fields: dict[str, Any] = {
        "key": "run-8841",
        "object": {"kind": "workout", "id": "w-55"},
        "measures": {"distance_m": 5200.1, "duration_s": 1710},
        "data": {"note": "river loop", "device": "fenix", "own": [1, {"a": None}]},
        "visibility": "public",
        "source": "strava",
        "status": "ok",
    }
    path = await sent(api, **fields)
    shown = await api.get(path)
    received_at = shown.pop("received_at")
    assert received_at.endswith("Z")
    assert shown == {"id": path.rpartition("/")[2], "version": 1, **run_of(**fields)}
    assert '"distance_m":5200.1' in (await api("GET", path)).text


async def test_several_groups(api: Api) -> None:
    """An activity of several groups is in the feed of each, once."""
    path = await sent(api, group=None, groups=["team-1", "team-2", "team-3"])
    shown = await api.get(path)
    assert shown["groups"] == ["team-1", "team-2", "team-3"]
    for group in shown["groups"]:
        feed = await api.all_pages(f"/v1/groups/{group}/feed")
        assert [item["id"] for item in feed] == [shown["id"]]
        assert [item["id"] for item in await api.all_pages("/v1/activities", group=group)] == [shown["id"]]


async def test_correction(api: Api) -> None:
    """A merge patch changes what it names, in everything derived too, and the version counts."""
    path = await sent(api, measures={"distance_m": 5200.5}, data={"note": "wet", "device": "fenix"})
    answer = await api("PATCH", path, json={"measures": {"distance_m": 6000.5}, "data": {"note": None}})
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == '"2"'
    shown = answer.json()
    assert shown == await api.get(path)
    assert (shown["version"], shown["measures"], shown["data"]) == (2, {"distance_m": 6000.5}, {"device": "fenix"})
    assert await distance(api) == 6000.5


async def test_moving_in_time(api: Api) -> None:
    """A corrected time moves the activity in its feeds; its id stays."""
    path = await sent(api, key="one")
    await api.send(run_of("user-2", occurred_at="2026-03-10T00:00:00Z"))
    answer = await api("PATCH", path, json={"occurred_at": "2026-04-01T08:00:00+02:00"})
    assert answer.json()["occurred_at"] == "2026-04-01T06:00:00Z"
    assert answer.json()["id"] == path.rpartition("/")[2]
    feed = await api.all_pages("/v1/groups/team-1/feed")
    assert [item["actor"] for item in feed] == ["user-1", "user-2"]
    again = await api.send(run_of(key="one"))
    assert (again["loaded"], again["duplicates"]) == (0, 1)


async def test_if_match(api: Api) -> None:
    """If-Match on another version than the current one: 412 with the current one, and nothing changes."""
    path = await sent(api, measures={"distance_m": 1000})
    tag = (await api("GET", path)).headers["etag"]
    assert (await api("PATCH", path, json={"status": "ok"}, headers={"if-match": tag})).status_code == 200
    for method in ("PATCH", "DELETE"):
        more: dict[str, Any] = {"json": {"status": "late"}} if method == "PATCH" else {}
        answer = await api(method, path, headers={"if-match": tag}, **more)
        assert answer.json() == {
            "type": "/problems/precondition-failed",
            "title": "It has changed since it was read",
            "status": 412,
            "detail": "The activity is at version 2 by now.",
            "version": 2,
        }
    assert (await api.get(path))["status"] == "ok"
    answer = await api("PATCH", path, json={}, headers={"if-match": "2"})
    assert answer.json()["errors"][0]["pointer"] == "/If-Match"
    assert (await api("DELETE", path, headers={"if-match": "*"})).status_code == 204


async def test_a_correction_that_cannot_be(api: Api) -> None:
    """What would make the activity invalid, or change its identity, is refused with the field; nothing changes."""
    path = await sent(api, measures={"distance_m": 1000}, key="one")
    await api.send(run_of(key="two", occurred_at="2026-03-02T00:00:00Z"))
    before = await api.get(path)
    for patch, pointer, detail in (
        ({"verb": "rum"}, "/verb", "'rum' is not a verb of the model; did you mean run?"),
        ({"measures": {"distance_m": -1}}, "/measures/distance_m", "Expected float >= 0.0"),
        ({"key": "three"}, "/key", "cannot be changed"),
        ({"occurred_at": "2999-01-01T00:00:00Z"}, "/occurred_at", "more than 24 hours in the future"),
        ({"actor": None}, "/actor", "is required"),
        ({"verb": None}, "/verb", "is required"),
        ({"verb": ["run"]}, "/verb", "Expected str"),
        ({"data": {"note": "a\0b"}}, "/data/note", "contains the character NUL (\\u0000), which cannot be stored"),
    ):
        answer = await api("PATCH", path, json=patch)
        assert answer.status_code == 422, answer.text
        assert answer.json()["type"] == "/problems/unprocessable"
        assert answer.json()["errors"] == [{"pointer": pointer, "detail": detail}]
    for body in (b"[]", b"{", b"7"):
        assert (await api("PATCH", path, content=body)).status_code == 400
    assert await api.get(path) == before


async def test_retraction(api: Api) -> None:
    """A retracted activity is gone from everything derived, and stays so when it is sent again."""
    path = await sent(api, key="one", measures={"distance_m": 1000})
    assert await distance(api) == 1000
    answer = await api("DELETE", path)
    assert (answer.status_code, answer.content) == (204, b"")
    for method in ("GET", "DELETE"):
        assert (await api(method, path)).json() == GONE
    assert await distance(api) is None
    again = await api.send(run_of(key="one", measures={"distance_m": 1000}))
    assert (again["loaded"], again["duplicates"]) == (0, 1)
    assert await api.all_pages("/v1/groups/team-1/feed") == []


async def test_a_change_follows_what_was_sent(api: Api) -> None:
    """An activity can be changed before it is loaded: changes wait in its lane."""
    body = {"activities": [run_of(key="one", measures={"distance_m": 1000})]}
    answer = await api("POST", "/v1/activities", json=body, headers={"prefer": "return=representation"})
    path = f"/v1/activities/{answer.json()['ids'][0]}"
    assert (await api("PATCH", path, json={"measures": {"distance_m": 2000}})).status_code == 200
    assert await distance(api) == 2000


async def test_receipts_of_what_is_gone_and_of_what_failed(api: Api) -> None:
    """A batch whose table was emptied was loaded; one that lies in the dead letters says so; an unknown one is not there."""
    receipts = api.services.receipts
    gone, failed = receipts.sign(api.tenant_id, 2**40), receipts.sign(api.tenant_id, 2**41)
    owner = await api.services.db.owner()
    try:
        await owner.execute(
            b"INSERT INTO milepost.dead_letter (tenant_id, batch_id, kind, model, rows, received_at, payload, error)"
            b" VALUES (%s, %s, 0, 1, 5, now(), '', 'why')",
            (api.tenant_id, 2**41),
        )
    finally:
        await owner.close()
    assert await api.get(f"/v1/receipts/{gone}") == {"receipt": gone, "state": "loaded"}
    assert await api.get(f"/v1/receipts/{failed}") == {"receipt": failed, "state": "set aside", "set_aside": 5}
    for wrong in (receipts.sign(api.tenant_id + 1, 1), gone[:-2], "x", "ü", gone.swapcase()):
        assert (await api("GET", f"/v1/receipts/{wrong}")).status_code == 404


async def test_a_change_that_takes_long(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that is not done in time is 202 with a receipt, which tells its outcome."""
    path = await sent(api)
    monkeypatch.setattr("milepost.web.lane.WAIT_S", 0)
    answer = await api("PATCH", path, json={"status": "ok"})
    assert answer.status_code == 202
    receipt = answer.json()["receipt"]
    await api.send(run_of("user-2"))
    state = await api.get(f"/v1/receipts/{receipt}")
    assert (state["state"], state["result"]["status"]) == ("loaded", 200)


async def test_content(api: Api) -> None:
    """Content has a route of its own, and is read whole or by part."""
    content = {"questions": [{"text": "a"}, {"text": "b", "a/b": {"~": 1.25}}], "n": None}
    path = await sent(api, content=content)
    assert "content" not in await api.get(path)
    assert await api.get(f"{path}/content") == content
    for part, value in {"": content, "/questions/1/text": "b", "/questions/1/a~1b/~0": 1.25, "/n": None}.items():
        assert await api.get(f"{path}/content", params={"part": part} if part else {}) == value
    for part in ("/questions/2", "/questions/-1", "/questions/01", "/none", "/n/x"):
        answer = await api("GET", f"{path}/content", params={"part": part})
        assert answer.json()["detail"] == f"The content has no part {part!r}."
    assert (await api("GET", f"{path}/content", params={"part": "n"})).status_code == 400
    bare = await sent(api, actor="user-2")
    assert (await api("GET", f"{bare}/content")).json()["detail"] == "The activity has no content."


async def test_entity_tags(api: Api) -> None:
    """If-None-Match with the ETag of what is there gets 304 and no body; after a change, the new one."""
    path = await sent(api)
    for url in (path, "/v1/groups/team-1/feed", "/v1/rollups/team_distance", "/v1/actors/user-1"):
        answer = await api("GET", url)
        tag = answer.headers["etag"]
        assert answer.headers["cache-control"] == "private, no-cache"
        for header in (tag, f'W/{tag}, "other"', "*"):
            same = await api("GET", url, headers={"if-none-match": header})
            assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
        assert (await api("GET", url, headers={"if-none-match": '"other"'})).status_code == 200
    tag = (await api("GET", path)).headers["etag"]
    await api("PATCH", path, json={"status": "ok"})
    assert (await api("GET", path, headers={"if-none-match": tag})).status_code == 200


async def test_another_tenant(api: Api) -> None:
    """Another tenant's key sees none of it, and cannot change it: 404 as if it were not there, or nothing in lists."""
    path = await sent(api, object={"kind": "workout", "id": "w-1"}, content={"a": 1})
    await api("PUT", "/v1/groups/team-1", json={"kind": "team", "attributes": {"goal_m": 1}})
    taken = await api.send(run_of("user-2"))
    other = (await tenant_on(api.served))[1]["all"]
    absent = path[:-4] + "0000"
    for method, url, more in (
        ("GET", path, {}),
        ("GET", f"{path}/content", {}),
        ("PATCH", path, {"json": {"status": "ok"}}),
        ("DELETE", path, {}),
    ):
        seen = await api(method, url, key=other, **more)
        assert seen.status_code == 404
        assert seen.content == (await api(method, url.replace(path, absent), key=other, **more)).content
    for url in ("/v1/groups/team-1", "/v1/actors/user-1", "/v1/groups/team-1/feed", "/v1/actors/user-1/feed",
                "/v1/groups/team-1/members", "/v1/goals/team_goal?group=team-1", f"/v1/receipts/{taken['receipt']}"):  # fmt: skip
        assert (await api("GET", url, key=other)).status_code == 404, url
    for url in ("/v1/activities", "/v1/objects/workout/w-1/feed", "/v1/rollups/team_distance", "/v1/actors", "/v1/groups"):
        assert (await api.get(url, key=other))["items"] == [], url
    assert (await api.get(path))["version"] == 1


async def test_a_revoked_key(api: Api) -> None:
    """A revoked key is refused, within a second of the revocation; revoking is safe twice."""
    key_id = "_".join([*api.keys["read"].split("_")[:2], api.keys["read"].split("_")[2][:8]])
    assert (await api("GET", "/v1/activities", key="read")).status_code == 200
    for _ in range(2):
        assert (await api("DELETE", f"/v1/admin/keys/{key_id}", key="admin")).status_code == 204
    listed = {one["key_id"]: one["revoked_at"] for one in (await api.get("/v1/admin/keys"))["items"]}
    assert listed[key_id] is not None
    api.services.keys._known.clear()  # what a second does
    answer = await api("GET", "/v1/activities", key="read")
    assert answer.status_code == 401
    assert answer.json()["detail"] == "The key is missing, wrong or revoked."
    assert (await api("DELETE", "/v1/admin/keys/mp_1_nobody12", key="admin")).status_code == 404


async def test_a_change_that_comes_first(api: Api) -> None:
    """With `Prefer: respond-async` a change of an activity that is not there yet waits for it; without, it is 404."""
    await api.send(run_of(key="late"))
    activity = (await api.get("/v1/activities"))["items"][0]["id"]
    _, keys = await tenant_on(api.served)
    other = keys["all"]
    # An id that nobody of the other tenant has: ids are of their tenant.
    path = f"/v1/activities/{activity}"
    assert (await api("PATCH", path, key=other, json={"status": "ok"})).status_code == 404
    for method, more in (("PATCH", {"json": {"status": "ok"}}), ("DELETE", {})):
        answer = await api(method, path, key=other, headers={"prefer": "respond-async"}, **more)
        assert (answer.status_code, answer.json()) == (202, {"parked": True})
        assert answer.headers["preference-applied"] == "respond-async"
    done = await api("PATCH", path, json={"status": "ok"}, headers={"prefer": "respond-async"})
    assert (done.status_code, done.json()["status"]) == (200, "ok")
