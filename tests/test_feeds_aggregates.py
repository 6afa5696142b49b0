"""Aggregated feeds over HTTP: by verb, group or object, and local day; exact, page by page, and of what may be seen."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from milepost.feeds import aggregates
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_who_ran_today(api: Api) -> None:
    """ "ana and 2 others ran": how many, who, and the sums of what was measured, newest first; days are the group's."""
    await api("PUT", "/v1/groups/team-1", json={"kind": "team", "time_zone": "Pacific/Auckland"})
    runs = [("ana", "2026-03-01T10:30:00Z", 5000.5), ("ben", "2026-03-01T10:45:00Z", 1000), ("ana", "2026-03-01T11:30:00Z", 2000),
            ("cem", "2026-03-02T10:00:00Z", 3000), ("dan", "2026-03-02T09:00:00Z", None)]  # fmt: skip
    await api.send(
        *(
            run_of(actor, occurred_at=at, **({} if metres is None else {"measures": {"distance_m": metres}}))
            for actor, at, metres in runs
        ),
        run_of("ana", verb="walk", occurred_at="2026-03-01T10:31:00Z"),
    )
    found = await api.get("/v1/groups/team-1/feed", params={"aggregate": "true"})
    assert found["items"] == [
        {
            "day": "2026-03-02", "verb": "run", "group": "team-1", "count": 3, "actors": 3, "sample": ["cem", "dan", "ana"],
            "measures": {"distance_m": 5000}, "first_at": "2026-03-01T11:30:00Z", "last_at": "2026-03-02T10:00:00Z", "exact": True,
        },
        {
            "day": "2026-03-01", "verb": "run", "group": "team-1", "count": 2, "actors": 2, "sample": ["ben", "ana"],
            "measures": {"distance_m": 6000.5}, "first_at": "2026-03-01T10:30:00Z", "last_at": "2026-03-01T10:45:00Z", "exact": True,
        },
        {
            "day": "2026-03-01", "verb": "walk", "group": "team-1", "count": 1, "actors": 1, "sample": ["ana"],
            "first_at": "2026-03-01T10:31:00Z", "last_at": "2026-03-01T10:31:00Z", "exact": True,
        },
    ]  # fmt: skip
    assert found["next"] is None
    utc = await api.get("/v1/groups/team-1/feed", params={"aggregate": "group", "time_zone": "UTC", "verb": "run"})
    assert [(item["day"], item["count"]) for item in utc["items"]] == [("2026-03-02", 2), ("2026-03-01", 3)]
    wrong = await api("GET", "/v1/groups/team-1/feed", params={"aggregate": "true", "time_zone": "Mars/Phobos"})
    assert wrong.json()["errors"][0]["pointer"] == "/time_zone"
    assert (await api("GET", "/v1/groups/none/feed", params={"aggregate": "true"})).status_code == 404


@pytest.mark.parametrize("zone", ["UTC", "America/St_Johns", "Europe/Berlin"])
@pytest.mark.parametrize("rows", [2, 7, 1_000])
async def test_pages_are_complete(api: Api, monkeypatch: pytest.MonkeyPatch, zone: str, rows: int) -> None:
    """However many are looked at for a page, and across a change of clocks, each aggregate comes once and counts all."""
    monkeypatch.setattr(aggregates, "ROWS", rows)
    monkeypatch.setattr(aggregates, "STRETCHES_MAX", 3 if rows == 2 else 5)
    monkeypatch.setattr(aggregates, "DAY_ROWS_MAX", 200)
    await api.send(
        *(
            run_of(
                f"user-{n % 5}",
                verb="walk" if n % 3 else "run",
                occurred_at=f"2026-03-{28 + n * 7 % 72 // 24:02}T{n * 7 % 24:02}:{n % 60:02}:00Z",
                key=str(n),
                group=f"team-{n % 4}",
                object={"kind": "workout", "id": f"w-{n % 3}"},
            )
            for n in range(90)
        )
    )
    expected: dict[str, dict[tuple[Any, ...], list[dict[str, Any]]]] = {"group": defaultdict(list), "object": defaultdict(list)}
    for item in await api.all_pages("/v1/activities", limit=500):
        day = datetime.fromisoformat(item["occurred_at"]).astimezone(ZoneInfo(zone)).date().isoformat()
        expected["group"][day, item["verb"], item["group"]].append(item)
        expected["object"][day, item["verb"], item["object"]["id"]].append(item)
    for by in ("group", "object"):
        for limit in (1, 4, 100):
            found = await api.all_pages("/v1/activities", aggregate=by, time_zone=zone, limit=limit)
            got = [(one["day"], one["verb"], one["group"] if by == "group" else one["object"]["id"]) for one in found]
            assert got == list(expected[by])  # in the order of their newest
            for one, items in zip(found, expected[by].values(), strict=True):
                assert (one["count"], one["actors"]) == (len(items), len({item["actor"] for item in items}))
                assert one["sample"] == list(dict.fromkeys(item["actor"] for item in items))[:3]
                assert one["exact"]


async def test_a_day_that_is_too_much(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a day with more than is looked at, the newest are counted, and it says so; the days before it follow."""
    monkeypatch.setattr(aggregates, "ROWS", 3)
    monkeypatch.setattr(aggregates, "DAY_ROWS_MAX", 5)
    await api.send(*(run_of(key=str(n), occurred_at=f"2026-03-02T07:{n:02}:00Z") for n in range(20)), run_of(key="before"))
    found = await api.all_pages("/v1/groups/team-1/feed", aggregate="true", limit=1)
    assert [(one["day"], one["count"], one["exact"]) for one in found] == [("2026-03-02", 5, False), ("2026-03-01", 1, True)]


async def test_aggregates_of_what_may_be_seen(api: Api) -> None:
    """A viewer's aggregates count what it may see; at home, what it follows."""
    await api("PUT", "/v1/actors/me/follows/group/team-1")
    await api.send(*(run_of(f"user-{n}", key=str(n), visibility=("public", "group", "private")[n % 3]) for n in range(9)))
    viewed: dict[str, Any] = {"headers": {"milepost-viewer": "me"}}
    for path in ("/v1/groups/team-1/feed", "/v1/home"):
        assert [one["count"] for one in (await api.get(path, params={"aggregate": "true"}, **viewed))["items"]] == [3]
    await api("PUT", "/v1/groups/team-1/members/me", json={"role": "member"})
    for path in ("/v1/groups/team-1/feed", "/v1/home"):
        assert [one["count"] for one in (await api.get(path, params={"aggregate": "true"}, **viewed))["items"]] == [6]
    await api.send(run_of("user-1", group="team-2", key="x"))
    assert (await api("GET", "/v1/groups/team-2/feed", params={"aggregate": "true"}, **viewed)).status_code == 404
