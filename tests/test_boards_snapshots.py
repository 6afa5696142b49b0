"""Boards as they once stood: taken on purpose or at the ends of windows, read, compared with, forgotten, and unmoved by corrections."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from milepost.boards.snapshots import forget_expired, keep_ended
from milepost.model import Snapshots, definition_hash, parse_model
from milepost.rollups.verify import verify
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


def metres(actor: str, distance: float, at: str = "2026-03-04T10:00:00Z", **fields: Any) -> dict[str, Any]:
    return run_of(actor, occurred_at=at, measures={"distance_m": distance}, **fields)


async def take(api: Api, name: str, window: str = "all", board: str = "distance", **body: Any) -> dict[str, Any]:
    answer = await api("PUT", f"/v1/boards/{board}/snapshots/{name}", json={"window": window, **body})
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def ladder(api: Api, **asked: Any) -> list[tuple[int, str, float]]:
    found = await api.get("/v1/boards/distance", params={"window": "all", **asked})
    return [(item["rank"], item["member"], item["score"]) for item in found["items"]]


async def three(api: Api) -> None:
    await api.send(metres("ana", 300), metres("ben", 200), metres("cem", 100))


async def test_a_snapshot_stays_as_it_was(api: Api) -> None:
    """Its page, a standing in it and friends of it are those of the moment, whatever comes later; the board itself goes on."""
    await three(api)
    kept = await take(api, "kickoff")
    assert (kept["name"], kept["members"], kept["kept"], kept["begins"], kept["expires_at"]) == ("kickoff", 3, 3, None, None)
    await api.send(metres("cem", 900), metres("dia", 800))
    assert await ladder(api, snapshot="kickoff") == [(1, "ana", 300), (2, "ben", 200), (3, "cem", 100)]
    assert await ladder(api) == [(1, "cem", 1000), (2, "dia", 800), (3, "ana", 300), (4, "ben", 200)]
    pages = await api.all_pages("/v1/boards/distance", window="all", snapshot="kickoff", limit=1)
    assert [item["member"] for item in pages] == ["ana", "ben", "cem"]
    asked = {"window": "all", "snapshot": "kickoff"}
    found = await api.get("/v1/boards/distance/standing", params={**asked, "member": "ben", "around": 1})
    assert {name: found[name] for name in ("rank", "score", "percentile", "movement", "members", "to_next")} == {
        "rank": 2, "score": 200, "percentile": 50, "movement": None, "members": 3, "to_next": 100,
    }  # fmt: skip
    assert [item["member"] for item in found["around"]] == ["ana", "ben", "cem"]
    assert found["snapshot"] == {"name": "kickoff", "taken_at": kept["taken_at"], "kept": 3}
    late = await api.get("/v1/boards/distance/standing", params={**asked, "member": "dia"})
    assert (late["rank"], late["around"]) == (None, [])
    assert (await api("PUT", "/v1/actors/ben/follows/actor/ana")).status_code == 200
    friends = await api.get("/v1/boards/distance/friends", params={**asked, "actor": "ben"})
    assert [(item["rank"], item["member"]) for item in friends["items"]] == [(1, "ana"), (2, "ben")]


async def test_movement_since_a_snapshot(api: Api) -> None:
    """By how many ranks each has come up since it was taken; null for who had none in it. Two snapshots compare as well."""
    await three(api)
    await take(api, "before")
    await api.send(metres("cem", 900), metres("dia", 800))
    await take(api, "after")
    expected = [("cem", 2), ("dia", None), ("ana", -2), ("ben", -2)]
    for asked in ({"against": "before"}, {"against": "before", "snapshot": "after"}):
        found = await api.get("/v1/boards/distance", params={"window": "all", **asked})
        assert [(item["member"], item["movement"]) for item in found["items"]] == expected
    standing = await api.get("/v1/boards/distance/standing", params={"window": "all", "against": "before", "member": "cem"})
    assert (standing["rank"], standing["movement"], standing["snapshot"]) == (1, 2, None)
    body = {"standings": [{"board": "distance", "window": "all", "against": "before", "members": ["ana", "cem"]}]}
    many = (await api("POST", "/v1/standings", json=body)).json()["items"]
    assert [(item["member"], item["movement"]) for item in many[0]["items"]] == [("cem", 2), ("ana", -2)]


async def test_a_past_moment_of_all_time(api: Api) -> None:
    """It is answered from the snapshot that was taken nearest to it, which the answer names; without any, it is not there."""
    await three(api)
    missing = await api("GET", "/v1/boards/distance", params={"window": "all", "at": "2026-03-04T00:00:00Z"})
    assert missing.status_code == 404 and "no snapshot" in missing.json()["detail"]
    first = await take(api, "first")
    await api.send(metres("cem", 900))
    second = await take(api, "second")
    for at, name in (("2001-01-01T00:00:00Z", "first"), (first["taken_at"], "first"), (second["taken_at"], "second")):
        found = await api.get("/v1/boards/distance", params={"window": "all", "at": at})
        assert found["snapshot"]["name"] == name, at
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert (await api.get("/v1/boards/distance", params={"window": "all", "at": ahead}))["snapshot"] is None


async def test_names_are_taken_once_and_forgotten(api: Api) -> None:
    """409 for one that is taken; listed newest first; 404 once it is forgotten; a colon is for milepost's own names."""
    await three(api)
    await take(api, "one")
    await take(api, "two")
    path = "/v1/boards/distance/snapshots"
    assert (await api("PUT", f"{path}/one", json={"window": "all"})).status_code == 409
    assert (await api("PUT", f"{path}/day:x", json={"window": "all"})).status_code == 422
    assert (await api("PUT", f"{path}/late", json={"window": "all", "expires_at": "2020-01-01T00:00:00Z"})).status_code == 422
    assert (await api("PUT", f"{path}/odd", json={"wimdow": "all"})).status_code == 422
    assert [item["name"] for item in await api.all_pages(path, window="all", limit=1)] == ["two", "one"]
    assert (await api("DELETE", f"{path}/one", params={"window": "all"})).status_code == 204
    assert (await api("GET", "/v1/boards/distance", params={"window": "all", "snapshot": "one"})).status_code == 404
    assert [item["name"] for item in await api.all_pages(path, window="all")] == ["two"]


async def test_who_hides_later_is_masked_in_it(api: Api) -> None:
    """A snapshot keeps the rank, and tells a viewer who shares no group with the member nothing of who it is."""
    await three(api)
    await take(api, "open")
    assert (await api("PUT", "/v1/boards/distance/members/ben", json={"shown": "hidden"})).status_code == 200
    headers = {"milepost-viewer": "stranger"}
    found = await api.get("/v1/boards/distance", params={"window": "all", "snapshot": "open"}, headers=headers)
    assert [item["member"] for item in found["items"]] == ["ana", None, "cem"]
    asked = {"window": "all", "snapshot": "open", "member": "ben"}
    assert (await api("GET", "/v1/boards/distance/standing", params=asked, headers=headers)).status_code == 404


async def test_windows_are_kept_as_they_end(api: Api) -> None:
    """Once, under the local day on which they began, each group's by its own clock; late runs change the window and not what was kept."""
    assert (await api("PUT", "/v1/groups/team-1", json={"kind": "team", "time_zone": "Asia/Tokyo"})).status_code == 200
    await three(api)
    model = api.services.models.current.model
    board = replace(model.boards["distance"], snapshots=Snapshots(at_end_of=("week",), keep="30 days"))
    async with await type(api.services.db).connect_owner(api.served.url) as owner:

        async def kept(now: str) -> set[tuple[str, str, int]]:
            while await keep_ended(owner, api.tenant_id, model, board, now=datetime.fromisoformat(now)):
                pass
            cursor = await owner.execute(
                "SELECT g.external_id, s.per || ' ' || s.name, s.kept FROM milepost.snapshot s"
                " LEFT JOIN milepost.groups g USING (tenant_id, group_id) WHERE s.tenant_id = %s",
                [api.tenant_id],
            )
            return {(row[0] or "everywhere", *row[1:]) for row in await cursor.fetchall()}

        # The week of 2 March ends in Tokyo nine hours before it does in UTC.
        assert await kept("2026-03-08T15:04:00Z") == set()
        tokyo = {("team-1", "week week:2026-03-02", 3), ("team-1", "all week:2026-03-02", 3)}
        assert await kept("2026-03-08T15:06:00Z") == tokyo
        everywhere = {("everywhere", "week week:2026-03-02", 3), ("everywhere", "all week:2026-03-02", 3)}
        assert await kept("2026-03-09T00:06:00Z") == tokyo | everywhere
        await api.send(metres("dia", 5000))
        assert await kept("2026-03-09T12:00:00Z") == tokyo | everywhere
        week = {"window": "week", "at": "2026-03-04T00:00:00Z", "group": "team-1"}
        assert [one[1] for one in await ladder(api, **week)] == ["dia", "ana", "ben", "cem"]
        assert [one[1] for one in await ladder(api, **week, snapshot="week:2026-03-02")] == ["ana", "ben", "cem"]
        assert (await verify(api.services.db)).items == []
        # Thirty days after they were taken nothing is left of them.
        assert await forget_expired(owner, api.tenant_id, now=datetime(2026, 4, 7, 15, 5, tzinfo=UTC)) == 0
        assert await forget_expired(owner, api.tenant_id, now=datetime(2026, 4, 9, tzinfo=UTC)) == 4
        cursor = await owner.execute("SELECT count(*) FROM milepost.snapshot_place WHERE tenant_id = %s", [api.tenant_id])
        assert await cursor.fetchone() == (0,)


async def test_verify_finds_a_place_that_is_wrong(api: Api) -> None:
    """One that is missing, and one whose score is out of order."""
    await three(api)
    await take(api, "kept")
    async with await type(api.services.db).connect_owner(api.served.url) as owner:
        for change in ("DELETE FROM {} WHERE ordinal = 2", "UPDATE {} SET score = 1 WHERE ordinal = 1"):
            async with owner.transaction(force_rollback=False):
                await owner.execute(
                    f"CREATE TEMP TABLE before AS SELECT * FROM milepost.snapshot_place WHERE tenant_id = {api.tenant_id}"
                )
                await owner.execute(change.format("milepost.snapshot_place") + f" AND tenant_id = {api.tenant_id}")
            found = await verify(api.services.db)
            assert [(item["kind"], item["keys"]["snapshot"]) for item in found.items] == [("snapshot", "kept")]
            await owner.execute(f"DELETE FROM milepost.snapshot_place WHERE tenant_id = {api.tenant_id}")
            await owner.execute("INSERT INTO milepost.snapshot_place SELECT * FROM before")
            await owner.execute("DROP TABLE before")
    assert (await verify(api.services.db)).items == []


async def test_what_is_kept_decides_nothing_of_the_rows() -> None:
    """Declaring snapshots fills no board again."""
    text = 'name = "m"\n[verbs.run]\n[boards.most]\nrank = "actor"\nwithin = "everywhere"\nby = "count"\nof = "run"\nwindows = "week"\n'
    plain = parse_model(text)
    kept = parse_model(text + 'snapshots = { at_end_of = ["week"], keep = "1 year", top = 10 }\n')
    assert kept.boards["most"].snapshots == Snapshots(at_end_of=("week",), keep="1 year", top=10)
    assert definition_hash(plain.boards["most"], plain) == definition_hash(kept.boards["most"], kept)
