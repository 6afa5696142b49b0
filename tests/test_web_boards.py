"""`/v1/boards`: ranks, standings, movement, local days, who is hidden from whom, and questions that cannot be answered."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from milepost.rollups.verify import verify
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

WHOLE = {"board": "distance", "members": ["ana"]}


def metres(actor: str, distance: float, at: str = "2026-03-04T10:00:00Z", **fields: Any) -> dict[str, Any]:
    return run_of(actor, occurred_at=at, measures={"distance_m": distance}, **fields)


async def ladder(api: Api, name: str = "distance", **asked: Any) -> list[tuple[int, str, float]]:
    found = await api.get(f"/v1/boards/{name}", params={"window": "all", **asked})
    assert found["members"] >= len(found["items"])
    return [(item["rank"], item["member"], item["score"]) for item in found["items"]]


async def put(api: Api, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api("PUT", path, json=body)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def test_who_got_there_first_is_above(api: Api) -> None:
    """Whatever the order of arrival; only a tie in time shares a rank, and the next rank is left out."""
    await api.send(
        metres("late", 5000, "2026-03-04T12:00:00Z"),
        metres("early", 5000, "2026-03-04T09:00:00Z"),
        metres("twin-a", 4000, "2026-03-04T09:00:00Z"),
        metres("twin-b", 4000, "2026-03-04T09:00:00Z"),
        metres("last", 10),
        metres("secret", 90000, visibility="private"),
    )
    ranks = [(1, "early", 5000), (2, "late", 5000), (3, "twin-a", 4000), (3, "twin-b", 4000), (5, "last", 10)]
    assert await ladder(api) == ranks
    assert await ladder(api, group="team-1") == ranks
    pages = await api.all_pages("/v1/boards/distance", window="all", limit=2)
    assert [(item["rank"], item["member"], item["score"]) for item in pages] == ranks


async def test_a_standing(api: Api) -> None:
    """Rank, exact percentile, what is missing to the next, and who is around; a member without activities has no rank."""
    await api.send(*(metres(f"m{number}", 1000 * number) for number in range(1, 12)))
    found = await api.get("/v1/boards/distance/standing", params={"window": "all", "member": "m5", "around": 1})
    assert {name: found[name] for name in ("rank", "score", "percentile", "movement", "members", "to_next")} == {
        "rank": 7, "score": 5000, "percentile": 40, "movement": None, "members": 11, "to_next": 1000,
    }  # fmt: skip
    assert [item["member"] for item in found["around"]] == ["m6", "m5", "m4"]
    await put(api, "/v1/actors/idle", {"name": "Idle"})
    idle = await api.get("/v1/boards/distance/standing", params={"member": "idle"})
    assert (idle["rank"], idle["score"], idle["percentile"], idle["around"]) == (None, None, None, [])


async def test_what_changes_a_score_changes_ranks_at_once(api: Api) -> None:
    """A correction and a retraction are in the answer after the one that made them; who has nothing left is gone."""
    await api.send(metres("ana", 100, key="a"), metres("ben", 200, key="b"))
    runs = {item["actor"]: item["id"] for item in (await api.get("/v1/activities"))["items"]}
    answer = await api("PATCH", f"/v1/activities/{runs['ana']}", json={"measures": {"distance_m": 300}})
    assert answer.status_code == 200
    assert await ladder(api) == [(1, "ana", 300), (2, "ben", 200)]
    assert (await api("DELETE", f"/v1/activities/{runs['ana']}")).status_code == 204
    assert await ladder(api) == [(1, "ben", 200)]


async def test_a_minimum_of_activities(api: Api) -> None:
    """Who has fewer takes no rank."""
    await api.send(metres("once", 9000), metres("twice", 100), metres("twice", 200))
    assert await ladder(api, "longest", group="team-1") == [(1, "twice", 200)]


async def test_movement_since_the_week_before(api: Api) -> None:
    """By how many ranks each has come up or gone down; null for who had none. It can be left out."""
    await api.send(
        *(metres(actor, distance, "2026-03-04T10:00:00Z") for actor, distance in (("ana", 30), ("ben", 20), ("cem", 10))),
        *(metres(actor, distance, "2026-03-11T10:00:00Z") for actor, distance in (("cem", 30), ("ana", 20), ("new", 10))),
    )
    asked = {"window": "week", "at": "2026-03-12T00:00:00Z"}
    found = await api.get("/v1/boards/distance", params=asked)
    assert [(item["member"], item["movement"]) for item in found["items"]] == [("cem", 2), ("ana", -1), ("new", None)]
    assert found["begins"] == "2026-03-09"
    found = await api.get("/v1/boards/distance", params={**asked, "movement": "false"})
    assert [item["movement"] for item in found["items"]] == [None, None, None]
    standing = await api.get("/v1/boards/distance/standing", params={**asked, "member": "cem", "around": 0})
    assert (standing["rank"], standing["movement"]) == (1, 2)


async def test_a_board_of_groups(api: Api) -> None:
    """A league's board ranks its teams by what counts for each; everywhere, all are ranked. Equal scores share a rank."""
    for team, league in (("red", "north"), ("blue", "north"), ("green", "south")):
        await put(api, f"/v1/groups/{team}", {"kind": "team", "parent": league})
    await api.send(
        *(metres("ana", 1, group="red") for _ in range(2)),
        *(metres("ben", 1, group="blue") for _ in range(2)),
        *(metres("cem", 1, group="green") for _ in range(3)),
    )
    assert await ladder(api, "busiest") == [(1, "green", 3), (2, "red", 2), (2, "blue", 2)]
    assert await ladder(api, "busiest", group="north") == [(1, "red", 2), (1, "blue", 2)]
    assert [item[1:] for item in await ladder(api, group="north")] == [("ana", 2), ("ben", 2)]


# The first and the last second of a local day, and where it is: both changes of the clocks, half hours, and days of 23 and 25 hours.
DAYS = [
    ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59Z"),
    ("Europe/Berlin", "2025-10-26", "2025-10-25T22:00:00Z", "2025-10-26T22:59:59Z"),
    ("Asia/Kolkata", "2026-03-29", "2026-03-28T18:30:00Z", "2026-03-29T18:29:59Z"),
    ("America/St_Johns", "2026-03-08", "2026-03-08T03:30:00Z", "2026-03-09T02:29:59Z"),
    ("America/St_Johns", "2025-11-02", "2025-11-02T02:30:00Z", "2025-11-03T03:29:59Z"),
    ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00:00Z", "2026-04-05T13:29:59Z"),
]


@pytest.mark.parametrize(("zone", "day", "first", "last"), DAYS)
async def test_days_are_the_groups_own(api: Api, zone: str, day: str, first: str, last: str) -> None:
    """The day's first and last second count in it, the seconds beside it in its neighbours; the week ends with its Sunday."""
    await put(api, "/v1/groups/team-1", {"kind": "team", "time_zone": zone})
    before, after = f"{beside(first, -1)}", f"{beside(last, 1)}"
    await api.send(metres("in", 1, first), metres("in", 2, last), metres("before", 5, before), metres("after", 7, after))
    found = await api.get("/v1/boards/distance", params={"group": "team-1", "window": "day", "at": first})
    assert (found["begins"], [(item["member"], item["score"]) for item in found["items"]]) == (day, [("in", 3)])
    week = await api.get("/v1/boards/distance", params={"group": "team-1", "at": last})
    assert {item["member"] for item in week["items"]} == {"in", "before"}  # all of these days are Sundays


async def test_a_group_that_moves_zone(api: Api) -> None:
    """From the move on its days are those of the new zone; what came before keeps its day, also if the move is told late."""
    await put(api, "/v1/groups/team-1", {"kind": "team", "time_zone": "Asia/Tokyo"})
    await api.send(metres("ana", 1, "2026-03-04T15:30:00Z"), metres("ben", 2, "2026-03-10T15:30:00Z"))
    await put(api, "/v1/groups/team-1", {"time_zone": "America/New_York", "since": "2026-03-07T00:00:00Z"})
    for at, begins, member in (("2026-03-04T15:30:00Z", "2026-03-05", "ana"), ("2026-03-10T15:30:00Z", "2026-03-10", "ben")):
        found = await api.get("/v1/boards/distance", params={"group": "team-1", "window": "day", "at": at})
        assert (found["begins"], [item["member"] for item in found["items"]]) == (begins, [member])
    outcome = await verify(api.services.db)
    assert outcome.items == []


async def test_who_hides_takes_no_rank(api: Api) -> None:
    """Those below come up, at once; what it does meanwhile counts, and shows when it is shown again."""
    await api.send(metres("ana", 300), metres("ben", 200), metres("cem", 100))
    assert await put(api, "/v1/boards/distance/members/ben", {"shown": "hidden"}) == {"member": "ben", "shown": "hidden"}
    assert await ladder(api) == [(1, "ana", 300), (2, "cem", 100)]
    standing = await api.get("/v1/boards/distance/standing", params={"window": "all", "member": "ben"})
    assert (standing["rank"], standing["members"]) == (None, 2)
    await api.send(metres("ben", 500, group="team-2"))
    assert len(await ladder(api)) == 2
    assert await ladder(api, group="team-2") == []
    assert (await verify(api.services.db)).items == []
    await put(api, "/v1/boards/distance/members/ben", {"shown": "all"})
    assert await ladder(api) == [(1, "ben", 700), (2, "ana", 300), (3, "cem", 100)]
    assert (await verify(api.services.db)).items == []


async def test_who_is_masked_keeps_its_rank(api: Api) -> None:
    """The rank is the same for everyone; the name is for itself, for those who share a group, and for keys."""
    for actor, team in (("ana", "team-1"), ("ben", "team-1"), ("eve", "team-2")):
        await put(api, f"/v1/groups/{team}", {"kind": "team"})
        await put(api, f"/v1/groups/{team}/members/{actor}", {"role": "member", "since": "always"})
    await api.send(metres("ana", 300), metres("ben", 200), metres("eve", 100, group="team-2"))
    await put(api, "/v1/boards/distance/members/ana", {"shown": "masked"})

    async def seen_by(viewer: str | None) -> list[str | None]:
        headers = {} if viewer is None else {"milepost-viewer": viewer}
        found = await api.get("/v1/boards/distance", params={"window": "all"}, headers=headers)
        assert [(item["rank"], item["score"]) for item in found["items"]] == [(1, 300), (2, 200), (3, 100)]
        return [item["member"] for item in found["items"]]

    for viewer in (None, "ana", "ben"):
        assert await seen_by(viewer) == ["ana", "ben", "eve"], viewer
    assert await seen_by("eve") == [None, "ben", "eve"]
    eve = {"milepost-viewer": "eve"}
    for path in ("/v1/boards/distance/standing?member=ana", "/v1/boards/distance?group=team-1"):
        assert (await api("GET", path, headers=eve)).status_code == 404
    own = await api.get("/v1/boards/distance/standing?window=all&member=eve&around=2", headers=eve)
    assert [item["member"] for item in own["around"]] == [None, "ben", "eve"]
    asked = {"standings": [{"board": "distance", "window": "all", "members": ["ana", "ben"]}]}
    answer = (await api("POST", "/v1/standings", json=asked, headers=eve)).json()
    assert [item["member"] for item in answer["items"][0]["items"]] == ["ben"]


async def test_friends(api: Api) -> None:
    """An actor among those it follows, with ranks on the whole board, in pages; a viewer asks for itself alone."""
    await api.send(*(metres(f"m{number}", 100 - number) for number in range(8)))
    for friend in ("m1", "m6", "m4"):
        assert (await api("PUT", f"/v1/actors/m3/follows/actor/{friend}")).status_code == 200
    pages = await api.all_pages("/v1/boards/distance/friends", actor="m3", window="all", limit=3)
    assert [(item["rank"], item["member"]) for item in pages] == [(2, "m1"), (4, "m3"), (5, "m4"), (7, "m6")]
    mine = await api.get("/v1/boards/distance/friends?actor=m3&window=all", headers={"milepost-viewer": "m3"})
    assert len(mine["items"]) == 4
    assert (await api("GET", "/v1/boards/distance/friends?actor=m3", headers={"milepost-viewer": "m1"})).status_code == 404


async def test_several_at_once(api: Api) -> None:
    """Boards and members in one call, each with its ranks on the whole board; who has none is left out."""
    await api.send(metres("ana", 300), metres("ben", 200), metres("cem", 100, group="team-2"))
    asked = {
        "standings": [
            {"board": "distance", "window": "all", "members": ["cem", "ana", "nobody"]},
            {"board": "distance", "group": "team-2", "window": "all", "members": ["cem"]},
            {"board": "busiest", "members": ["team-1"]},
        ]
    }
    answer = await api("POST", "/v1/standings", json=asked)
    assert answer.status_code == 200, answer.text
    ranks = [[(item["rank"], item["member"]) for item in one["items"]] for one in answer.json()["items"]]
    assert ranks == [[(1, "ana"), (3, "cem")], [(1, "cem")], [(1, "team-1")]]


@pytest.mark.parametrize(
    ("body", "status", "pointer", "detail"),
    [
        ({}, 422, "/standings", "is required"),
        ({"standings": 7}, 422, "/standings", "Expected array, got int"),
        ({"standings": [], "limit": 3}, 422, "/limit", "is not known here"),
        ({"standings": [{"board": "distance"}]}, 422, "/standings/0/members", "is required"),
        ({"standings": [{"board": "distance", "members": []}]}, 422, "/standings/0/members", "are 1 to"),
        ({"standings": [{"board": "distance", "members": [1]}]}, 422, "/standings/0/members/0", "Expected str, got int"),
        ({"standings": [{"board": "distance", "members": ["ana"], "of": 1}]}, 422, "/standings/0/of", "is not known here"),
        ({"standings": [WHOLE, {**WHOLE, "window": "month"}]}, 400, "/standings/1/window", "'month' is not kept here"),
        ({"standings": [WHOLE, {**WHOLE, "at": "noon"}]}, 400, "/standings/1/at", "'noon' is not an RFC 3339 time"),
        ({"standings": [WHOLE, {**WHOLE, "board": "longest"}]}, 400, "/standings/1/group", "is required"),
    ],
)
async def test_a_question_of_several_that_cannot_be_answered(
    api: Api, body: dict[str, Any], status: int, pointer: str, detail: str
) -> None:
    """An error that names the place in the body, the question's number included."""
    answer = await api("POST", "/v1/standings", json=body)
    assert answer.status_code == status, answer.text
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert error["detail"].startswith(detail)


@pytest.mark.parametrize(
    ("path", "status", "pointer"),
    [
        ("/v1/boards/distanse", 404, None),
        ("/v1/boards/distance?window=month", 400, "/window"),
        ("/v1/boards/longest", 400, "/group"),
        ("/v1/boards/distance?group=nowhere", 404, None),
        ("/v1/boards/distance/standing?member=nobody", 404, None),
        ("/v1/boards/distance?at=noon", 400, "/at"),
    ],
)
async def test_what_cannot_be_answered(api: Api, path: str, status: int, pointer: str | None) -> None:
    """An error that names the parameter."""
    answer = await api("GET", path)
    assert answer.status_code == status, answer.text
    assert [error["pointer"] for error in answer.json().get("errors", ())] == ([] if pointer is None else [pointer])


@pytest.mark.parametrize(
    ("window", "group", "at"),
    [
        ("week", None, "0001-01-01"),
        ("day", None, "0001-01-01T12:00:00Z"),
        ("week", None, "0001-01-07"),
        ("day", "east", "9999-12-31T23:59:59Z"),
        ("all", "west", "0001-01-01"),
    ],
)
async def test_a_window_at_the_end_of_time(api: Api, window: str, group: str | None, at: str) -> None:
    """A window that no calendar has, or that none comes before, is refused by its `at`, wherever it is asked for."""
    for name, zone in (("east", "Asia/Tokyo"), ("west", "America/Los_Angeles")):
        await put(api, f"/v1/groups/{name}", {"kind": "team", "time_zone": zone})
    await api.send(metres("ana", 1))
    asked = {"window": window, "at": at} | ({} if group is None else {"group": group})
    taken = {**asked, "at": at if "T" in at else f"{at}T00:00:00Z"}
    answers = [
        (400, "/at", await api("GET", "/v1/boards/distance", params=asked)),
        (400, "/at", await api("GET", "/v1/boards/distance/standing", params={**asked, "member": "ana"})),
        (400, "/at", await api("GET", "/v1/boards/distance/friends", params={**asked, "actor": "ana"})),
        (422, "/at", await api("PUT", "/v1/boards/distance/snapshots/first", json=taken)),
    ]
    board = {"board": "distance", "members": ["ana"]}
    several = {"standings": [board, {**board, **asked}]}
    answers.append((400, "/standings/1/at", await api("POST", "/v1/standings", json=several)))
    for status, pointer, answer in answers:
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (status, pointer), answer.text


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/boards/distance/members/ana", {"shown": "gone"}, 422),
        ("/v1/boards/distance/members/ana", {"shown": "hidden", "until": "noon"}, 422),
        ("/v1/boards/distance/members/nobody", {"shown": "hidden"}, 404),
        ("/v1/boards/nothing/members/ana", {"shown": "hidden"}, 404),
    ],
)
async def test_what_cannot_be_hidden(api: Api, path: str, body: dict[str, Any], status: int) -> None:
    """Is told before it is queued where that can be told."""
    await api.send(metres("ana", 1))
    assert (await api("PUT", path, json=body)).status_code == status


def beside(moment: str, seconds: int) -> str:
    return (datetime.fromisoformat(moment) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
