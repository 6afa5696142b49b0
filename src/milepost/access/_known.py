"""What both steps of a change need: the groups and actors it names, and times in and out of SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import msgspec

from milepost.access._commands import ALWAYS, PutActor, PutGroup
from milepost.postgres import Connection, load_queries

queries = load_queries(__package__, "changes.sql")

YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)
YEAR_1970 = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a command changes: who contributes otherwise than before, and from when.

    `groups`: the group itself; that those below it are affected too, group_reach says. `since`: the first moment from
    which something is attributed otherwise, year 1 for "always"; None: nothing derived changes.
    """

    groups: tuple[int, ...] = ()
    actors: tuple[int, ...] = ()
    since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class KnownGroup:
    """declared: by a put_group, so that it has spans. is_parent: of any group, at any time."""

    group_id: int
    kind: str | None = None
    declared: bool = False
    is_parent: bool = False


async def find_groups(conn: Connection, tenant_id: int, names: list[str]) -> dict[str, KnownGroup]:
    rows = await conn.execute(queries.find_groups, {"tenant_id": tenant_id, "ids": names})
    return {
        name: KnownGroup(group_id=group_id, kind=kind, declared=declared, is_parent=is_parent)
        async for name, group_id, kind, declared, is_parent in rows
    }


async def find_actors(conn: Connection, tenant_id: int, names: list[str]) -> dict[str, int]:
    return dict(await (await conn.execute(queries.find_actors, {"tenant_id": tenant_id, "ids": names})).fetchall())


async def actor_id_of(conn: Connection, tenant_id: int, name: str) -> int:
    found = await find_actors(conn, tenant_id, [name])
    return found[name] if found else (await intern(conn, tenant_id, queries.intern_actors, [name]))[name]


async def intern(conn: Connection, tenant_id: int, statement: LiteralString, names: list[str]) -> dict[str, int]:
    if not names:
        return {}
    return dict(await (await conn.execute(statement, {"tenant_id": tenant_id, "ids": names})).fetchall())


async def moment_of(conn: Connection, statement: LiteralString, given: Mapping[str, Any]) -> datetime | None:
    row = await (await conn.execute(statement, given)).fetchone()
    return None if row is None or row[0] is None else YEAR_1970 + timedelta(microseconds=row[0])


def as_moment(since: str) -> datetime:
    return YEAR_ONE if since == ALWAYS else datetime.fromisoformat(since)


def name_and_attributes(command: PutGroup | PutActor) -> dict[str, Any]:
    attributes = command.attributes
    return {
        "set_name": command.name is not msgspec.UNSET,
        "name": text_or_none(command.name),
        "set_attributes": attributes is not msgspec.UNSET,
        "attributes": msgspec.json.encode(attributes).decode() if isinstance(attributes, dict) else None,
    }


def text_or_none(given: str | msgspec.UnsetType | None) -> str | None:
    return given if isinstance(given, str) else None


def as_answer(what: object) -> dict[str, Any]:
    answer = msgspec.to_builtins(what)
    assert isinstance(answer, dict)
    return answer
