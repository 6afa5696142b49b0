"""Reports over HTTP: from each kind of source, over days, compared, ranked, narrowed, and as whom."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from milepost.model import parse_model
from milepost.rollups.reports.span import span_of
from milepost.rollups.reports.subject import subjects_of
from milepost.web import report_schemas
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

MARCH = {"from": "2026-03-01", "to": "2026-04-01"}


def on(day: int, hour: int = 10, minute: int = 0, **fields: Any) -> dict[str, Any]:
    """A run in March 2026; day 0 is the last of February."""
    moment = datetime(2026, 3, 1, hour, minute, tzinfo=UTC) + timedelta(days=day - 1)
    return run_of(**({"occurred_at": moment.isoformat(), "measures": {"distance_m": 1000}} | fields))


def ticket(verb: str, number: int, day: int, hour: int = 10, **fields: Any) -> dict[str, Any]:
    return on(day, hour, verb=verb, object={"kind": "ticket", "id": f"t-{number}"}, measures=None) | fields


async def put(api: Api, path: str, **body: Any) -> None:
    answer = await api("PUT", f"/v1/{path}", json=body)
    assert answer.status_code == 200, answer.text


async def report(api: Api, name: str, **parameters: Any) -> dict[str, Any]:
    found: dict[str, Any] = await api.get(f"/v1/reports/{name}", params=parameters)
    msgspec.convert(found, report_schemas.ReportAnswer)
    return found


async def items(api: Api, name: str, **parameters: Any) -> list[Any]:
    found = await report(api, name, **parameters)
    assert found["next"] is None
    rows: list[Any] = found["items"]
    return rows


async def test_days_are_added_up_and_compared(api: Api) -> None:
    """All values of the days together, distinct ones counted once; beside those of as many days before, and the change."""
    await api.send(
        on(1), on(3, measures={"distance_m": 5000.5}), on(3, actor="user-2", measures=None), on(-5, measures={"distance_m": 500}),
        on(-40), on(40), on(2, group="team-2"),
    )  # fmt: skip
    found = await report(api, "distance", group="team-1", **MARCH)
    assert {name: found[name] for name in ("from", "to", "time_zone")} == MARCH | {"time_zone": "UTC"}
    assert found["items"] == [
        {
            "keys": {},
            "values": {
                "count": 3,
                "sum(distance_m)": 6000.5,
                "avg(distance_m)": 3000.25,
                "max(distance_m)": 5000.5,
                "distinct(actor)": 2,
                "share(distance_m >= 5000)": 0.5,
                "last_at": "2026-03-03T10:00:00Z",
            },
            "previous": {
                "count": 1,
                "sum(distance_m)": 500,
                "avg(distance_m)": 500,
                "max(distance_m)": 500,
                "distinct(actor)": 1,
                "share(distance_m >= 5000)": 0,
                "last_at": "2026-02-23T10:00:00Z",
            },
            "change": {
                "count": 2,
                "sum(distance_m)": 11.001,
                "avg(distance_m)": 5.0005,
                "max(distance_m)": 9.001,
                "distinct(actor)": 1,
                "share(distance_m >= 5000)": None,
            },
        }
    ]
    (nothing,) = await items(api, "distance", group="team-1", **{"from": "2024-01-01", "to": "2024-01-02"})
    assert (nothing["values"]["count"], nothing["values"]["avg(distance_m)"], nothing["change"]["count"]) == (0, None, None)
    (week,) = await items(api, "distance", group="team-1", days=7, **{"from": "2026-03-01"})
    (before,) = await items(api, "distance", group="team-1", days=7, to="2026-03-08")
    assert week == before
    assert await items(api, "distance", group="nobody's") == []


async def test_of_days_until_today(api: Api) -> None:
    """Without from and to, today is the last day, in the group's own zone."""
    await put(api, "groups/team-1", kind="team", time_zone="Pacific/Kiritimati")
    now = datetime.now(UTC)
    await api.send(run_of(occurred_at=now.isoformat()), run_of(occurred_at=(now - timedelta(days=2)).isoformat()))
    assert [(await items(api, "distance", group="team-1", days=days))[0]["values"]["count"] for days in (1, 2, 3)] == [1, 1, 2]
    assert (await report(api, "distance", group="team-1"))["time_zone"] == "Pacific/Kiritimati"


async def test_per_day_page_by_page(api: Api) -> None:
    """Buckets in order, with a rule as true or false; any number of them to a page."""
    await api.send(on(1), on(1), on(2), on(2, group="team-2"), on(5))
    expected = [
        ("2026-03-01", "team-1", 2000, True),
        ("2026-03-02", "team-1", 1000, False),
        ("2026-03-02", "team-2", 1000, False),
        ("2026-03-05", "team-1", 1000, False),
    ]
    for limit in (1, 2, 50):
        rows = await api.all_pages("/v1/reports/days", limit=limit, **MARCH)
        shown = [(row["bucket"], row["keys"]["group"], *row["values"].values()) for row in rows]
        assert [(bucket, group, metres, many) for bucket, group, metres, _, many in shown] == expected
    assert [row["bucket"] for row in await items(api, "days", group="team-2", **MARCH)] == ["2026-03-02"]


async def test_kinds_and_shares(api: Api) -> None:
    """Counts by verb, distinct actors across statuses and days, and the rate of a status."""
    await api.send(
        on(1, status="ok"), on(2, status="failed"), on(3, actor="user-2", status="ok"), on(4, status="failed"),
        ticket("report", 1, 5), on(6, group="team-2"),
    )  # fmt: skip
    rows = await items(api, "kinds", group="team-1", **MARCH)
    assert [(row["keys"], *row["values"].values()) for row in rows] == [
        ({"group": "team-1", "verb": "report"}, 1, 1, 0),
        ({"group": "team-1", "verb": "run"}, 4, 2, 0.5),
    ]
    (one,) = await items(api, "kinds", group="team-1", verb="run", status="failed", **MARCH)
    assert one["values"] == {"count": 2, "distinct(actor)": 1, "share(status = failed)": 1}


async def test_the_highest_and_the_rarest(api: Api) -> None:
    """Of the first value, so many and no more."""
    await api.send(on(1), on(2), on(3), on(1, verb="walk"), on(2, verb="walk"), ticket("report", 1, 1), on(1, status="odd"))
    assert [
        (row["keys"]["verb"], row["values"]["count"]) for row in await items(api, "busiest_kinds", group="team-1", **MARCH)
    ] == [
        ("run", 4),
        ("walk", 2),
    ]
    assert [row["keys"] for row in await items(api, "rare", group="team-1", **MARCH)] == [
        {"verb": "report", "status": ""},
        {"verb": "run", "status": "odd"},
    ]
    assert len((await report(api, "busiest_kinds", group="team-1", limit=1, **MARCH))["items"]) == 1


async def test_each_activity_counts_once(api: Api) -> None:
    """What happens in a team is its league's, too: a report that adds groups up wants one of them, or is of a kind, which never lies in itself."""
    await put(api, "groups/league", kind="league")
    for team in ("team-1", "team-2"):
        await put(api, f"groups/{team}", kind="team", parent="league")
    await put(api, "groups/team-3", kind="team")
    await api.send(
        on(1), on(2), on(2, group="team-2"), on(3, group="league"), on(3, group="team-3"),
        ticket("report", 1, 5), ticket("resolve", 1, 6), ticket("report", 2, 5, group="team-3"), ticket("resolve", 2, 6, group="team-3"),
    )  # fmt: skip

    async def counted(name: str, **question: str) -> list[list[int]]:
        rows = await items(api, name, **question, **MARCH)
        return [list(row["values"].values()) for row in rows if row["keys"] in ({}, {"verb": "run"})]

    assert await counted("kinds_in_teams") == [[4, 3]]
    assert await counted("kinds_in_teams", group="league") == [[3, 2]]
    assert await counted("kinds_in_teams", within="league") == [[3, 2]]
    assert await counted("kinds_in_teams", group="team-1") == [[2, 1]]
    assert await counted("busiest_kinds", group="league") == [[4]]
    assert [row["keys"]["group"] for row in await items(api, "quiet_teams", group="league", **MARCH)] == ["team-2", "team-1"]
    assert [row["keys"]["group"] for row in await items(api, "quiet_teams", group="team-3", **MARCH)] == ["team-3"]

    assert await counted("resolved") == await counted("resolved_in_teams") == [[2]]
    for asked in ({"group": "league"}, {"group": "team-1"}, {"group": "team-3"}):
        assert await counted("resolved", **asked) == await counted("resolved_in_teams", **asked) == [[1]]
    assert await counted("resolved_in_teams", within="league") == [[1]]


async def test_hours_of_the_business_day(api: Api) -> None:
    """By the group's clock, in a zone of half hours, on both sides of a change of clocks, on weekdays alone."""
    await put(api, "groups/team-1", kind="team", time_zone="America/St_Johns")  # UTC-3:30, from 8 March 2026 on UTC-2:30
    await api.send(
        on(6, 12, 29),  # Friday 8:59
        on(6, 12, 30),  # Friday 9:00
        on(9, 11, 30, actor="user-2"),  # Monday 9:00, after the change
        on(9, 11, 29),  # Monday 8:59
        on(9, 20, 29, verb="walk"),  # Monday 17:59
        on(9, 20, 30),  # Monday 18:00
        on(7, 14),  # Saturday
    )
    rows = await items(api, "hours", group="team-1", **MARCH)
    assert [(row["bucket"], *row["values"].values()) for row in rows] == [(9, 2, 2, 2), (17, 1, 1, 0)]


async def test_days_around_a_change_of_clocks(api: Api) -> None:
    """A day is the zone's own, of 23 or 25 hours."""
    await put(api, "groups/team-1", kind="team", time_zone="Europe/Berlin")
    await api.send(on(28, 23, 30), on(29, 21, 59), on(29, 22, 1), on(28, 22, 59))
    one_day = {"from": "2026-03-29", "to": "2026-03-30"}
    assert (await items(api, "distance", group="team-1", **one_day))[0]["values"]["count"] == 2
    assert [row["bucket"] for row in await items(api, "days", group="team-1", **MARCH)] == [
        "2026-03-28",
        "2026-03-29",
        "2026-03-30",
    ]


async def test_engagement(api: Api) -> None:
    """The part of the members, of the group and those below it, who did something; others who did something do not count."""
    await put(api, "groups/league-1", kind="league")
    for team in ("team-1", "team-2"):
        await put(api, f"groups/{team}", kind="team", parent="league-1", since="always")
    for group, actor in (("team-1", "a"), ("team-1", "b"), ("team-2", "b"), ("team-2", "c")):
        await put(api, f"groups/{group}/members/{actor}", role="member", since="always")
    await api.send(on(1, actor="a"), on(2, actor="guest"), on(-3, actor="b", group="team-2"))
    (league,) = await items(api, "engagement", group="league-1", **MARCH)
    assert league["values"] == {
        "distinct(actor)": 2, "members": 3, "engagement": 0.333333, "engagement >= 0.5": False,
    }  # fmt: skip
    assert league["previous"]["engagement"] == 0.333333
    below = await items(api, "engagement", within="league-1", **MARCH)
    assert [(row["keys"]["group"], *row["values"].values()) for row in below] == [
        ("team-1", 2, 2, 0.5, True),
        ("team-2", 0, 2, 0, False),
    ]


async def test_times_to_resolution(api: Api) -> None:
    """Of what was closed in the days, exact percentiles; what is open; in the groups above, too."""
    await put(api, "groups/league-1", kind="league")
    await put(api, "groups/team-1", kind="team", parent="league-1", since="always")
    opened = [ticket("report", number, 1, 0) for number in range(1, 12)]
    closed = [ticket("resolve", number, 1, number) for number in range(1, 11)]
    await api.send(*opened, *closed, ticket("report", 20, 1, group="team-2"), ticket("resolve", 20, 2, group="team-2"))
    expected = {
        "count": 10,
        "open": 1,
        "avg(seconds)": 19800,
        "p50(seconds)": 18000,
        "p90(seconds)": 32400,
        "max(seconds)": 36000,
        "share(seconds <= 3600)": 0.1,
    }
    for group in ("team-1", "league-1"):
        assert await items(api, "resolution", group=group, **MARCH) == [{"keys": {"group": group}, "values": expected}]
    found = await items(api, "resolution", **MARCH)
    assert [(row["keys"]["group"], row["values"]["count"]) for row in found] == [
        ("league-1", 10),
        ("team-1", 10),
        ("team-2", 1),
    ]
    assert await items(api, "resolution", group="team-2", **{"from": "2026-03-03", "to": "2026-03-04"}) == []


def grade(actor: str, assessment: str, score: float, **fields: Any) -> dict[str, Any]:
    target = {"kind": "assessment", "id": assessment}
    return on(2, actor=actor, verb="grade", object=target, measures={"score": score}) | fields


async def test_a_grade_book(api: Api) -> None:
    """Weights are looked up on what another verb said last of the same object; a rule passes or fails."""
    weights = {"a-1": 0.2, "a-2": 0.8, "a-3": 0.5}
    assigned = [
        grade("teacher", name, 0, verb="assign", measures=None, data={"weight": weight}) for name, weight in weights.items()
    ]
    sent = await api.send(
        *assigned,
        grade("ana", "a-1", 90), grade("ana", "a-2", 20), grade("ana", "a-9", 100), grade("ana", "a-2", 30.5, occurred_at="2026-03-05T00:00:00Z"),
        grade("ben", "a-1", 40), grade("ben", "a-2", 39.99), grade("ana", "a-3", 80, group="team-2"),
    )  # fmt: skip
    ana = {"group": "team-1", "actor": "ana"}
    expected = {
        "weighted_avg(score, assign.weight)": 42.4,
        "weighted_avg(score, assign.weight) >= 40": True,
        "share(score >= 40)": 0.666667,
        "count": 3,
        "max(score)": 100,
    }
    rows = await items(api, "grades", group="team-1")
    assert [row["keys"] for row in rows] == [ana, {"group": "team-1", "actor": "ben"}]
    assert rows[0]["values"] == expected
    assert list(rows[1]["values"].values()) == [39.992, False, 0.5, 2, 40]
    assert [row["keys"]["group"] for row in await items(api, "grades", actor="ana")] == ["team-1", "team-2"]
    patched = await api("PATCH", f"/v1/activities/{sent['ids'][1]}", json={"data": {"weight": 0.05}})
    assert patched.status_code == 200
    assert (await items(api, "grades", group="team-1", actor="ana"))[0]["values"]["weighted_avg(score, assign.weight)"] == 78.1
    await api("DELETE", f"/v1/activities/{sent['ids'][0]}")
    assert (await items(api, "grades", group="team-1", actor="ana"))[0]["values"]["weighted_avg(score, assign.weight)"] == 30.5
    (lately,) = await items(api, "grades", group="team-1", actor="ana", **{"from": "2026-03-04", "to": "2026-03-06"})
    assert lately["values"]["count"] == 1


async def test_memberships(api: Api) -> None:
    """The groups of an actor, or the members of a group, with what rollups know of each."""
    await put(api, "groups/league-1", kind="league")
    for team in ("team-1", "team-2"):
        await put(api, f"groups/{team}", kind="team", parent="league-1", since="always")
    for group, actor, role in (
        ("team-1", "ana", "captain"),
        ("team-1", "ben", "member"),
        ("team-2", "ana", "member"),
        ("league-1", "ana", "x"),
    ):
        await put(api, f"groups/{group}/members/{actor}", role=role, since="2026-01-01T00:00:00Z")
    await api.send(on(1, actor="ana"), on(2, actor="ana"), on(2, actor="cem"), on(1, actor="ben", group="team-2"))
    expected = [
        ({"group": "team-1"}, ["captain", "2026-01-01T00:00:00Z", 2, 2, 2000, 2, True]),
        ({"group": "team-2"}, ["member", "2026-01-01T00:00:00Z", 1, 0, 0, 1, None]),
    ]
    for limit in (1, 50):
        rows = await api.all_pages("/v1/reports/my_teams", actor="ana", limit=limit)
        assert [(row["keys"], list(row["values"].values())) for row in rows] == expected
    rows = await items(api, "roster", group="team-1")
    assert [(row["keys"]["actor"], *row["values"].values()) for row in rows] == [
        ("ana", "captain", 2000, 2),
        ("ben", "member", 0, 1),
    ]


async def test_what_is_open(api: Api) -> None:
    """How much each member of a class has before it."""
    for actor in ("ana", "ben"):
        await put(api, f"groups/team-1/members/{actor}", role="member", since="always")
    given = [
        grade("teacher", f"a-{n}", 0, verb="assign", measures=None, data={"due": due})
        for n, due in enumerate(("2026-03-05T00:00:00Z", "2999-01-01T00:00:00Z", "2999-01-02T00:00:00Z"))
    ]
    await api.send(*given, grade("ben", "a-0", 0, verb="submit", measures=None))
    rows = await items(api, "backlog", group="team-1")
    assert [(row["keys"]["actor"], *row["values"].values()) for row in rows] == [
        ("ana", 3, 1, "2999-01-01T00:00:00Z"),
        ("ben", 2, 0, "2999-01-01T00:00:00Z"),
    ]
    assert len(await items(api, "backlog", actor="ben")) == 1


async def test_several_at_once(api: Api) -> None:
    """A report with parts answers all of them, of one snapshot."""
    await api.send(on(1), ticket("report", 1, 1, 0), ticket("resolve", 1, 1, 1))
    found = await report(api, "whole", group="team-1", **MARCH)
    assert {name: len(part["items"]) for name, part in found["parts"].items()} == {"distance": 1, "kinds": 3, "resolution": 1}


async def test_what_there_is(api: Api) -> None:
    """Each report says what it can be asked, and the formula and unit of its values."""
    found = await api.get("/v1/reports")
    msgspec.convert(found, report_schemas.ReportList)
    told = {
        (one["name"], value["value"]): (value["formula"], value["unit"]) for one in found["items"] for value in one["values"]
    }
    assert told["resolution", "p90(seconds)"] == (
        "the smallest seconds that 90% of the pairs closed in the days do not exceed",
        "s",
    )
    assert told["engagement", "engagement"] == ("members now who did something in the days ÷ members now", "0 to 1")
    assert told["grades", "weighted_avg(score, assign.weight) >= 40"] == (
        "whether this is >= 40: Σ (score × assign.weight) ÷ Σ assign.weight, of rows of the latest table that have both",
        "true or false",
    )


async def test_what_must_be_asked(api: Api) -> None:
    """Each report says how many days it is about unless a question says so, and which parameters it cannot be asked without."""
    told = {one["name"]: (one["days"], one["required"]) for one in (await api.get("/v1/reports"))["items"]}
    somebody = ["group", "actor", "within"]
    assert {name: told[name] for name in ("distance", "kinds", "resolution", "grades", "backlog", "my_teams", "whole")} == {
        "distance": (30, ["group"]),
        "kinds": (90, []),
        "resolution": (30, []),
        "grades": (None, []),
        "backlog": (None, somebody),
        "my_teams": (None, somebody),
        "whole": (None, ["group"]),
    }
    for name, (days, required) in told.items():
        assert (await api("GET", f"/v1/reports/{name}")).status_code == (400 if required else 200), name
        for parameter in required:
            found = await report(api, name, **{parameter: "nobody"})
            assert days is None or (date.fromisoformat(found["to"]) - date.fromisoformat(found["from"])).days == days


async def test_of_a_time_the_date_is_taken(api: Api) -> None:
    """A time and a zone may be written after a date, and are not looked at: days are the group's own."""
    plain = await report(api, "distance", group="team-1", **{"from": "2026-03-02", "to": "2026-03-05"})
    assert (
        await report(api, "distance", group="team-1", **{"from": "2026-03-02T23:30:00-11:00", "to": "2026-03-05T00:00:00Z"})
        == plain
    )


async def test_what_a_part_requires_the_whole_does() -> None:
    """What will do for each part; a rollup's engagement wants the group whose members it is of."""
    model = parse_model(
        """
        name = "one"
        [verbs.run]
        [verbs.give]
        object = "task"
        [verbs.do]
        object = "task"
        [rollups.work]
        of = ["run"]
        by = ["group"]
        per = ["day"]
        values = ["count", "distinct(actor)"]
        [pending.tasks]
        given = "give"
        done = "do"
        [reports.engaged]
        from = "work"
        values = ["engagement"]
        [reports.todo]
        from = "tasks"
        by = "actor"
        values = ["count"]
        [reports.both]
        parts = ["engaged", "todo"]
        """
    )
    required = {name: subjects_of(model, one) for name, one in model.reports.items()}
    assert required == {"engaged": ("group",), "todo": ("group", "actor", "within"), "both": ("group",)}


async def test_viewers(api: Api) -> None:
    """A viewer is answered about groups that it may read and about itself; all else is not there."""
    await put(api, "groups/league-1", kind="league")
    for team in ("team-1", "team-2"):
        await put(api, f"groups/{team}", kind="team", parent="league-1")
    await put(api, "groups/team-1/members/ana", role="member")
    await put(api, "groups/league-1/members/boss", role="any")

    async def seen(viewer: str, path: str) -> int:
        return (await api("GET", f"/v1/reports/{path}", headers={"milepost-viewer": viewer})).status_code

    for path, ana, boss in (
        ("distance?group=team-1", 200, 200),
        ("distance?group=team-2", 404, 200),
        ("kinds?within=league-1", 404, 200),
        ("my_teams?actor=ana", 200, 404),
        ("my_teams?actor=boss", 404, 200),
        ("distance", 404, 404),
    ):
        assert (await seen("ana", path), await seen("boss", path)) == (ana, boss), path


@pytest.mark.parametrize(
    ("path", "status", "pointer", "said"),
    [
        ("distanse", 404, None, "Did you mean distance?"),
        ("distance?actor=a", 400, "/actor", "is not a key here: they are group"),
        ("distance?days=0", 400, "/days", ""),
        ("distance?from=2026-03-02&to=2026-03-02", 400, "/from", "is not before the end"),
        ("distance?from=2026-03-02&to=2026-03-05&days=3", 400, "/days", "is one too many beside from and to"),
        ("distance?from=1000-03-02", 400, "/from", "is more than 3660 days before the end"),
        ("distance?to=0001-01-02", 400, "/from", "is too far from today"),
        ("distance?from=soon", 400, "/from", "is not a local date or time"),
        ("hours?within=a&group=b&cursor=c", 400, "/cursor", ""),
        ("backlog", 400, "/group", "is required, or an actor"),
        ("my_teams", 400, "/group", "is required, or an actor"),
        ("busiest_kinds", 400, "/group", "busiest_kinds adds up, and what happens in a group counts for those above it, too"),
        ("busiest_kinds?within=team-1", 400, "/group", "is required"),
        ("resolved?within=team-1", 400, "/within", "ask for the group"),
        ("distance?members=3", 400, "/members", "is not a parameter of this route"),
    ],
)
async def test_wrong_questions(api: Api, path: str, status: int, pointer: str | None, said: str) -> None:
    """They are named."""
    problem = await api("GET", f"/v1/reports/{path}")
    assert problem.status_code == status, problem.text
    if pointer is None:
        assert said in problem.json()["detail"]
    else:
        assert [error["pointer"] for error in problem.json()["errors"]] == [pointer]
        assert said in problem.json()["errors"][0]["detail"]


async def test_a_source_that_is_being_filled(api: Api) -> None:
    """503 and not wrong numbers, also of what is looked up beside it."""
    owner = await api.services.db.owner()
    try:
        for name, path in (
            ("rollup_work", "kinds"),
            ("about_assign", "grades?group=team-1"),
            ("given_assessments", "backlog?group=team-1"),
        ):
            row = {"tenant": api.tenant_id, "name": name}
            await owner.execute(
                b"INSERT INTO milepost.filling (tenant_id, name, filled_to) VALUES (%(tenant)s, %(name)s,"
                b" '00000000-0000-0000-0000-000000000000')", row,
            )  # fmt: skip
            assert (await api("GET", f"/v1/reports/{path}")).status_code == 503, name
            await owner.execute(b"DELETE FROM milepost.filling WHERE tenant_id = %(tenant)s AND name = %(name)s", row)
    finally:
        await owner.close()


async def test_spans() -> None:
    """Days up to today, from a day on, or before one."""
    local = datetime(2026, 3, 29, 1, 30)

    def days(**asked: Any) -> tuple[str, str]:
        found = span_of(local, "Europe/Berlin", **{"days": None, "first": None, "last": None, "usual": 30} | asked)
        return found.first.isoformat(), found.last.isoformat()

    assert days() == ("2026-02-28", "2026-03-30")
    assert days(days=1) == ("2026-03-29", "2026-03-30")
    assert days(first=datetime(2026, 3, 1)) == ("2026-03-01", "2026-03-30")
    assert days(first=datetime(2026, 3, 1), days=2) == ("2026-03-01", "2026-03-03")
    assert days(last=datetime(2026, 3, 1)) == ("2026-01-30", "2026-03-01")
