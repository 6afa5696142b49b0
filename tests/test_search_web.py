"""Search over HTTP: `GET /v1/activities?q=`, as a client has it."""

from __future__ import annotations

from typing import Any

import pytest

from web_client import Api, run_of, tenant_on

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


def noted(number: int, note: str, **fields: Any) -> dict[str, Any]:
    """A run with a note, so many minutes after the first."""
    at = f"2026-03-01T07:{number:02}:00Z"
    return run_of(key=f"n{number}", occurred_at=at, data={"note": note, **fields.pop("data", {})}, **fields)


async def found(api: Api, q: str, **asked: Any) -> Any:
    """What a search answers once everything sent is in the index."""
    return await api.get("/v1/activities", params={"q": q, **asked}, headers={"prefer": "wait=20"})


async def keys(api: Api, q: str, **asked: Any) -> list[str]:
    return [item["key"] for item in (await found(api, q, **asked))["items"]]


async def test_web_search_syntax(api: Api) -> None:
    """Words, phrases, exclusions, alternatives, the beginning of the last word; in the language that the field has."""
    await api.send(
        noted(1, "A loop along the river"),
        noted(2, "Two loops, no water"),
        noted(3, "The river, and then a loop"),
        noted(4, "Rainy stairs"),
    )
    assert await keys(api, "river") == ["n3", "n1"]
    assert await keys(api, "loops") == ["n3", "n2", "n1"]  # stemmed, as the field's language has it
    assert await keys(api, "river loop") == ["n3", "n1"]
    assert await keys(api, '"the river"') == ["n3", "n1"]
    assert await keys(api, '"along river"') == []
    assert await keys(api, "loop -river") == ["n2"]
    assert await keys(api, "-river") == ["n4", "n2"]
    assert await keys(api, "stairs or water") == ["n4", "n2"]
    assert await keys(api, "riv*") == ["n3", "n1"]
    assert await keys(api, "loop wat*") == ["n2"]
    assert await keys(api, "riv") == []
    assert await keys(api, "elsewhere") == []


async def test_pages_newest_first(api: Api) -> None:
    """Page by page in the order of time, each match once, whatever comes in meanwhile; the last page has no next."""
    await api.send(*(noted(number, "by the river" if number % 3 else "in the hills") for number in range(30)))
    wanted = [f"n{number}" for number in range(29, -1, -1) if number % 3]
    first = await found(api, "river", limit=7)
    await api.send(*(noted(number, "by the river") for number in range(30, 40)))
    rest = await api.get(
        "/v1/activities", params={"q": "river", "limit": 7, "cursor": first["next"]}, headers={"prefer": "wait=20"}
    )
    assert [item["key"] for item in first["items"] + rest["items"]] == wanted[:14]
    assert [
        item["key"] for item in await api.all_pages("/v1/activities", q="river", limit=7, to="2026-03-01T07:30:00Z")
    ] == wanted
    assert (await found(api, "river", limit=30))["next"] is None


async def test_filters_combine_with_words(api: Api) -> None:
    """Each filter of the list narrows a search, alone and together; what is unknown finds nothing."""
    await api.send(
        noted(1, "river", actor="ana", source="strava"),
        noted(2, "river", actor="ben", status="late", data={"device": "fenix"}),
        noted(3, "river", actor="ana", groups=["team-2", "team-3"], group=None),
        noted(4, "hill", actor="ana"),
        run_of(key="n5", occurred_at="2026-03-01T07:05:00Z", actor="ana", verb="report", group="team-3"),
    )
    assert await keys(api, "river") == ["n3", "n2", "n1"]
    for filter, wanted in (
        ({"actor": "ana"}, ["n3", "n1"]),
        ({"actor": "nobody"}, []),
        ({"group": "team-3"}, ["n3"]),
        ({"group": "team-1"}, ["n2", "n1"]),
        ({"verb": "run"}, ["n3", "n2", "n1"]),
        ({"verb": "walk"}, []),
        ({"source": "strava"}, ["n1"]),
        ({"status": "late"}, ["n2"]),
        ({"data.device": "fenix"}, ["n2"]),
        ({"actor": "ana", "group": "team-1", "verb": "run"}, ["n1"]),
        ({"from": "2026-03-01T07:02:00Z", "to": "2026-03-01T07:03:00Z"}, ["n2"]),
    ):
        assert await keys(api, "river", **filter) == wanted, filter


async def test_by_relevance(api: Api) -> None:
    """Who says it more and nearer comes first; pages go on below the last rank and say what was ranked."""
    await api.send(
        noted(1, "river loop"),
        noted(2, "a loop of which one cannot say that it is far from the other side of the big old river"),
        noted(3, "river loop, river loop, and one more river loop"),
        noted(4, "river"),
    )
    answer = await found(api, "river loop", order="relevance")
    assert [item["key"] for item in answer["items"]] == ["n3", "n1", "n2"]
    assert answer["ranked"] == {"activities": 3, "all": True, "since": "2026-03-01T07:01:00Z"}
    assert answer["next"] is None
    paged = await found(api, "river loop", order="relevance", limit=2)
    assert [item["key"] for item in paged["items"]] == ["n3", "n1"]
    await api.send(noted(9, "river loop river loop river loop river loop"))  # newer than the set that is paged
    following = await found(api, "river loop", order="relevance", limit=2, cursor=paged["next"])
    assert [item["key"] for item in following["items"]] == ["n2"]
    assert following["next"] is None


async def test_facets(api: Api) -> None:
    """How many matches there are of each verb, source, status and actor, whatever the page shows; and how many were looked at."""
    await api.send(
        *(noted(number, "river", actor=f"user-{number % 2}", source="strava" if number < 4 else "") for number in range(5)),
        noted(7, "hill"),
    )
    answer = await found(api, "river", limit=1, facets="verb,source,status,actor")
    assert answer["facets"] == {
        "verb": [{"value": "run", "count": 5}],
        "source": [{"value": "strava", "count": 4}],
        "status": [],
        "actor": [{"value": "user-0", "count": 3}, {"value": "user-1", "count": 2}],
    }
    assert answer["counted"] == {"activities": 5, "all": True, "since": "2026-03-01T07:00:00Z"}
    assert "ranked" not in answer
    for names in (("actor",), ("source",), ("actor", "verb"), ("status", "source", "actor")):
        some = await found(api, "river", limit=1, facets=",".join(names))
        assert some["facets"] == {name: answer["facets"][name] for name in names}
    following = await found(
        api, "river", limit=1, facets="verb", cursor=(await found(api, "river", limit=1, facets="verb"))["next"]
    )
    assert following["facets"] == {"verb": [{"value": "run", "count": 5}]}


async def test_highlight(api: Api) -> None:
    """Where the words were found, as HTML that no text can break out of."""
    await api.send(noted(1, "<b>Loops</b> & more loops, 5 < 6"))
    (item,) = (await found(api, "loop", highlight="true"))["items"]
    assert item["highlight"] == {"note": " <mark>Loops</mark>  &amp; more <mark>loops</mark>, 5 &lt; 6"}
    (item,) = (await found(api, "loop", highlight="true", fields="id"))["items"]
    assert item.keys() == {"id", "highlight"}


async def test_everything_in_data(api: Api) -> None:
    """A verb with `search_data` is found by every text and number in its data, however deep, and not by names of fields."""
    await api.send(
        run_of(
            key="n1",
            verb="report",
            group="team-1",
            data={"title": "Pump broken", "where": {"hall": "north", "gate": 17}, "tags": ["urgent"]},
        )
    )
    for q in ("pump", "north", "17", "urgent", "broken north"):
        assert await keys(api, q) == ["n1"], q
    assert await keys(api, "hall") == []
    (item,) = (await found(api, "north urgent", highlight="true"))["items"]
    assert item["highlight"] == {"where.hall": "<mark>north</mark>", "tags.0": "<mark>urgent</mark>"}


async def test_corrections_and_retractions(api: Api) -> None:
    """A corrected activity is found by its new words alone, one moved in time stands where it is now, a retracted one is gone."""
    await api.send(*(noted(number, "river") for number in range(3)))
    ids = {item["key"]: item["id"] for item in (await found(api, "river"))["items"]}
    wait = {"prefer": "wait=20"}
    assert (
        await api("PATCH", f"/v1/activities/{ids['n1']}", json={"data": {"note": "hills"}}, headers=wait)
    ).status_code == 200
    moved = {"occurred_at": "2026-03-01T09:00:00Z"}
    assert (await api("PATCH", f"/v1/activities/{ids['n0']}", json=moved, headers=wait)).status_code == 200
    assert await keys(api, "river") == ["n0", "n2"]
    assert await keys(api, "hills") == ["n1"]
    assert (await api("DELETE", f"/v1/activities/{ids['n2']}", headers=wait)).status_code == 204
    assert await keys(api, "river") == ["n0"]


@pytest.mark.parametrize(
    ("asked", "pointer", "detail"),
    [
        ({"q": "the"}, "/q", "has no word to search for"),
        ({"q": "?!"}, "/q", "has no word to search for"),
        ({"q": "x" * 401}, "/q", "longer than 400 characters"),
        ({"q": " ".join(f"w{number}" for number in range(90))}, "/q", "more than 32 words"),
        ({"q": ""}, "/q", "is empty"),
        ({"q": "a\0b"}, "/q", "character NUL"),
        ({"q": "river", "order": "oldest"}, "/order", "is not one of newest, relevance"),
        ({"q": "river", "facets": "verb,colour"}, "/facets", "is not one of verb, source, status, actor"),
        ({"facets": "verb"}, "/facets", "needs q"),
        ({"order": "relevance"}, "/order", "needs q"),
        ({"q": "river", "data.note": "x"}, "/data.note", "does not declare"),
        ({"q": "river", "cursor": "AAAA"}, "/cursor", "is not a cursor of this list"),
    ],
)
async def test_what_cannot_be_asked(api: Api, asked: dict[str, str], pointer: str, detail: str) -> None:
    """It is named, with the reason."""
    answer = await api("GET", "/v1/activities", params=asked)
    assert answer.status_code == 400
    assert [(error["pointer"], detail in error["detail"]) for error in answer.json()["errors"]] == [(pointer, True)]


async def test_how_far_behind(api: Api) -> None:
    """`/readyz` says how old the oldest load is that a search does not find, and metrics do."""
    await api.send(noted(1, "river"))
    await found(api, "river")
    ready = await api.get("/readyz", key=None)
    assert ready["search"] == {"lag_s": 0}
    assert "milepost_search_lag_seconds" in (await api("GET", "/metrics", key=None)).text


async def test_another_tenants_words(api: Api) -> None:
    """Are not found."""
    await api.send(noted(1, "river"))
    _, keys_of_other = await tenant_on(api.served)
    answer = await api.get("/v1/activities", params={"q": "river"}, key=keys_of_other["read"], headers={"prefer": "wait=20"})
    assert answer["items"] == []


async def test_a_viewer_finds_what_it_may_see(api: Api) -> None:
    """Public matches, those of its groups, and its own private ones: in items, ranks and counts."""
    await api("PUT", "/v1/groups/team-1", json={"kind": "team"}, headers={"prefer": "wait=20"})
    await api("PUT", "/v1/groups/team-1/members/ana", json={"role": "member"}, headers={"prefer": "wait=20"})
    await api.send(
        noted(1, "river", actor="ben", visibility="public", group="team-2"),
        noted(2, "river", actor="ben", visibility="group", group="team-1"),
        noted(3, "river", actor="ben", visibility="group", group="team-2"),
        noted(4, "river", actor="ben", visibility="private"),
        noted(5, "river", actor="ana", visibility="private"),
        noted(6, "river", actor="ben", visibility="group", groups=["team-2", "team-1"], group=None),
    )
    assert await keys(api, "river") == ["n6", "n5", "n4", "n3", "n2", "n1"]
    for order in ("newest", "relevance"):
        headers = {"prefer": "wait=20", "milepost-viewer": "ana"}
        answer = await api.get("/v1/activities", params={"q": "river", "order": order, "facets": "actor"}, headers=headers)
        assert sorted(item["key"] for item in answer["items"]) == ["n1", "n2", "n5", "n6"]
        assert answer["facets"] == {"actor": [{"value": "ben", "count": 3}, {"value": "ana", "count": 1}]}
        headers["milepost-viewer"] = "nobody-yet"
        answer = await api.get("/v1/activities", params={"q": "river", "order": order}, headers=headers)
        assert [item["key"] for item in answer["items"]] == ["n1"]
