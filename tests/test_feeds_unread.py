"""Unread counts over HTTP: new, late and changed activities, of what may be seen, from where a page was read."""

from __future__ import annotations

from typing import Any

import pytest

from milepost.feeds import unread
from test_storage_archive import archive
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

ME: dict[str, Any] = {"headers": {"milepost-viewer": "me"}}


async def prepared(api: Api) -> None:
    await api("PUT", "/v1/groups/team-1/members/me", json={"role": "member"})
    for path in ("group/team-1", "actor/ben"):
        assert (await api("PUT", f"/v1/actors/me/follows/{path}")).status_code == 200
    await api.send(run_of("ana", key="first"), run_of("ana", key="second", occurred_at="2026-03-02T00:00:00Z"))


async def count(api: Api, path: str = "/v1/home") -> tuple[int, bool]:
    found = await api.get(f"{path}/unread", **ME)
    return found["unread"], found["exact"]


async def mark(api: Api, path: str = "/v1/home", **body: str) -> None:
    answer = await api("PUT", f"{path}/read", json=body, **ME)
    assert answer.status_code == 204, answer.text


async def test_new_late_and_changed_is_unread(api: Api) -> None:
    """All is unread until it is marked; from then on what is newer, what came late, and what was corrected."""
    await prepared(api)
    for path in ("/v1/home", "/v1/groups/team-1"):
        assert await count(api, path) == (2, True)
        assert (await api.get(f"{path}/unread", **ME))["since"] is None
        await mark(api, path)
        assert await count(api, path) == (0, True)
    late = await api.send(run_of("ana", key="late", occurred_at="2026-01-01T00:00:00Z"))
    await api.send(run_of("ana", key="new", occurred_at="2026-03-03T00:00:00Z"))
    await api.send(run_of("ben", key="elsewhere", group="team-2", visibility="public", occurred_at="2025-01-01T00:00:00Z"))
    assert await count(api) == (3, True)
    assert await count(api, "/v1/groups/team-1") == (2, True)
    assert late["loaded"] == 1
    first = next(one for one in (await api.get("/v1/groups/team-1/feed"))["items"] if one["key"] == "first")
    assert (await api("PATCH", f"/v1/activities/{first['id']}", json={"status": "ok"})).status_code == 200
    assert await count(api) == (4, True)
    assert (await api("DELETE", f"/v1/activities/{first['id']}")).status_code == 204
    assert await count(api) == (3, True)
    await mark(api)
    assert await count(api) == (0, True)
    assert await count(api, "/v1/groups/team-1") == (2, True)


async def test_only_what_may_be_seen_counts(api: Api) -> None:
    """Private and unreadable activities are not counted, nor is there a count for a group that may not be read."""
    await prepared(api)
    await mark(api)
    await api.send(
        run_of("ana", key="1", visibility="private", occurred_at="2026-01-01T00:00:00Z"),
        run_of("ben", key="2", group="team-2", occurred_at="2026-01-02T00:00:00Z"),
        run_of("ben", key="3", group="team-2", occurred_at="2026-04-02T00:00:00Z"),
        run_of("ben", key="4", group="team-2", visibility="public", occurred_at="2026-01-02T00:00:00Z"),
        run_of("me", key="5", visibility="private", occurred_at="2026-01-02T00:00:00Z"),
    )
    assert await count(api) == (2, True)
    for method, path in (
        ("GET", "/v1/groups/team-2/unread"),
        ("PUT", "/v1/groups/team-2/read"),
        ("GET", "/v1/groups/none/unread"),
    ):
        assert (await api(method, path, **ME)).status_code == 404, path


async def test_marked_up_to_the_page_that_was_read(api: Api) -> None:
    """What came after the page that was read stays unread, whenever the marker is set; and a marker never goes back."""
    await prepared(api)
    places = []
    for number in range(3):
        page = await api("GET", "/v1/home", **ME)
        places.append(page.headers["milepost-read-to"])
        await api.send(run_of("ana", key=str(number), occurred_at=f"2026-02-0{1 + number}T00:00:00Z"))
    await mark(api, to=places[1])
    assert await count(api) == (2, True)
    await mark(api, to=places[0])
    assert await count(api) == (2, True)
    await mark(api, to=places[2])
    assert await count(api) == (1, True)
    unread_etag = (await api("GET", "/v1/home", **ME)).headers["etag"]
    await api.send(run_of("zoe", key="not mine", group="team-9"))
    assert (await api("GET", "/v1/home", **ME)).headers["etag"] == unread_etag
    for body in ({"to": places[0][:-2] + "AA"}, {"to": 1}, {"until": places[0]}):
        answer = await api("PUT", "/v1/home/read", json=body, **ME)
        assert answer.status_code == 400, body
    other = await api("PUT", "/v1/home/read", json={"to": places[0]}, headers={"milepost-viewer": "ben"})
    assert other.status_code == 400  # it is nobody else's


async def test_where_counting_ends(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its bounds a count is at least so many, and says so."""
    await prepared(api)
    await mark(api)
    await api.send(*(run_of("ana", key=f"n{n}", occurred_at=f"2026-03-03T00:{n:02}:00Z") for n in range(5)))
    monkeypatch.setattr(unread, "UNREAD_MAX", 5)
    assert await count(api) == (5, True)
    monkeypatch.setattr(unread, "UNREAD_MAX", 3)
    assert await count(api) == (3, False)
    monkeypatch.setattr(unread, "UNREAD_MAX", 100)
    for n in range(4):
        await api.send(*(run_of("ana", key=f"l{n}{m}", occurred_at=f"2026-01-0{1 + n}T00:0{m}:00Z") for m in range(2)))
    assert await count(api) == (13, True)
    monkeypatch.setattr(unread, "LATE_MAX", 3)
    assert await count(api) == (8, False)
    monkeypatch.setattr(unread, "LATE_MAX", 100)
    monkeypatch.setattr(unread, "LOADS_MAX", 2)
    assert (await count(api))[1] is False
    monkeypatch.setattr(unread, "LOADS_MAX", 100)
    owner = await api.services.db.owner()
    await owner.execute(b"DELETE FROM milepost.journal WHERE tenant_id = %s", (api.tenant_id,))
    await owner.close()
    assert await count(api) == (5, False)  # what is newer is there; of what was late nothing is known any more


async def test_nobody_has_nothing_to_read(api: Api) -> None:
    """An actor that is not known has an empty home, all read, and cannot mark it."""
    assert (await api.get("/v1/home/unread", params={"actor": "nobody"}))["unread"] == 0
    assert (await api("PUT", "/v1/home/read", params={"actor": "nobody"})).status_code == 409
    assert (await api("GET", "/v1/home/unread")).status_code == 400


async def test_a_loads_ids_are_in_order(api: Api) -> None:
    """The journal's first id of a load is its smallest: that is how loads with late data are found."""
    await api.send(*(run_of(key=str(n), occurred_at=f"2026-03-{1 + n * 7 % 27:02}T00:00:00Z") for n in range(40)))
    async with api.services.db.transaction("point", tenant_id=api.tenant_id) as conn:
        rows = await (await conn.execute("SELECT ids FROM milepost.journal")).fetchall()
    assert rows
    assert all(row[0] == sorted(row[0]) for row in rows)


async def test_what_is_archived_counts(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """For who never read and for who did, new, late and changed ones; a marker that is set when all is archived is above it."""
    await prepared(api)
    await archive(api)
    assert await count(api) == (2, True)
    await mark(api)
    assert await count(api) == (0, True)
    await api.send(run_of("ana", key="late", occurred_at="2026-01-01T00:00:00Z"))
    first = next(one for one in (await api.get("/v1/groups/team-1/feed"))["items"] if one["key"] == "first")
    assert (await api("PATCH", f"/v1/activities/{first['id']}", json={"status": "ok"})).status_code == 200
    moved = {"occurred_at": "2026-01-15T00:00:00Z"}
    second = next(one for one in (await api.get("/v1/groups/team-1/feed"))["items"] if one["key"] == "second")
    assert (await api("PATCH", f"/v1/activities/{second['id']}", json=moved)).status_code == 200
    assert await count(api) == (3, True)
    await archive(api)
    assert await count(api) == (3, True)
    assert await count(api, "/v1/groups/team-1") == (3, True)
    monkeypatch.setattr(unread, "COLD_LATE_MAX", 2)
    found, exact = await count(api)
    assert found <= 2 and not exact
    await mark(api)
    assert await count(api) == (0, True)
