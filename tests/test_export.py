"""Export: every activity once, with its content, from PostgreSQL and the archive, as JSON lines and as ActivityStreams."""

from __future__ import annotations

import json
from typing import Any

import pytest

from milepost.feeds import export
from test_storage_archive import archive
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def lines(api: Api, **parameters: Any) -> list[dict[str, Any]]:
    answer = await api("GET", "/v1/admin/export", params=parameters)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson"), answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_everything_is_exported(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page after page, hot and cold, newest first; one actor's alone; the same as the lists show, and the content beside it."""
    monkeypatch.setattr(export, "PAGE", 4)
    await api.send(*(run_of(f"user-{n % 2}", key=f"k-{n}", occurred_at=f"2026-01-{1 + n:02}T07:00:00Z") for n in range(6)))
    await archive(api)
    await api.send(*(run_of("user-1", key=f"n-{n}", content={"laps": [n]}, group="team-1") for n in range(5)))
    found = await lines(api)
    shown = await api.all_pages("/v1/activities")
    assert [{name: value for name, value in one.items() if name != "content"} for one in found] == shown
    assert sum("content" in one for one in found) == 5
    mine = await lines(api, actor="user-0")
    assert {one["actor"] for one in mine} == {"user-0"}
    assert await lines(api, actor="nobody") == []


async def test_activity_streams(api: Api) -> None:
    """Each line is an Activity of the vocabulary, with its actor, object, audience and times."""
    await api.send(run_of("user-1", object={"kind": "workout", "id": "w-1"}, visibility="public", measures={"distance_m": 5.5}))
    (one,) = [line for line in await lines(api, format="activitystreams") if "milepost:run" in line["type"]]
    assert one["@context"][0] == "https://www.w3.org/ns/activitystreams"
    assert (one["type"][0], one["actor"]["id"], one["object"]["id"]) == (
        "Activity",
        "milepost:actor/user-1",
        "milepost:object/workout/w-1",
    )
    assert one["to"].endswith("#Public")
    assert one["milepost:measures"] == {"distance_m": 5.5}
