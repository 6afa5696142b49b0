"""Groups, members and actors as they are read: at a moment, in pages, and between ids and numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from milepost.access.actors import actor_ids, actor_names, get_actor, list_actors
from milepost.access.changes import apply, prepare
from milepost.access.groups import (
    actor_groups,
    get_group,
    get_member,
    group_ids,
    group_names,
    list_groups,
    list_members,
)
from milepost.errors import NotFound
from milepost.model import Model
from milepost.postgres import Connection, Database

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=30)


@pytest.fixture
async def conn(db: Database) -> AsyncIterator[Connection]:
    """A league of two teams and one that joins later; two members of the first."""
    async with db.transaction("write", tenant_id=1) as connection:
        for fields in (
            {"do": "put_group", "id": "t1", "kind": "team", "parent": "lg", "name": "River 100%"},
            {"do": "put_group", "id": "t2", "kind": "team", "parent": "lg", "status": "closed"},
            {"do": "put_group", "id": "t3", "kind": "team", "parent": "lg", "since": LATER.isoformat()},
            {"do": "put_member", "group": "t1", "actor": "u", "role": "captain", "since": "always"},
            {"do": "put_member", "group": "t1", "actor": "v", "role": "member"},
            {"do": "put_member", "group": "t2", "actor": "u", "role": "member", "since": LATER.isoformat()},
            {"do": "put_actor", "id": "u", "name": "Ulla"},
        ):
            await put(connection, fields)
        yield connection


async def put(conn: Connection, command: dict[str, Any]) -> None:
    model = Model(name="free")
    change = await prepare(conn, 1, command, now=NOW, model=model)
    await apply(conn, 1, command, change, now=NOW, model=model)


async def test_groups(conn: Connection) -> None:
    """One group, or those that fit, as they are at a moment."""
    group = await get_group(conn, 1, "t3", at=NOW)
    assert (group.kind, group.parent, group.status) == ("team", None, "active")
    assert (await get_group(conn, 1, "t3", at=LATER)).parent == "lg"

    async def ids(**wanted: Any) -> list[str]:
        return [one.id for one in await list_groups(conn, 1, **({"at": NOW} | wanted))]

    assert await ids() == ["lg", "t1", "t2", "t3"]
    assert await ids(after="t1", limit=1) == ["t2"]
    assert await ids(kind="team", status="active") == ["t1", "t3"]
    assert await ids(parent="lg") == ["t1", "t2"]
    assert await ids(parent="lg", at=LATER, status="active") == ["t1", "t3"]
    assert await ids(parent="lg", after="t1") == ["t2"]
    assert await ids(parent="none") == []


async def test_members(conn: Connection) -> None:
    """Who is in a group and in which groups an actor is, at a moment."""
    assert [(one.actor, one.role) for one in await list_members(conn, 1, "t1", at=NOW)] == [("u", "captain"), ("v", "member")]
    assert [one.actor for one in await list_members(conn, 1, "t1", role="member", at=NOW)] == ["v"]
    assert [one.actor for one in await list_members(conn, 1, "t1", after="u", at=NOW)] == ["v"]
    assert [one.actor for one in await list_members(conn, 1, "t1", at=NOW - timedelta(days=1))] == ["u"]
    assert await list_members(conn, 1, "t3", at=NOW) == []
    assert [one.group for one in await actor_groups(conn, 1, "u", at=NOW)] == ["t1"]
    assert [one.group for one in await actor_groups(conn, 1, "u", at=LATER)] == ["t1", "t2"]
    assert [one.group for one in await actor_groups(conn, 1, "u", at=LATER, after="t1")] == ["t2"]
    member = await get_member(conn, 1, "t2", "u", at=LATER)
    assert (member.since, member.until, member.added_at) == (LATER, None, NOW)


async def test_actors(conn: Connection) -> None:
    """One actor, or those that fit."""
    assert (await get_actor(conn, 1, "u")).name == "Ulla"
    assert [one.id for one in await list_actors(conn, 1)] == ["u", "v"]
    assert [one.id for one in await list_actors(conn, 1, after="u")] == ["v"]
    assert [one.id for one in await list_actors(conn, 1, query="ULL")] == ["u"]


async def test_ids_and_numbers(conn: Connection) -> None:
    """Ids become numbers and numbers ids; what is not known is left out."""
    groups = await group_ids(conn, 1, ["t1", "t2", "nobody", "\0", "\ud800"])
    assert groups.keys() == {"t1", "t2"}
    assert await group_names(conn, 1, [*groups.values(), -1]) == {number: name for name, number in groups.items()}
    actors = await actor_ids(conn, 1, ["u", "nobody", "\0"])
    assert await actor_names(conn, 1, actors.values()) == {actors["u"]: "u"}


@pytest.mark.parametrize("name", ["nobody", "", "\0", "\ud800", "x" * 300])
async def test_what_is_not_there(conn: Connection, name: str) -> None:
    """What is not there is not found, an id that none can have included."""
    for reading in (
        get_group(conn, 1, name),
        get_actor(conn, 1, name),
        get_member(conn, 1, "t1", name),
        get_member(conn, 1, name, "u"),
        list_members(conn, 1, name),
    ):
        with pytest.raises(NotFound):
            await reading
    assert await actor_groups(conn, 1, name) == []
