"""Export: every activity once, with its content, from PostgreSQL and the archive, as JSON lines and as ActivityStreams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from file_uploads import PNG, uploaded
from fix_queue import value
from milepost.cli.export import fetch_files
from milepost.feeds import export
from test_storage_archive import archive
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def lines(api: Api, **parameters: Any) -> list[dict[str, Any]]:
    answer = await api("GET", "/v1/admin/export", params=parameters)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson"), answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def held_in(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir()}


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


async def test_large_contents_and_files_come_along(api: Api, tmp_path: Path) -> None:
    """What lies in the object store is in its activity's line; a file by its id, and as an attachment."""
    scan, large = await uploaded(api, api.client), {"text": "x" * 20_000}
    await api.send(
        run_of(verb="submit", content=large), run_of(verb="grade", files={"scan": [scan["ticket"]]}), run_of(content={"a": 1})
    )
    async with await api.services.db.owner() as owner:
        assert await value(owner, "SELECT count(content) FROM milepost.activity WHERE tenant_id = %s", (api.tenant_id,)) == 1
    found = {one["verb"]: one for one in await lines(api)}
    assert found["submit"]["content"] == large and found["run"]["content"] == {"a": 1}
    assert [one["id"] for one in found["grade"]["files"]["scan"]] == [scan["id"]]
    for _ in range(2):  # the second time it is there
        await fetch_files(api.services.files.store, api.services.db, api.tenant_id, found["grade"], tmp_path)
    assert held_in(tmp_path) == {scan["id"]: PNG}
    (shown,) = [one for one in await lines(api, format="activitystreams") if "attachment" in one]
    (attached,) = shown["attachment"]
    assert (attached["type"], attached["mediaType"], attached["milepost:file"]) == ("Image", "image/png", "scan")


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
