"""CloudEvents over HTTP: the three modes, what an event becomes, and what is said of one that cannot be taken."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import httpx
import pytest

from web_client import Api

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/v1/cloudevents"
STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
EVENT = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "https://example.com/desk",
    "type": "com.example.ticket.opened",
    "subject": "T-7",
    "time": "2026-03-01T07:12:00Z",
    "data": {"user": "ann", "topic": "login"},
}


async def post(api: Api, body: Any, content_type: str | None, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = headers | ({} if content_type is None else {"content-type": content_type})
    return await api("POST", PATH, content=content, headers=given)


async def loaded(api: Api) -> None:
    await api.send(
        {"actor": "nobody", "verb": "walk", "key": "last", "occurred_at": "2026-01-01T00:00:00Z"}
    )  # a lane is in order


async def feed(api: Api, actor: str = "ann") -> list[dict[str, Any]]:
    await loaded(api)
    return await api.all_pages(f"/v1/actors/{actor}/feed")


def headers_of(event: dict[str, Any]) -> dict[str, str]:
    return {f"ce-{name}": value for name, value in event.items() if name != "data"}


async def test_the_three_modes_are_one_event(api: Api) -> None:
    """Binary, structured and in a batch, with data as JSON or as base64 of it: the same activity, which counts once."""
    encoded = {name: value for name, value in EVENT.items() if name != "data"} | {
        "data_base64": b64encode(json.dumps(EVENT["data"]).encode()).decode(),
        "datacontenttype": "application/json",
    }
    answers = [
        await post(api, EVENT, STRUCTURED),
        await post(api, encoded, f"{STRUCTURED}; charset=utf-8"),
        await post(api, [EVENT, encoded], BATCH),
        await post(api, EVENT["data"], "application/json", **headers_of(EVENT)),
    ]
    assert [(one.status_code, one.json()["accepted"]) for one in answers] == [(202, 1), (202, 1), (202, 2), (202, 1)]
    (found,) = await feed(api)
    assert found["key"] == "e-1"
    assert found["source"] == "https://example.com/desk"
    assert (found["verb"], found["object"]) == ("report", {"kind": "ticket", "id": "T-7"})
    assert found["data"] == {"topic": "login"}
    state = await api.get(f"/v1/receipts/{answers[0].json()['receipt']}")
    assert state["state"] == "loaded"


async def test_an_event_without_a_time_counts_once(api: Api) -> None:
    """Source and id recognise it, whenever it comes again; the same id of another source is another event."""
    untimed = {name: value for name, value in EVENT.items() if name != "time"}
    for source in ("a", "a", "b"):
        assert (await post(api, untimed | {"source": source}, STRUCTURED)).status_code == 202
    assert sorted(one["source"] for one in await feed(api)) == ["a", "b"]


async def test_the_verb_may_be_the_end_of_the_type(api: Api) -> None:
    """Without a section, the verb is called like the type or its end, and the rest is looked for where it usually is."""
    event = EVENT | {"type": "com.example.run", "authid": "bob", "data": {"distance_m": 5000, "group": "team-1"}}
    assert (await post(api, event, STRUCTURED)).status_code == 202
    (found,) = await feed(api, "bob")
    assert (found["verb"], found["measures"], found["group"]) == ("run", {"distance_m": 5000}, "team-1")
    assert found["object"] == {"kind": "workout", "id": "T-7"}


async def test_headers_are_unescaped(api: Api) -> None:
    """Attributes of the binary mode come percent-encoded."""
    headers = headers_of(EVENT | {"subject": "T%20%E2%82%AC"})
    assert (await post(api, {"user": "ann"}, "application/json", **headers)).status_code == 202
    (found,) = await feed(api)
    assert found["object"]["id"] == "T €"


async def test_each_event_of_a_batch_stands_alone(api: Api) -> None:
    """Those that cannot be taken are named with their index and the rule to add, the others are taken."""
    events = [
        EVENT | {"type": "com.example.unknown"},
        EVENT,
        EVENT | {"data": {"user": 17 * "x" * 40}},
        EVENT | {"specversion": "0.3"},
        {"id": "e"},
        5,
        EVENT | {"data_base64": "%"},
    ]
    answer = await post(api, events, BATCH)
    assert answer.status_code == 202
    said = answer.json()
    assert said["accepted"] == 1
    assert [(one["index"], one["pointer"]) for one in said["rejected"]] == [
        (0, "/type"),
        (2, "/actor"),
        (3, "/specversion"),
        (4, "/source"),
        (5, ""),
        (6, "/data_base64"),
    ]
    assert "[[maps.cloudevents.activities]]" in said["rejected"][0]["detail"]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "pointer"),
    [
        (EVENT | {"type": "com.example.unknown"}, STRUCTURED, 422, "/type"),
        (EVENT | {"data": {}}, STRUCTURED, 422, "/actor"),
        (EVENT | {"id": ""}, STRUCTURED, 400, "/id"),
        (b"{", STRUCTURED, 400, ""),
        (b"[]", STRUCTURED, 400, ""),
        (b"{}", BATCH, 400, ""),
        (b"[" * 100_000, BATCH, 400, ""),
        (b"{}", "application/json", 415, None),
        (b"<event/>", "application/cloudevents+xml", 415, None),
    ],
)
async def test_one_that_cannot_be_taken(api: Api, body: Any, content_type: str, status: int, pointer: str | None) -> None:
    """A single event is a problem, since its sender reads the status alone."""
    answer = await post(api, body, content_type)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert [one["pointer"] for one in answer.json().get("errors", [])] == ([] if pointer is None else [pointer])


async def test_data_of_other_kinds(api: Api) -> None:
    """Data that is no JSON object is the activity's content; what is not JSON by its type is not read as it."""
    headers = headers_of(EVENT | {"type": "com.example.walk", "authid": "cy"})
    assert (await post(api, b"plain words", "text/plain", **headers)).status_code == 202
    assert (await post(api, b"{", "application/json", **headers)).status_code == 400
    (found,) = await feed(api, "cy")
    answer = await api("GET", f"/v1/activities/{found['id']}/content")
    assert answer.json() == "plain words"
