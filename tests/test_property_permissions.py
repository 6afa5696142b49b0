"""Permissions under random histories of groups, parents, members, roles and permissions, against a plain model of the rules.

After each history, at every moment of it: who may do what where, who all may, which groups a viewer may read, and which activities it
sees. A wrong "yes" anywhere is a reader who sees what it may not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effort import examples
from milepost.access.actors import actor_ids
from milepost.access.changes import apply, prepare
from milepost.access.groups import group_ids, list_groups
from milepost.access.permissions import Check, allowed, permitted
from milepost.access.viewer import Viewer, readable, reader_of
from milepost.activity import id_from
from milepost.errors import MilepostError
from milepost.model import parse_model
from milepost.postgres import Connection, Database
from milepost.storage.partitions import ahead

pytest_plugins = ["fix_schema"]

MODEL = parse_model(
    """
    name = "permissions"
    [groups.organisation]
    roles.admin = ["read", "correct"]
    roles.member = ["correct"]
    permissions.audit = ["read", "export"]
    [groups.study]
    parent = "organisation"
    roles.lead = ["read", "invite"]
    roles.member = []                       # the same word as above, with other rights
    permissions.audit = ["export"]
    permissions.lead = ["correct"]          # called like a role
    [groups.club]
    [verbs.run]
    """,
    "permissions.toml",
)
KINDS = {"o1": "organisation", "o2": "organisation", "s1": "study", "s2": "study", "c1": "club", "x1": None}
ACTORS = ["ann", "ben"]
ACTIONS = ["read", "correct", "export", "invite", "audit", "study"]
ROLES = ["admin", "member", "lead", "study.lead"]
PERMISSIONS = ["read", "export", "audit", "lead"]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
# Slot 0 is all time before the first moment; slot n begins at moment n - 1.
MOMENTS = [NOW + timedelta(days=day) for day in range(3)]
SLOTS = range(len(MOMENTS) + 1)
AUDIENCES = ("public", "group", "private")


def begins(slot: int) -> str:
    return MOMENTS[slot - 1].isoformat() if slot else "always"


def probes(slot: int) -> list[datetime]:
    """The first and the last moment of a slot."""
    first = MOMENTS[slot - 1] if slot else datetime(1990, 1, 1, tzinfo=UTC)
    last = MOMENTS[slot] - timedelta(microseconds=1) if slot < len(MOMENTS) else datetime(2100, 1, 1, tzinfo=UTC)
    return [first, last]


@dataclass
class Truth:
    """Who is what where in each slot, in plain Python, and the rules as a reader of the documentation would write them."""

    parents: dict[str, list[str | None]] = field(default_factory=lambda: {group: [None for _ in SLOTS] for group in KINDS})
    members: dict[tuple[str, str], list[tuple[str, list[str]] | None]] = field(
        default_factory=lambda: {pair: [None for _ in SLOTS] for pair in product(KINDS, ACTORS)}
    )

    def line(self, group: str, slot: int) -> list[str]:
        found: list[str] = []
        one: str | None = group
        while one is not None:
            found.append(one)
            one = self.parents[one][slot]
        return found

    def may(self, actor: str, action: str, group: str, slot: int) -> bool:
        return any(self._gives(one, self.members[one, actor][slot], action) for one in self.line(group, slot))

    def sees(self, actor: str, activity: Activity, slot: int) -> bool:
        if activity.visibility == "public":
            return True
        if activity.visibility == "private" or not activity.groups:
            return activity.actor == actor
        return any(self.may(actor, "read", group, slot) for group in activity.groups)

    @staticmethod
    def _gives(group: str, membership: tuple[str, list[str]] | None, action: str) -> bool:
        if membership is None:
            return False
        role, permissions = membership
        kind = MODEL.groups.get(KINDS[group] or "")
        if action in permissions:
            return True
        if kind is None or not kind.roles:
            return action == "read"
        granted = [kind.roles.get(role, ()), *(kind.permissions.get(word, ()) for word in permissions)]
        return any(action in actions for actions in granted)


@dataclass(frozen=True, kw_only=True)
class Activity:
    id: UUID
    actor: str
    visibility: str
    groups: tuple[str, ...]


ACTIVITIES = [
    Activity(id=UUID(int=id_from(NOW).int + number), actor=actor, visibility=visibility, groups=groups)
    for number, (actor, visibility, groups) in enumerate(
        product(ACTORS, AUDIENCES, [(), *((group,) for group in KINDS), ("s1", "o2"), ("x1", "s1", "s2")])
    )
]

SINCE = st.sampled_from(SLOTS)
PARENT = st.fixed_dictionaries(
    {"do": st.just("put_group"), "id": st.sampled_from(list(KINDS)), "parent": st.sampled_from([None, *KINDS]), "since": SINCE}
)
# Of few pairs, so that most are changed more than once.
MEMBER = {"group": st.sampled_from(["o1", "s1", "c1", "x1"]), "actor": st.sampled_from(["ann", "ann", "ben"])}
JOIN = st.fixed_dictionaries(
    {
        "do": st.just("put_member"),
        "role": st.sampled_from(ROLES),
        "permissions": st.lists(st.sampled_from(PERMISSIONS), max_size=2, unique=True),
        "since": SINCE,
        **MEMBER,
    }
)
LEAVE = st.fixed_dictionaries({"do": st.just("remove_member"), "at": SINCE, **MEMBER})
HISTORIES = st.lists(st.one_of(PARENT, PARENT, JOIN, JOIN, JOIN, LEAVE), min_size=4, max_size=14)


@pytest.fixture
async def known(any_db: Database) -> AsyncIterator[Database]:
    """Groups of each kind, actors, and an activity of each visibility by each actor to each group."""
    async with await any_db.owner() as owner:
        await ahead(owner, NOW)
    async with any_db.transaction("write", tenant_id=1) as conn:
        for group, kind in KINDS.items():
            await change(conn, {"do": "put_group", "id": group} | ({"kind": kind} if kind else {}))
        for actor in ACTORS:
            await change(conn, {"do": "put_actor", "id": actor})
        actors, groups = await actor_ids(conn, 1, ACTORS), await group_ids(conn, 1, KINDS)
        for one in ACTIVITIES:
            numbers = [groups[group] for group in one.groups]
            await conn.execute(
                b"""INSERT INTO milepost.activity (tenant_id, id, occurred_at, received_at, actor_id, group_id, more_groups, audience, verb)
                VALUES (1, %s, %s, %s, %s, %s, %s, %s, 'run')""",
                (one.id, NOW, NOW, actors[one.actor], numbers[0] if numbers else None, numbers[1:] or None,
                 AUDIENCES.index(one.visibility)),
            )  # fmt: skip
    yield any_db


async def change(conn: Connection, command: dict[str, Any]) -> None:
    prepared = await prepare(conn, 1, command, now=NOW, model=MODEL)
    await apply(conn, 1, command, prepared, now=NOW, model=MODEL)


class _Undone(Exception):
    """Ends an example's transaction."""


@settings(
    max_examples=examples(12, 40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=HISTORIES)
async def test_permissions_are_as_the_rules_say(known: Database, history: list[dict[str, Any]]) -> None:
    """At every moment of a random history, every answer is the plain model's."""
    with pytest.raises(_Undone):
        async with known.transaction("write", tenant_id=1) as conn:
            truth = Truth()
            for step in history:
                await apply_to_both(conn, truth, step)
            for slot in SLOTS:
                for at in probes(slot):
                    await compare(conn, truth, slot, at)
            raise _Undone


async def apply_to_both(conn: Connection, truth: Truth, step: dict[str, Any]) -> None:
    when = "at" if step["do"] == "remove_member" else "since"
    try:
        await change(conn, step | {when: begins(step[when])})
    except MilepostError:
        return  # what cannot be is refused, and changes nothing: test_access_changes.py has that
    for slot in SLOTS[step[when] :]:
        match step["do"]:
            case "put_group":
                truth.parents[step["id"]][slot] = step["parent"]
            case "put_member":
                truth.members[step["group"], step["actor"]][slot] = (step["role"], step["permissions"])
            case _:
                truth.members[step["group"], step["actor"]][slot] = None


async def compare(conn: Connection, truth: Truth, slot: int, at: datetime) -> None:
    asked = [
        Check(actor=who, action=what, group=group)
        for who, what, group in product([*ACTORS, "nobody"], ACTIONS, [*KINDS, "none"])
    ]
    expected = [
        one.actor in ACTORS and one.group in KINDS and truth.may(one.actor, one.action, one.group or "", slot) for one in asked
    ]
    assert await allowed(conn, 1, MODEL, asked, at=at) == expected
    numbers = await group_ids(conn, 1, KINDS)
    for action, group in product(ACTIONS, KINDS):
        found = await permitted(conn, 1, MODEL, action, numbers[group], at=at)
        assert [one.actor for one in found] == [who for who in ACTORS if truth.may(who, action, group, slot)], (action, group)
    for actor, actor_id in (await actor_ids(conn, 1, ACTORS)).items():
        reader = await reader_of(conn, 1, Viewer(actor_id=actor_id, actor=actor), MODEL, at=at)
        may_read = [group for group in KINDS if truth.may(actor, "read", group, slot)]
        assert await readable(conn, 1, reader, numbers.values()) == {numbers[group] for group in may_read}
        assert [one.id for one in await list_groups(conn, 1, reader=reader)] == sorted(may_read)
        seen = [one for one in ACTIVITIES if truth.sees(actor, one, slot)]
        statement = f"SELECT s.id FROM milepost.activity s WHERE s.tenant_id = 1 AND {reader.visible}".encode()
        rows = await (await conn.execute(statement, reader.parameters)).fetchall()
        assert {row[0] for row in rows} == {one.id for one in seen}
        checks = [Check(actor=actor, action="read", activity=str(one.id)) for one in ACTIVITIES]
        assert await allowed(conn, 1, MODEL, checks, at=at) == [one in seen for one in ACTIVITIES]
        checks = [Check(actor=actor, action="correct", activity=str(one.id)) for one in ACTIVITIES]
        may = [one in seen and any(truth.may(actor, "correct", group, slot) for group in one.groups) for one in ACTIVITIES]
        assert await allowed(conn, 1, MODEL, checks, at=at) == may
