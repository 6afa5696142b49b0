"""Segment's tracking API: what its messages become, what is kept of those that become nothing, and that retries count once."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from milepost.postgres import Database
from milepost.schema.models import apply_model
from web_client import Api

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

MESSAGE = {
    "type": "track",
    "event": "Workout Completed",
    "userId": "ann",
    "messageId": "m-1",
    "timestamp": "2026-03-01T07:12:00.250Z",
    "properties": {"workout_id": 55, "km": "5.2", "shoes": "old"},
    "context": {"groupId": "team-1", "device": {"model": "fenix"}},
}


def basic(api: Api, key: str = "write") -> dict[str, str]:
    return {"authorization": "Basic " + b64encode(f"{api.keys.get(key, key)}:".encode()).decode()}


async def post(api: Api, path: str, body: Any, *, key: str = "write", **headers: str) -> httpx.Response:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"content-type": "application/json", **basic(api, key), **headers}
    return await api("POST", path, key=None, content=sent, headers=given)


async def send(api: Api, *messages: Any, **more: Any) -> dict[str, Any]:
    """Sends a batch, and waits until it is loaded."""
    answer = await post(api, "/v1/batch", {"batch": messages, "sentAt": "2026-03-01T08:00:00Z", **more})
    assert answer.status_code == 200, answer.text
    await api.send(
        {"actor": "nobody", "verb": "walk", "key": "last", "occurred_at": "2026-01-01T00:00:00Z"}
    )  # a lane is in order
    found: dict[str, Any] = answer.json()
    return found


async def letters(api: Api) -> list[tuple[str, str, Any]]:
    """What lies in the tenant's dead letters: by which way it came, why, and what was sent."""
    async with await Database.connect_owner(api.served.url) as owner:
        rows = await owner.execute(
            "SELECT via, error, payload FROM milepost.dead_letter WHERE tenant_id = %s ORDER BY letter_id", (api.tenant_id,)
        )
        return [(via, error, json.loads(bytes(payload))) for via, error, payload in await rows.fetchall()]


def message(**fields: Any) -> dict[str, Any]:
    return MESSAGE | fields


async def feed(api: Api, actor: str = "ann") -> list[dict[str, Any]]:
    return await api.all_pages(f"/v1/actors/{actor}/feed")


async def test_a_section_says_what_a_track_becomes(api: Api) -> None:
    """Its measures, object and data are the model's; the key is messageId, the time the timestamp as it was sent."""
    assert await send(api, MESSAGE) == {"success": True}
    (found,) = await feed(api)
    kept = ("key", "actor", "verb", "object", "group", "measures", "data", "source", "occurred_at")
    assert {name: found[name] for name in kept} == {
        "key": "m-1",
        "actor": "ann",
        "verb": "run",
        "object": {"kind": "workout", "id": "55"},
        "group": "team-1",
        "measures": {"distance_m": 5200},
        "data": {"device": "fenix", "shoes": "old"},
        "source": "segment",
        "occurred_at": "2026-03-01T07:12:00.25Z",
    } | {"occurred_at": found["occurred_at"]}
    assert datetime.fromisoformat(found["occurred_at"]) == datetime(2026, 3, 1, 7, 12, 0, 250_000, UTC)


async def test_without_a_section_the_verb_is_called_like_the_event(api: Api) -> None:
    """Measures that the verb declares are taken from properties of that name, the object from its kind's id, the rest is data."""
    await send(api, message(event="Walk", properties={"distance_m": 900, "workoutId": "w-9", "mood": "good"}))
    (found,) = await feed(api)
    assert (found["verb"], found["measures"], found["object"]) == (
        "walk",
        {"distance_m": 900},
        {"kind": "workout", "id": "w-9"},
    )
    assert found["data"] == {"workoutId": "w-9", "mood": "good"}


@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "gzip"])
async def test_a_retry_counts_once(api: Api, encoded: bool) -> None:
    """The same messages again, with another sentAt, compressed or not, change nothing; without a timestamp neither."""
    untimed = {name: value for name, value in message(messageId="m-2").items() if name != "timestamp"}
    for minute in range(3):
        body = json.dumps({"batch": [MESSAGE, untimed], "sentAt": f"2026-03-01T08:{minute:02}:00Z"}).encode()
        headers = {"content-encoding": "gzip"} if encoded else {}
        answer = await post(api, "/v1/batch", gzip.compress(body) if encoded else body, **headers)
        assert answer.json() == {"success": True}
    await send(api)
    assert sorted(one["key"] for one in await feed(api)) == ["m-1", "m-2"]


async def test_what_cannot_be_mapped_is_kept(api: Api) -> None:
    """The others are taken, the SDK hears success, and each message that was refused is a dead letter that names the rule to add."""
    strange, wrong = message(event="Swim", messageId="m-3"), message(messageId="m-4", properties={"km": "far"})
    future = message(messageId="m-5", timestamp=(datetime.now(UTC) + timedelta(days=9)).isoformat())
    answer = await send(api, strange, MESSAGE, wrong, future, "text", {"type": "alias", "userId": "a", "previousId": "b"})
    assert answer["success"] is True
    assert [(one["index"], one["pointer"]) for one in answer["rejected"]] == [
        (0, "/event"),
        (2, "/measures/distance_m"),
        (3, "/occurred_at"),
        (4, ""),
        (5, "/type"),
    ]
    assert 'add [[maps.segment.activities]] to the model, with where = { event = "Swim" }' in answer["rejected"][0]["detail"]
    assert [one["key"] for one in await feed(api)] == ["m-1"]
    kept = await letters(api)
    assert [via for via, _, _ in kept] == ["segment"] * 5
    assert [raw.get("messageId", raw["type"]) if isinstance(raw, dict) else raw for _, _, raw in kept] == [
        "m-3",
        "m-4",
        "m-5",
        "text",
        "alias",
    ]


async def test_identify_group_and_their_order(api: Api) -> None:
    """identify makes an actor, merging its traits; group makes a group and a membership from its time on; one request keeps order."""
    traits = [{"firstName": "Ann", "lastName": "Lee", "plan": "free"}, {"plan": "pro", "age": 40}]
    people = [{"type": "identify", "userId": "ann", "messageId": f"i-{at}", "traits": one} for at, one in enumerate(traits)]
    joined = {
        "type": "group",
        "userId": "ann",
        "groupId": "team-7",
        "messageId": "g-1",
        "traits": {"name": "Larks", "goal_m": 9},
    }
    await send(api, people[0], MESSAGE, joined | {"timestamp": "2026-03-01T00:00:00Z"}, people[1])
    wanted = {"id": "ann", "kind": None, "name": "Ann Lee", "attributes": {"plan": "pro", "age": 40}}
    assert await api.get("/v1/actors/ann") == wanted
    group = await api.get("/v1/groups/team-7")
    assert (group["kind"], group["name"], group["attributes"]) == ("team", "Larks", {"goal_m": 9})
    (member,) = await api.all_pages("/v1/groups/team-7/members")
    assert (member["actor"], member["role"]) == ("ann", "member")
    # A late retry of the first identify does not set her back.
    await send(api, people[0])
    assert await api.get("/v1/actors/ann") == wanted
    assert await letters(api) == []


async def test_what_the_stored_state_refuses_is_kept_too(api: Api) -> None:
    """A group message that contradicts what is stored becomes a dead letter in the load, and can be sent again later."""
    put = await api("PUT", "/v1/groups/north", json={"kind": "league"})
    assert put.status_code == 200
    joined = {"type": "group", "userId": "ann", "groupId": "north", "messageId": "g-9", "timestamp": "2026-03-01T00:00:00Z"}
    assert await send(api, joined) == {"success": True}
    ((via, error, raw),) = await letters(api)
    assert (via, raw["messageId"]) == ("segment", "g-9")
    assert "league" in error


@pytest.mark.parametrize("kind", ["track", "identify", "group", "page", "screen", "alias"])
async def test_each_kind_has_a_path(api: Api, kind: str) -> None:
    """One message a request; its kind is the path's."""
    left_out = {"type"} if kind == "track" else {"type", "event"}
    body = {name: value for name, value in MESSAGE.items() if name not in left_out} | {"groupId": "team-1"}
    answer = await post(api, f"/v1/{kind}", body)
    assert answer.status_code == 200
    assert ("rejected" in answer.json()) == (kind in ("page", "screen", "alias"))  # the model has no such verbs


async def test_who_may_not(api: Api) -> None:
    """The write key is the user name of Basic, or a bearer; another key is refused, with the members that SDKs print."""
    for key, status in (("read", 403), ("mp_1_" + "a" * 32, 401), ("", 401)):
        answer = await post(api, "/v1/batch", {"batch": []}, key=key)
        assert answer.status_code == status
        assert answer.json().keys() >= {"type", "title", "status", "detail", "code", "message"}
    assert (await api("POST", "/v1/batch", json={"batch": []})).json() == {"success": True}
    assert (await api("POST", "/v1/batch", key=None, json={}, headers={"authorization": "Basic %%"})).status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"batch": 1}', 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b'{"batch": [' + b"0," * 10_000 + b"0]}", 413),
    ],
)
async def test_a_body_that_is_none(api: Api, body: bytes, status: int) -> None:
    """What is no batch is refused as a whole, in a problem."""
    answer = await post(api, "/v1/batch", body)
    assert answer.status_code == status, answer.text


async def test_half_a_character_costs_its_own_message(api: Api) -> None:
    """A message that holds half of a surrogate pair is kept, and its neighbours are taken."""
    body = json.dumps(
        {"batch": [MESSAGE, message(messageId="m-6", properties={"note": "\ud800"}), message(event="\ud800")]}
    ).encode()
    answer = await post(api, "/v1/batch", body)
    assert answer.status_code == 200
    assert [one["index"] for one in answer.json()["rejected"]] == [1, 2]
    await send(api)
    assert [one["key"] for one in await feed(api)] == ["m-1"]
    assert [(raw["messageId"], raw["event"]) for _, _, raw in await letters(api)] == [
        ("m-6", "Workout Completed"),
        ("m-1", "\ud800"),
    ]


async def test_other_methods(api: Api) -> None:
    """These paths take POST alone."""
    answer = await api("GET", "/v1/batch")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_letter_is_replayed_once_the_model_takes_it(api: Api) -> None:
    """What was refused for want of a section is an activity after the model has one, and its replay counts once."""
    swim = message(event="Swim", messageId="m-7", properties={"distance_m": 400})
    assert [one["pointer"] for one in (await send(api, swim))["rejected"]] == ["/event"]
    (letter,) = (await api.get("/v1/admin/dead-letters"))["items"]
    assert letter["kind"] == "raw"
    section = '[[maps.segment.activities]]\nwhere = { event = "Swim" }\nverb = "walk"\n'
    async with await Database.connect_owner(api.served.url) as owner:
        await apply_model(owner, api.services.models.current.toml + section)
    await api.services.models.run_once()
    answer = await api("POST", f"/v1/admin/dead-letters/{letter['id']}/replay")
    assert answer.status_code < 300, answer.text
    await send(api, swim)
    assert [(one["key"], one["verb"], one["measures"]) for one in await feed(api)] == [("m-7", "walk", {"distance_m": 400})]
    assert (await api.get("/v1/admin/dead-letters"))["items"] == []
