"""Commands that change groups, actors and members: what they change, from when, and what they refuse."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effort import examples
from milepost.access.changes import LEVELS_MAX, Change, apply, check, prepare
from milepost.access.groups import list_members
from milepost.errors import Conflict, FieldError, InvalidInput, NotFound
from milepost.model import GroupKind, Model
from milepost.postgres import Connection, Database

pytest_plugins = ["fix_schema"]

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)
FREE = Model(name="free")
TEAMS = Model(
    name="teams",
    groups={
        "league": GroupKind(name="league"),
        "team": GroupKind(
            name="team",
            parent="league",
            roles={"captain": ("read", "write"), "member": ("read",)},
            attributes={"goal_m": "integer", "fee": "decimal(2)", "open": "boolean", "motto": "text", "until": "time"},
        ),
    },
)


@pytest.fixture
async def conn(any_db: Database) -> AsyncIterator[Connection]:
    """A transaction of tenant 1, as a loader has it."""
    async with any_db.transaction("write", tenant_id=1) as connection:
        yield connection


async def run(
    conn: Connection, do: str, *, now: datetime = NOW, model: Model = FREE, **fields: Any
) -> tuple[Change, dict[str, Any]]:
    """Both steps of a command."""
    command = {"do": do, **fields}
    change = await prepare(conn, 1, command, now=now, model=model)
    return change, await apply(conn, 1, command, change, now=now, model=model)


async def reach(conn: Connection, group: str, at: datetime) -> dict[str, str]:
    """The ancestors of a group (itself included) and their zones, as group_reach has them at a moment."""
    rows = await conn.execute(
        b"""SELECT a.external_id, r.time_zone
            FROM milepost.groups g
            JOIN milepost.group_reach r ON r.tenant_id = g.tenant_id AND r.group_id = g.group_id
            JOIN milepost.groups a ON a.tenant_id = r.tenant_id AND a.group_id = r.ancestor_id
            WHERE g.tenant_id = 1 AND g.external_id = %s AND r.since <= %s AND r.until > %s""",
        [group, at, at],
    )
    found = await rows.fetchall()
    assert len(found) == len(dict(found)), "an ancestor counts once"
    return dict(found)


async def refused(conn: Connection, do: str, *, model: Model = FREE, **fields: Any) -> dict[str, str]:
    """The faults of a command, by pointer."""
    with pytest.raises(InvalidInput) as error:
        await prepare(conn, 1, {"do": do, **fields}, now=NOW, model=model)
    return {fault.pointer: fault.detail for fault in error.value.errors}


# ── Groups ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_first_declaration_holds_always(conn: Connection) -> None:
    """A group's history counts under the parent and zone it is first declared with, and its parent need not be known."""
    change, answer = await run(conn, "put_group", id="team-3", kind="team", parent="lg", time_zone="Asia/Tokyo")
    assert change.since == YEAR_ONE
    assert len(change.groups) == 1
    assert answer == {
        "id": "team-3",
        "kind": "team",
        "name": None,
        "parent": "lg",
        "time_zone": "Asia/Tokyo",
        "status": "active",
        "attributes": {},
        "changed_at": "2026-03-01T12:00:00Z",
    }
    for at in (YEAR_ONE, NOW, datetime(9999, 12, 31, tzinfo=UTC)):
        assert await reach(conn, "team-3", at) == {"team-3": "Asia/Tokyo", "lg": ""}
    assert await reach(conn, "lg", NOW) == {"lg": ""}


async def test_undeclared_group_from_intake(conn: Connection) -> None:
    """A group seen in an activity is not declared: its first declaration holds always, without one nothing changes."""
    await conn.execute(b"INSERT INTO milepost.groups (tenant_id, group_id, external_id) VALUES (1, 7, 'team-3')")
    await conn.execute(b"INSERT INTO milepost.group_reach VALUES (1, 7, '-infinity', 'infinity', 7, '')")
    change, _ = await run(conn, "put_group", id="team-3", name="Threes")
    assert change == Change(groups=(7,), since=None)
    assert await reach(conn, "team-3", NOW) == {"team-3": ""}
    # Now it is declared, so a parent counts from now on.
    change, _ = await run(conn, "put_group", id="team-3", parent="lg")
    assert change == Change(groups=(7,), since=NOW)
    assert await reach(conn, "team-3", NOW - timedelta(seconds=1)) == {"team-3": ""}
    assert await reach(conn, "team-3", NOW) == {"team-3": "", "lg": ""}


async def test_only_what_is_given_changes(conn: Connection) -> None:
    """An absent field stays; null takes parent, zone, name and attributes away."""
    await run(conn, "put_group", id="a", parent="p", time_zone="Asia/Tokyo", name="A", status="closed", attributes={"x": 1})
    change, answer = await run(conn, "put_group", id="a", attributes={"y": [1.5, None, "z"]})
    assert change.since is None
    assert (answer["parent"], answer["name"], answer["status"]) == ("p", "A", "closed")
    assert answer["attributes"] == {"y": [1.5, None, "z"]}
    change, answer = await run(conn, "put_group", id="a", parent=None, time_zone=None, name=None, attributes=None)
    assert change.since == NOW
    assert (answer["parent"], answer["time_zone"], answer["name"], answer["attributes"]) == (None, None, None, {})
    assert answer["status"] == "closed"


async def test_repeated_put_changes_nothing(conn: Connection) -> None:
    """What already holds from a time on is no change; what holds only for a part of it changes from where it differs."""
    await run(conn, "put_group", id="a", parent="p")
    change, _ = await run(conn, "put_group", id="a", parent="p", now=NOW + timedelta(days=1))
    assert change.since is None
    await run(conn, "put_group", id="a", parent="q", since="2026-05-01T00:00:00+02:00")
    change, _ = await run(conn, "put_group", id="a", parent="p", since="2026-04-01T00:00:00Z")
    assert change.since == datetime(2026, 4, 30, 22, tzinfo=UTC)
    spans = await (await conn.execute(b"SELECT count(*) FROM milepost.group_span WHERE parent_id IS NOT NULL")).fetchone()
    assert spans == (1,)


async def test_backdated_change_reaches_those_below(conn: Connection) -> None:
    """A group's new parent in the past is the ancestor of all below it from then on."""
    await run(conn, "put_group", id="team", parent="club")
    await run(conn, "put_group", id="club", parent="lg1", time_zone="Europe/Berlin")
    then = NOW - timedelta(days=400)
    change, _ = await run(conn, "put_group", id="club", parent="lg2", since=then.isoformat())
    assert change.since == then
    assert await reach(conn, "team", then) == {"team": "", "club": "Europe/Berlin", "lg2": ""}
    assert await reach(conn, "team", then - timedelta(microseconds=1)) == {"team": "", "club": "Europe/Berlin", "lg1": ""}
    change, _ = await run(conn, "put_group", id="club", time_zone="Asia/Tokyo", since="always")
    assert change.since == YEAR_ONE
    assert await reach(conn, "team", then) == {"team": "", "club": "Asia/Tokyo", "lg2": ""}


async def test_no_circle_at_any_moment(conn: Connection) -> None:
    """A group is never above itself: not now, not in a past moment, not in a part of the time."""
    assert "own parent" in (await refused(conn, "put_group", id="a", parent="a"))["/parent"]
    await run(conn, "put_group", id="b", parent="a")
    await run(conn, "put_group", id="c", parent="b")
    assert "above itself" in (await refused(conn, "put_group", id="a", parent="c"))["/parent"]
    # From March 2027 on c stands elsewhere: then a may be below it, but not before.
    await run(conn, "put_group", id="c", parent=None, since="2027-03-01T00:00:00Z")
    assert "above itself" in (await refused(conn, "put_group", id="a", parent="c", since="2027-02-28T00:00:00Z"))["/parent"]
    await run(conn, "put_group", id="a", parent="c", since="2027-03-01T00:00:00Z")
    assert await reach(conn, "b", datetime(2027, 3, 1, tzinfo=UTC)) == {"b": "", "a": "", "c": ""}
    assert "above itself" in (await refused(conn, "put_group", id="c", parent="b", since="always"))["/parent"]


async def test_levels_are_bounded(conn: Connection) -> None:
    """Groups stand at most LEVELS_MAX above each other, counted from the lowest to the highest."""
    for level in range(1, LEVELS_MAX):
        await run(conn, "put_group", id=f"g{level}", parent=f"g{level + 1}")
    assert len(await reach(conn, "g1", NOW)) == LEVELS_MAX
    top, above = f"g{LEVELS_MAX}", "above"
    for _ in ("new", "known"):
        assert "levels" in (await refused(conn, "put_group", id="below", parent="g1"))["/parent"]
        assert "levels" in (await refused(conn, "put_group", id=top, parent=above))["/parent"]
        await run(conn, "put_group", id="below")
        await run(conn, "put_group", id=above)
    # Where the line was shorter for a time, that time is allowed: only the moments count.
    await run(conn, "put_group", id="g1", parent=None, since="2030-01-01T00:00:00Z")
    await run(conn, "put_group", id=top, parent=above, since="2030-01-01T00:00:00Z")
    assert "levels" in (await refused(conn, "put_group", id=top, parent=above, since="2029-12-31T00:00:00Z"))["/parent"]


async def test_groups_fit_the_model(conn: Connection) -> None:
    """Kinds, parents' kinds and attributes are those that the model declares."""
    assert await refused(conn, "put_group", model=TEAMS, id="t", kind="taem") == {
        "/kind": "'taem' is not a kind of group; known are league, team"
    }
    await run(conn, "put_group", model=TEAMS, id="t", kind="team", parent="lg")
    assert await refused(conn, "put_group", model=TEAMS, id="lg", kind="team") == {
        "/kind": "it is the parent of a group of kind team, so it must be of kind league"
    }
    await run(conn, "put_group", model=TEAMS, id="lg", kind="league")
    assert await refused(conn, "put_group", model=TEAMS, id="u", kind="team", parent="t") == {
        "/parent": "the parent must be of kind league, as for all of kind team; 't' is of kind team"
    }
    assert await refused(conn, "put_group", model=TEAMS, id="lg", parent="other") == {
        "/parent": "a group of kind league has no parent in this model"
    }
    with pytest.raises(Conflict, match="'lg' is of kind league; a group's kind stays"):
        await run(conn, "put_group", model=TEAMS, id="lg", kind="team")
    wrong = {"goal_m": 1.5, "fee": 0.125, "open": 1, "motto": 7, "until": "tomorrow", "free": {"any": "thing"}}
    assert await refused(conn, "put_group", model=TEAMS, id="t", attributes=wrong) == {
        "/attributes/goal_m": "must be an integer",
        "/attributes/fee": "must have at most 2 decimal places",
        "/attributes/open": "must be true or false",
        "/attributes/motto": "must be text",
        "/attributes/until": "must be an RFC 3339 time with a zone",
    }
    right = {"goal_m": 100_000, "fee": 0.12, "open": True, "motto": "go", "until": "2026-01-01T00:00:00Z", "free": [1]}
    _, answer = await run(conn, "put_group", model=TEAMS, id="t", attributes=right)
    assert answer["attributes"] == right


# ── Members and actors ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_member(conn: Connection) -> None:
    """A member counts from now on; the same again changes nothing; a new role moves no contribution but is kept."""
    change, answer = await run(conn, "put_member", group="t", actor="u", role="member", permissions=["b", "a"], added_by="boss")
    assert change.since == NOW
    assert (len(change.groups), len(change.actors)) == (1, 1)
    assert answer == {
        "group": "t",
        "actor": "u",
        "role": "member",
        "permissions": ["a", "b"],
        "since": "2026-03-01T12:00:00Z",
        "until": None,
        "added_at": "2026-03-01T12:00:00Z",
        "added_by": "boss",
    }
    assert await reach(conn, "t", NOW) == {"t": ""}
    later = NOW + timedelta(days=1)
    change, again = await run(conn, "put_member", now=later, group="t", actor="u", role="member", permissions=["a", "b"])
    assert (change.since, again) == (None, answer)
    change, answer = await run(conn, "put_member", now=later, group="t", actor="u", role="captain")
    assert change.since is None
    assert (answer["role"], answer["added_at"], answer["added_by"]) == ("captain", "2026-03-01T12:00:00Z", "boss")
    roles = [(await list_members(conn, 1, "t", at=at))[0].role for at in (NOW, later)]
    assert roles == ["member", "captain"]


async def test_backdated_member(conn: Connection) -> None:
    """A membership may begin in the past, always, or later; the change begins where it was not one before."""
    await run(conn, "put_member", group="t", actor="u", role="member")
    change, answer = await run(conn, "put_member", group="t", actor="u", role="member", since="always")
    assert change.since == YEAR_ONE
    assert answer["since"] is None
    await run(conn, "remove_member", group="t", actor="u", at="2026-03-05T00:00:00Z")
    change, answer = await run(conn, "put_member", group="t", actor="u", role="member", since="2026-03-02T00:00:00Z")
    assert change.since == datetime(2026, 3, 5, tzinfo=UTC)
    change, answer = await run(conn, "put_member", group="t", actor="v", role="member", since="2027-01-01T00:00:00Z")
    assert (change.since, answer["since"]) == (datetime(2027, 1, 1, tzinfo=UTC), "2027-01-01T00:00:00Z")
    assert [member.actor for member in await list_members(conn, 1, "t", at=NOW)] == ["u"]


async def test_remove_member(conn: Connection) -> None:
    """A removal holds from its moment on; who is not a member then or later is not found."""
    await run(conn, "put_member", group="t", actor="u", role="member", since="2026-01-01T00:00:00Z")
    change, answer = await run(conn, "remove_member", group="t", actor="u", at="2026-02-01T00:00:00Z")
    assert change.since == datetime(2026, 2, 1, tzinfo=UTC)
    assert answer == {"group": "t", "actor": "u", "removed_at": "2026-02-01T00:00:00+00:00"}
    change, _ = await run(conn, "remove_member", group="t", actor="u", at="2020-02-01T00:00:00Z")
    assert change.since == datetime(2026, 1, 1, tzinfo=UTC)
    for group, actor in (("t", "u"), ("t", "nobody"), ("none", "u")):
        with pytest.raises(NotFound, match="not a member"):
            await run(conn, "remove_member", group=group, actor=actor)


async def test_roles_of_the_kind(conn: Connection) -> None:
    """A role is one of the kind's, where the kind has roles; others take any."""
    await run(conn, "put_group", model=TEAMS, id="t", kind="team")
    assert await refused(conn, "put_member", model=TEAMS, group="t", actor="u", role="captian") == {
        "/role": "'captian' is not a role in a group of kind team; known are captain, member"
    }
    await run(conn, "put_group", model=TEAMS, id="lg", kind="league")
    await run(conn, "put_member", model=TEAMS, group="lg", actor="u", role="anything")
    await run(conn, "put_member", model=TEAMS, group="not-declared", actor="u", role="anything")


async def test_put_actor(conn: Connection) -> None:
    """An actor is described; nothing derived changes."""
    change, answer = await run(conn, "put_actor", id="u", name="Ulla", attributes={"age": 41})
    assert change == Change()
    assert answer == {"id": "u", "kind": None, "name": "Ulla", "attributes": {"age": 41}}
    _, answer = await run(conn, "put_actor", id="u", kind="person", name=None)
    assert answer == {"id": "u", "kind": "person", "name": None, "attributes": {"age": 41}}


# ── What is refused ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("command", "faults"),
    [
        (
            {"do": "put_gruop"},
            {"/do": "did you mean 'put_group'"},
        ),
        ({"do": "put_group"}, {"/id": "is required"}),
        ({"do": "put_group", "id": "a\0b"}, {"/id": "no control characters"}),
        ({"do": "put_group", "id": ""}, {"/id": "1 to 256"}),
        ({"do": "put_group", "id": "x" * 257}, {"/id": "1 to 256"}),
        ({"do": "put_group", "id": 7}, {"/id": "must be text"}),
        ({"do": "put_group", "id": "\ud800"}, {"/id": "valid Unicode"}),
        ({"do": "put_group", "id": "a", "kimd": "x"}, {"/kimd": "did you mean 'kind'"}),
        ({"do": "put_group", "id": "a", "a/b~": 1}, {"/a~1b~0": "is not known"}),
        ({"do": "put_group", "id": "a", "time_zone": "Mars/Phobos"}, {"/time_zone": "is not a time zone"}),
        ({"do": "put_group", "id": "a", "time_zone": "America"}, {"/time_zone": "is not a time zone"}),
        ({"do": "put_group", "id": "a", "since": "2026-01-01"}, {"/since": "RFC 3339"}),
        ({"do": "put_group", "id": "a", "since": "2026-01-01T00:00:00"}, {"/since": "RFC 3339"}),
        ({"do": "put_group", "id": "a", "since": "infinity"}, {"/since": "RFC 3339"}),
        ({"do": "put_group", "id": "a", "since": "2026-02-30T00:00:00Z"}, {"/since": "RFC 3339"}),
        ({"do": "put_group", "id": "a", "since": "0001-01-01T00:00:00+02:00"}, {"/since": "years 1 to 9999"}),
        ({"do": "put_group", "id": "a", "attributes": []}, {"/attributes": "must be an object"}),
        ({"do": "put_group", "id": "a", "attributes": {"x": "\0"}}, {"/attributes/x": "no NUL"}),
        ({"do": "put_group", "id": "a", "attributes": {"x": float("nan")}}, {"/attributes/x": "finite"}),
        ({"do": "put_group", "id": "a", "attributes": {"x": 10**400}}, {"/attributes/x": "smaller"}),
        ({"do": "put_actor", "id": "a", "name": "x" * 1001}, {"/name": "1 to 1000"}),
        ({"do": "put_member", "group": "g"}, {"/actor": "is required", "/role": "is required"}),
        (
            {"do": "put_member", "group": "g", "actor": "a", "role": "r", "permissions": ["ok", 1]},
            {"/permissions/1": "must be text"},
        ),
        ({"do": "remove_member", "group": "g", "actor": "a", "at": 7}, {"/at": "RFC 3339"}),
    ],
)
def test_malformed(command: dict[str, Any], faults: dict[str, str]) -> None:
    """Every field at fault is named with the reason, without the database."""
    with pytest.raises(InvalidInput) as error:
        check(command, model=FREE)
    found = {fault.pointer: fault.detail for fault in error.value.errors}
    assert found.keys() == faults.keys()
    for pointer, words in faults.items():
        assert words in found[pointer]


def test_deep_attributes() -> None:
    """Nesting has a bound."""
    deep: Any = "x"
    for _ in range(20):
        deep = [deep]
    with pytest.raises(InvalidInput) as error:
        check({"do": "put_actor", "id": "a", "attributes": {"deep": deep}}, model=FREE)
    assert error.value.errors == (FieldError("/attributes/deep", "must not be nested deeper than 16"),)


async def test_zone_unknown_to_postgresql(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zone that Python knows and PostgreSQL does not is refused, and the transaction goes on."""
    monkeypatch.setattr("milepost.access._commands.time_zones", lambda: frozenset({"Mars/Phobos"}))
    faults = await refused(conn, "put_group", id="a", time_zone="Mars/Phobos")
    assert faults == {"/time_zone": "'Mars/Phobos' is not known to this PostgreSQL"}
    await run(conn, "put_group", id="a")


# ── Random histories against a plain model ─────────────────────────────────────────────────────────────────────────

GROUPS = ["a", "b", "c", "d"]
ACTORS = ["u"]
ZONES = [None, "Asia/Tokyo", "America/New_York"]
# Slot 0 is all time before the first moment; slot n begins at moment n - 1.
MOMENTS = [NOW + timedelta(days=day) for day in range(5)]
SLOTS = range(len(MOMENTS) + 1)


def begins(slot: int) -> datetime:
    return MOMENTS[slot - 1] if slot else YEAR_ONE


def probes(slot: int) -> list[datetime]:
    """The first and the last moment of a slot."""
    last = MOMENTS[slot] - timedelta(microseconds=1) if slot < len(MOMENTS) else datetime(9999, 1, 1, tzinfo=UTC)
    return [begins(slot), last]


@dataclasses.dataclass
class Truth:
    """State as of each slot, in plain Python."""

    parents: dict[str, list[str | None]]
    zones: dict[str, list[str | None]]
    members: dict[tuple[str, str], list[tuple[str, tuple[str, ...]] | None]]
    declared: set[str]

    @classmethod
    def new(cls) -> Truth:
        return cls(
            parents={group: [None for _ in SLOTS] for group in GROUPS},
            zones={group: [None for _ in SLOTS] for group in GROUPS},
            members={(group, actor): [None for _ in SLOTS] for group in GROUPS for actor in ACTORS},
            declared=set(),
        )

    def reach(self, group: str, slot: int) -> dict[str, str] | None:
        """None: a circle."""
        found: dict[str, str] = {}
        one: str | None = group
        while one is not None:
            if one in found:
                return None
            found[one] = self.zones[one][slot] or ""
            one = self.parents[one][slot]
        return found


SINCE = st.sampled_from([None, *SLOTS])
GROUP = {"do": st.just("put_group"), "id": st.sampled_from(GROUPS), "since": SINCE, "now": st.sampled_from(SLOTS[1:])}
PUT_PARENT = st.fixed_dictionaries({**GROUP, "parent": st.sampled_from([*GROUPS, None])})
PUT_ZONE = st.fixed_dictionaries({**GROUP, "time_zone": st.sampled_from(ZONES)}, optional={"parent": st.sampled_from(GROUPS)})
MEMBER = {
    "group": st.just("a"),
    "actor": st.sampled_from(ACTORS),
    "since": SINCE,
    "now": st.sampled_from(SLOTS[1:]),
}
PUT_MEMBER = st.fixed_dictionaries(
    {
        **MEMBER,
        "do": st.just("put_member"),
        "role": st.sampled_from(["r", "s"]),
        "permissions": st.sampled_from([[], ["p"]]),
    }
)
REMOVE_MEMBER = st.fixed_dictionaries({**MEMBER, "do": st.just("remove_member")})
GROUP_STEP = st.one_of(PUT_PARENT, PUT_PARENT, PUT_PARENT, PUT_ZONE)
MEMBER_STEP = st.one_of(PUT_MEMBER, REMOVE_MEMBER)


class Undone(Exception):
    """Ends an example's savepoint."""


@settings(max_examples=examples(25, 80), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.one_of(st.lists(GROUP_STEP, min_size=5, max_size=12), st.lists(MEMBER_STEP, min_size=3, max_size=10)))
async def test_histories(conn: Connection, history: list[dict[str, Any]]) -> None:
    """After any history, reach and membership are at each moment what a plain model says, and so is each change's start."""
    try:
        async with conn.transaction():
            await replay(conn, history)
            raise Undone
    except Undone:
        pass


async def replay(conn: Connection, history: list[dict[str, Any]]) -> None:
    truth = Truth.new()
    for step in history:
        command = dict(step)
        now = begins(command.pop("now"))
        slot = command.pop("since")
        key = "at" if command["do"] == "remove_member" else "since"
        if slot is not None:
            command[key] = begins(slot).isoformat() if slot else "always"
        if command["do"] == "put_group":
            await replay_group(conn, truth, command, slot, now)
        else:
            await replay_member(conn, truth, command, MOMENTS.index(now) + 1 if slot is None else slot, now)
    await compare(conn, truth)


async def replay_group(conn: Connection, truth: Truth, command: dict[str, Any], slot: int | None, now: datetime) -> None:
    group = command["id"]
    first = (0 if group not in truth.declared else MOMENTS.index(now) + 1) if slot is None else slot
    before = dataclasses.replace(truth, parents=dict(truth.parents), zones=dict(truth.zones))
    for name, held in (("parent", truth.parents), ("time_zone", truth.zones)):
        if name in command:
            held[group] = [command[name] if one >= first else held[group][one] for one in SLOTS]
    if any(truth.reach(one, slot) is None for one in GROUPS for slot in SLOTS):
        truth.parents, truth.zones = before.parents, before.zones
        assert "/parent" in await refused_at(conn, command, now)
        return
    truth.declared.add(group)
    differs = [
        one
        for one in SLOTS
        if (truth.parents[group][one], truth.zones[group][one]) != (before.parents[group][one], before.zones[group][one])
    ]
    change = await prepare(conn, 1, command, now=now, model=FREE)
    assert change.since == (begins(differs[0]) if differs else None)
    await apply(conn, 1, command, change, now=now, model=FREE)


async def refused_at(conn: Connection, command: dict[str, Any], now: datetime) -> set[str]:
    with pytest.raises(InvalidInput) as error:
        await prepare(conn, 1, command, now=now, model=FREE)
    return {fault.pointer for fault in error.value.errors}


async def replay_member(conn: Connection, truth: Truth, command: dict[str, Any], slot: int, now: datetime) -> None:
    held = truth.members[command["group"], command["actor"]]
    after = (command["role"], tuple(command["permissions"])) if command["do"] == "put_member" else None
    differs = [one for one in SLOTS if one >= slot and (held[one] is None) != (after is None)]
    if after is None and not differs:
        with pytest.raises(NotFound):
            await prepare(conn, 1, command, now=now, model=FREE)
        return
    change = await prepare(conn, 1, command, now=now, model=FREE)
    assert change.since == (begins(differs[0]) if differs else None)
    await apply(conn, 1, command, change, now=now, model=FREE)
    for one in SLOTS[slot:]:
        held[one] = after


async def compare(conn: Connection, truth: Truth) -> None:
    known = {row[0] async for row in await conn.execute(b"SELECT external_id FROM milepost.groups WHERE tenant_id = 1")}
    rows = await (
        await conn.execute(
            b"""SELECT g.external_id, a.external_id, r.time_zone, probe.number
                FROM unnest(%s::timestamptz[]) WITH ORDINALITY AS probe (at, number)
                JOIN milepost.group_reach r ON r.tenant_id = 1 AND r.since <= probe.at AND r.until > probe.at
                JOIN milepost.groups g ON g.tenant_id = 1 AND g.group_id = r.group_id
                JOIN milepost.groups a ON a.tenant_id = 1 AND a.group_id = r.ancestor_id""",
            [[moment for slot in SLOTS for moment in probes(slot)]],
        )
    ).fetchall()
    wanted = {
        (group, ancestor, zone, 2 * slot + number)
        for group in known
        for slot in SLOTS
        for ancestor, zone in (truth.reach(group, slot) or {}).items()
        for number in (1, 2)
    }
    assert len(rows) == len(set(rows))
    assert set(rows) == wanted

    rows = await (
        await conn.execute(
            b"""SELECT g.external_id, a.external_id, m.role, m.permissions, probe.number
                FROM unnest(%s::timestamptz[]) WITH ORDINALITY AS probe (at, number)
                JOIN milepost.member m ON m.tenant_id = 1 AND m.since <= probe.at AND m.until > probe.at
                JOIN milepost.groups g ON g.tenant_id = 1 AND g.group_id = m.group_id
                JOIN milepost.actor a ON a.tenant_id = 1 AND a.actor_id = m.actor_id""",
            [[moment for slot in SLOTS for moment in probes(slot)]],
        )
    ).fetchall()
    found = [(group, actor, role, tuple(permissions), number) for group, actor, role, permissions, number in rows]
    members = {
        (group, actor, *state, 2 * slot + number)
        for (group, actor), held in truth.members.items()
        for slot, state in enumerate(held)
        if state is not None
        for number in (1, 2)
    }
    assert len(found) == len(set(found))
    assert set(found) == members

    # Neighbours that say the same are one row, and the spans of a declared group leave no gap.
    for query in (
        b"""SELECT 1 FROM milepost.group_span a JOIN milepost.group_span b ON b.group_id = a.group_id AND b.since = a.until
            WHERE (a.parent_id, a.time_zone) IS NOT DISTINCT FROM (b.parent_id, b.time_zone)""",
        b"""SELECT 1 FROM milepost.group_reach a JOIN milepost.group_reach b
            ON b.group_id = a.group_id AND b.ancestor_id = a.ancestor_id AND b.since = a.until
            WHERE a.time_zone = b.time_zone""",
        b"""SELECT 1 FROM (SELECT range_agg(tstzrange(since, until)) r FROM milepost.group_span GROUP BY group_id) s
            WHERE r <> '{[-infinity,infinity)}'""",
    ):
        assert await (await conn.execute(query)).fetchall() == []
