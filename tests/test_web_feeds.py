"""Feeds and lists of activities over HTTP: order, filters, cursors that hold while others write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from milepost.feeds import listed as listed_feeds
from web_client import Api, run_of, tenant_on

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


def minute_of(number: int, **fields: Any) -> dict[str, Any]:
    """An activity at its own minute, so that the order is known."""
    return run_of(**({"occurred_at": f"2026-03-{1 + number // 60:02}T07:{number % 60:02}:00Z", "key": str(number)} | fields))


def keys(items: list[dict[str, Any]]) -> list[int]:
    return [int(item["key"]) for item in items]


async def listed(api: Api, **parameters: Any) -> list[int]:
    return keys(await api.all_pages("/v1/activities", **parameters))


async def test_newest_first_page_by_page(api: Api) -> None:
    """A feed is newest first, in pages of the limit, the last without a next."""
    await api.send(*(minute_of(n) for n in range(25)))
    page = await api.get("/v1/groups/team-1/feed", params={"limit": 10})
    assert keys(page["items"]) == list(range(24, 14, -1))
    for path in ("/v1/groups/team-1/feed", "/v1/actors/user-1/feed", "/v1/activities"):
        assert keys(await api.all_pages(path, limit=10)) == list(range(24, -1, -1))
        assert keys(await api.all_pages(path, limit=25)) == list(range(24, -1, -1))
    assert (await api.get("/v1/groups/team-1/feed", params={"limit": 25}))["next"] is None


async def test_paging_while_others_write(api: Api) -> None:
    """While activities come in before, within and after the page, none that was there is repeated or left out."""
    await api.send(*(minute_of(2 * n) for n in range(30)))
    seen: list[int] = []
    cursor: dict[str, Any] = {}
    written = 100
    while True:
        page = await api.get("/v1/groups/team-1/feed", params={"limit": 7, **cursor})
        seen += keys(page["items"])
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
        minutes = (1, 2 * len(seen) + 1, 59)  # older than all, near the place, newer than all
        await api.send(*(minute_of(m, key=str(written + i)) for i, m in enumerate(minutes)))
        first = next(item for item in page["items"] if int(item["key"]) < 100)
        await api("DELETE", f"/v1/activities/{first['id']}")  # what was shown may go
        written += 3
    old = [number for number in seen if number < 100]
    assert old == list(range(58, -2, -2))
    assert len(set(seen)) == len(seen)


async def test_filters_combine(api: Api) -> None:
    """Every filter narrows the list, alone and together; what is between two times includes the first only."""
    await api.send(
        minute_of(0),
        minute_of(1, actor="user-2"),
        minute_of(2, verb="walk"),
        minute_of(3, group="team-2"),
        minute_of(4, object={"kind": "workout", "id": "w/1"}),
        minute_of(5, source="strava", status="ok"),
        minute_of(6, source="strava", status="late", actor="user-2"),
        minute_of(7, group=None, groups=["team-2", "team-1"]),
    )
    for expected, filters in (
        ([7, 5, 4, 3, 2, 0], {"actor": "user-1"}),
        ([2], {"verb": "walk"}),
        ([7, 3], {"group": "team-2"}),
        ([7, 6, 5, 4, 2, 1, 0], {"group": "team-1"}),
        ([4], {"object": "workout/w/1"}),
        ([6, 5], {"source": "strava"}),
        ([5], {"status": "ok"}),
        ([6], {"source": "strava", "actor": "user-2"}),
        ([7], {"group": "team-1", "actor": "user-1", "from": "2026-03-01T07:06:30Z"}),
        ([7], {"actor": "user-1", "group": "team-2", "from": "2026-03-01T07:07:00Z", "to": "2026-03-02"}),
        ([4, 3, 2], {"from": "2026-03-01T07:02:00Z", "to": "2026-03-01T09:05:00+02:00"}),
        ([], {"actor": "nobody"}),
        ([], {"group": "nobody"}),
        ([], {"actor": "user-2", "verb": "walk"}),
        ([4], {"object": "workout/w/1", "actor": "user-1", "group": "team-1", "verb": "run"}),
    ):
        assert await listed(api, **filters) == expected, filters
        assert await listed(api, **filters, limit=1) == expected, filters


async def test_data_filters(api: Api) -> None:
    """Declared data fields filter by their type: text, integer, decimal, boolean and time."""
    await api.send(
        minute_of(0, data={"device": "fenix", "effort": 3, "slope": 1.5, "indoors": True, "planned": "2026-03-01T00:00:00Z"}),
        minute_of(1, data={"device": "forerunner", "effort": -1, "slope": 0.25, "indoors": False}),
        minute_of(2, data={"note": "fenix"}),
    )
    for expected, filters in (
        ([0], {"data.device": "fenix"}),
        ([1], {"data.effort": "-1"}),
        ([0], {"data.slope": "1.50"}),
        ([1], {"data.slope": "0.25"}),
        ([0], {"data.indoors": "true"}),
        ([1], {"data.indoors": "false"}),
        ([0], {"data.planned": "2026-03-01T02:00:00+02:00"}),
        ([0], {"data.effort": "3", "data.device": "fenix", "actor": "user-1"}),
        ([], {"data.effort": "3", "data.device": "forerunner"}),
    ):
        assert await listed(api, **filters) == expected, filters
    for name, value in (("effort", "1.5"), ("effort", "much"), ("slope", "0.005"), ("indoors", "maybe"), ("planned", "2026")):
        answer = await api("GET", "/v1/activities", params={f"data.{name}": value})
        assert answer.status_code == 400, name
        assert answer.json()["errors"][0]["pointer"] == f"/data.{name}"
    answer = await api("GET", "/v1/activities", params={"data.devise": "x"})
    detail = "the model does not declare 'devise' as a filter (`filter = true`); did you mean data.device?"
    assert answer.json()["errors"] == [{"pointer": "/data.devise", "detail": detail}]


async def test_object_feed(api: Api) -> None:
    """An object's feed; ids may hold slashes, dots and any letters. One without activities has an empty feed."""
    for identity in ("w-1", "org/repo", "a b", "ü?&#", "..", "%2F"):
        await api.send(run_of(object={"kind": "workout", "id": identity}, key=identity))
        path = "/v1/objects/workout/" + "".join(f"%{byte:02X}" for byte in identity.encode()) + "/feed"
        assert [item["key"] for item in (await api.get(path))["items"]] == [identity]
    assert (await api.get("/v1/objects/workout/none/feed")) == {"items": [], "next": None}


async def test_unknown_feeds(api: Api) -> None:
    """A group or actor that nobody has named is not there; one without activities has an empty feed."""
    await api("PUT", "/v1/groups/team-7", json={"kind": "team"})
    await api("PUT", "/v1/actors/user-7", json={"name": "Seven"})
    assert (await api.get("/v1/groups/team-7/feed"))["items"] == []
    assert (await api.get("/v1/actors/user-7/feed"))["items"] == []
    for path in ("/v1/groups/none/feed", "/v1/actors/none/feed"):
        assert (await api("GET", path)).status_code == 404


async def test_cursors_belong_to_their_list(api: Api) -> None:
    """A cursor of another filter, route or tenant, or one that was changed, is a problem and not a wrong page."""
    await api.send(*(minute_of(n) for n in range(5)))
    cursor = (await api.get("/v1/activities", params={"actor": "user-1", "limit": 2}))["next"]
    more = await api.get("/v1/activities", params={"actor": "user-1", "limit": 3, "cursor": cursor})
    assert keys(more["items"]) == [2, 1, 0]
    other = (await tenant_on(api.served))[1]["all"]
    changed = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    for path, parameters, key in (
        ("/v1/activities", {"cursor": cursor}, "all"),
        ("/v1/activities", {"actor": "user-2", "cursor": cursor}, "all"),
        ("/v1/actors/user-1/feed", {"cursor": cursor}, "all"),
        ("/v1/activities", {"actor": "user-1", "cursor": cursor}, other),
        ("/v1/activities", {"actor": "user-1", "cursor": changed}, "all"),
        ("/v1/activities", {"actor": "user-1", "cursor": "nonsense"}, "all"),
        ("/v1/activities", {"actor": "user-1", "cursor": "ü"}, "all"),
    ):
        answer = await api("GET", path, params=parameters, key=key)
        said = "is not a cursor of this list: cursors belong to one key's tenant, one route and its filters"
        assert answer.json() == {
            "type": "/problems/invalid-input",
            "title": "The request is not valid",
            "status": 400,
            "detail": f"What was sent is not valid. cursor: {said}",
            "errors": [{"pointer": "/cursor", "detail": said}],
        }


@pytest.mark.parametrize("scanned", [3, 4, 7])
async def test_a_page_looks_at_a_bounded_number_of_rows(api: Api, monkeypatch: pytest.MonkeyPatch, scanned: int) -> None:
    """Where few rows match, a page ends early and says where to go on: nothing is repeated or left out."""
    monkeypatch.setattr(listed_feeds, "SCANNED_MAX", scanned)
    await api.send(
        *(
            minute_of(
                n,
                visibility=("public", "group", "private")[n % 3],
                verb="walk" if n % 11 == 0 else "run",
                groups=["team-2", "team-1"] if n % 4 == 0 else ["team-1"],
                group=None,
                source="strava" if n % 13 == 0 else None,
            )
            for n in range(60)
        )
    )
    page = await api.get("/v1/activities", params={"source": "strava"})
    assert len(page["items"]) < 3
    assert page["next"] is not None
    for limit in (1, 2, 50):
        walks = await listed(api, group="team-1", verb="walk", limit=limit)
        assert walks == [55, 44, 33, 22, 11, 0]
        assert await listed(api, source="strava", limit=limit) == [52, 39, 26, 13, 0]
        assert await listed(api, actor="user-1", group="team-2", verb="walk", limit=limit) == [44, 0]
        assert await listed(api, group="team-1", limit=limit) == list(range(59, -1, -1))


async def test_a_filter_that_is_being_filled(api: Api) -> None:
    """While the column of a newly declared filter is filled from history, filtering by it is 503 and not a wrong list."""
    await api.send(minute_of(0, data={"device": "fenix"}))
    owner = await api.services.db.owner()
    try:
        await owner.execute(
            b"INSERT INTO milepost.filling (tenant_id, name, filled_to) VALUES (%s, 'column d_device', %s)",
            (api.tenant_id, "00000000-0000-0000-0000-000000000000"),
        )
        answer = await api("GET", "/v1/activities", params={"data.device": "fenix"})
        assert answer.status_code == 503
        assert "The data field device is being filled" in answer.json()["detail"]
        assert await listed(api, **{"data.effort": "1"}) == []
    finally:
        await owner.execute(b"DELETE FROM milepost.filling WHERE tenant_id = %s", (api.tenant_id,))
        await owner.close()


async def test_fields_and_include(api: Api) -> None:
    """`fields` chooses what is shown of an activity, `include` what comes along, each entity once."""
    await api("PUT", "/v1/actors/user-1", json={"name": "One", "attributes": {"a": 1}})
    await api("PUT", "/v1/groups/team-1", json={"kind": "team", "name": "First"})
    await api.send(minute_of(0), minute_of(1), minute_of(2, group=None, groups=["team-1", "team-2"]))
    page = await api.get("/v1/activities", params={"fields": "actor,verb", "include": "actor,group,object", "limit": 3})
    assert page["items"] == [{"actor": "user-1", "verb": "run"}] * 3
    one = {"id": "user-1", "kind": None, "name": "One", "attributes": {"a": 1}}
    assert page["included"]["actors"] == {"user-1": one}
    assert {name: group["kind"] for name, group in page["included"]["groups"].items()} == {"team-1": "team", "team-2": None}
    for name, word in (("fields", "colour"), ("include", "friends")):
        answer = await api("GET", "/v1/activities", params={name: word})
        assert answer.json()["errors"][0]["pointer"] == f"/{name}"


@pytest.mark.parametrize(
    ("query", "pointer", "detail"),
    [
        ("limit=0", "/limit", "Expected int >= 1"),
        ("limit=501", "/limit", "Expected int <= 500"),
        ("limit=x", "/limit", "Expected int, got str"),
        ("limt=5", "/limt", "is not a parameter of this route; did you mean limit?"),
        ("zzz=1", "/zzz", "is not a parameter of this route"),
        ("actor=a&actor=b", "/actor", "is given more than once"),
        ("actor=", "/actor", "is empty"),
        ("time_zone=abc", "/time_zone", "'abc' is not a time zone, such as 'Europe/Berlin'"),
        ("object=workout", "/object", "must be KIND/ID, such as workout/w-55"),
        ("from=yesterday", "/from", "'yesterday' is not an RFC 3339 time with a zone, such as 2026-03-01T07:12:00Z, nor a date"),
        ("to=2026-03-01T07:12:00", "/to",
         "'2026-03-01T07:12:00' is not an RFC 3339 time with a zone, such as 2026-03-01T07:12:00Z, nor a date"),
        ("from=0001-01-01T00:00:00%2B14:00", "/from",
         "'0001-01-01T00:00:00+14:00' is not an RFC 3339 time with a zone, such as 2026-03-01T07:12:00Z, nor a date"),
    ],
)  # fmt: skip
async def test_wrong_parameters(api: Api, query: str, pointer: str, detail: str) -> None:
    """A parameter that is wrong, unknown, empty or given twice is named; none is passed over."""
    answer = await api("GET", f"/v1/activities?{query}")
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"pointer": pointer, "detail": detail}]


async def test_a_viewer_sees_of_each_list_what_it_may(api: Api) -> None:
    """Public activities, those of groups that it may read, and its own private ones; of an unreadable group what is public."""
    for team in ("team-1", "team-2", "team-3"):
        await api("PUT", f"/v1/groups/{team}", json={"kind": "team"})
    await api("PUT", "/v1/groups/team-1/members/user-1", json={"role": "member"})
    await api.send(
        *(
            minute_of(
                n,
                actor=f"user-{1 + n % 2}",
                groups=["team-2", "team-1"] if n % 5 == 0 else [f"team-{1 + n % 3 % 2}"],
                group=None,
                visibility=("public", "group", "private")[n // 2 % 3],
                status="late" if n % 4 == 0 else None,
            )
            for n in range(60)
        ),
        minute_of(60, actor="user-2", group="team-3", visibility="group"),
    )
    everything = await api.all_pages("/v1/activities")

    def visible(item: dict[str, Any], *, group: str | None = None) -> bool:
        groups = item.get("groups") or [item["group"]]
        if item["visibility"] == "group":
            return "team-1" in ([group] if group else groups)
        return bool(item["visibility"] == "public" or item["actor"] == "user-1")

    viewed: dict[str, Any] = {"headers": {"milepost-viewer": "user-1"}}
    questions: tuple[tuple[str, dict[str, str], Callable[[dict[str, Any]], bool]], ...] = (
        ("/v1/activities", {}, lambda item: visible(item)),
        ("/v1/activities", {"status": "late"}, lambda item: visible(item) and item.get("status") == "late"),
        ("/v1/activities", {"group": "team-2", "actor": "user-2"},
         lambda item: visible(item, group="team-2") and item["actor"] == "user-2" and "team-2" in (item.get("groups") or [item["group"]])),
        ("/v1/groups/team-1/feed", {}, lambda item: visible(item) and "team-1" in (item.get("groups") or [item["group"]])),
        ("/v1/groups/team-2/feed", {},
         lambda item: visible(item, group="team-2") and "team-2" in (item.get("groups") or [item["group"]])),
        ("/v1/actors/user-1/feed", {}, lambda item: visible(item) and item["actor"] == "user-1"),
        ("/v1/actors/user-2/feed", {}, lambda item: visible(item) and item["actor"] == "user-2"),
    )  # fmt: skip
    for path, parameters, wanted in questions:
        items: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            found = await api.get(path, params={**parameters, **cursor, "limit": 7}, **viewed)
            items += found["items"]
            if found["next"] is None:
                break
            cursor = {"cursor": found["next"]}
        assert items == [item for item in everything if wanted(item)], (path, parameters)
    included = (await api.get("/v1/activities", params={"include": "group"}, **viewed))["included"]["groups"]
    assert set(included) == {"team-1"}
    assert (await api("GET", "/v1/groups/team-3/feed", **viewed)).status_code == 404  # nothing of it is for this viewer
