"""Groups and members as they are read: at a moment, now unless told otherwise.

Parents, zones and memberships hold over time; each answer is of one moment, `at`. `since` and `until` of a membership
are None where it has no beginning or no end. Only `milepost.access.changes` writes. A missing group raises `NotFound`,
and one that the reader may not read is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from milepost.access._values import is_id
from milepost.access.actors import actor_ids
from milepost.access.viewer import EVERYTHING, Reader, few_readable
from milepost.errors import FieldError, InvalidInput, NotFound
from milepost.limits import SEARCH_CHARACTERS_MAX
from milepost.model import Model
from milepost.postgres import Connection, load_queries

__all__ = [
    "Group",
    "Member",
    "actor_groups",
    "get_group",
    "get_member",
    "group_ids",
    "group_names",
    "list_groups",
    "list_members",
    "search_groups",
]

queries = load_queries(__package__, "groups.sql")

FOUND_MAX = 1_000_000  # by the index of words, of which so many are ranked:
RANKED_MAX = 1_000


@dataclass(frozen=True, kw_only=True)
class Group:
    id: str
    kind: str | None  # None: seen in an activity or as a parent, not declared yet
    name: str | None
    parent: str | None
    time_zone: str | None  # None: the model's
    status: str
    attributes: dict[str, Any]
    changed_at: datetime


@dataclass(frozen=True, kw_only=True)
class Member:
    group: str
    actor: str
    role: str
    permissions: list[str]
    since: datetime | None
    until: datetime | None
    added_at: datetime
    added_by: str | None


async def get_group(
    conn: Connection, tenant_id: int, group: str, *, at: datetime | None = None, reader: Reader = EVERYTHING
) -> Group:
    """One group. Raises `NotFound`."""
    given = {"tenant_id": tenant_id, "id": group, "at": at or datetime.now(UTC)} | reader.parameters
    statement = queries.get_group.replace("{readable}", reader.readable)
    row = await (await conn.execute(statement, given)).fetchone() if is_id(group) else None
    if row is None:
        raise NotFound(f"There is no group {group!r}.", group=group)
    return _group(row)


async def list_groups(
    conn: Connection,
    tenant_id: int,
    *,
    parent: str | None = None,
    kind: str | None = None,
    status: str | None = None,
    at: datetime | None = None,
    after: str = "",
    limit: int = 50,
    reader: Reader = EVERYTHING,
) -> list[Group]:
    """Groups in the order of their ids, from after `after`."""
    given = {"tenant_id": tenant_id, "parent": parent, "kind": kind, "status": status, "at": at or datetime.now(UTC)}
    source = queries.every_group if parent is None else queries.groups_below
    few = None
    if parent is None and not reader.sees_all:
        few = await few_readable(conn, tenant_id, reader)
        source = queries.every_group if few is None else queries.few_groups
    statement = queries.list_groups.replace("{groups}", source).replace("{readable}", reader.readable)
    rows = await conn.execute(statement, given | {"few": few, "after": after, "limit": limit} | reader.parameters)
    return [_group(row) async for row in rows]


async def search_groups(
    conn: Connection,
    tenant_id: int,
    model: Model,
    query: str,
    *,
    parent: str | None = None,
    kind: str | None = None,
    status: str | None = None,
    at: datetime | None = None,
    after: tuple[Decimal, str] | None = None,
    limit: int = 50,
    reader: Reader = EVERYTHING,
) -> tuple[list[Group], tuple[Decimal, str] | None]:
    """Groups in whose name, id or searched attributes each word of `query` begins a word, the best first; and after which the next page
    begins. Of more than `RANKED_MAX` groups that are what is asked for, so many are ranked. Raises `InvalidInput` where `query` has no word.
    """
    if len(query) > SEARCH_CHARACTERS_MAX or "\0" in query or not any(character.isalnum() for character in query):
        detail = f"has a word to search for, and at most {SEARCH_CHARACTERS_MAX} characters"
        raise InvalidInput(errors=(FieldError("/q", detail),))
    few = None if reader.sees_all else await few_readable(conn, tenant_id, reader)
    source = queries.found_groups if few is None else queries.few_groups
    if parent is not None:
        source = queries.groups_below
    searched = [(name, attribute) for name, one in model.groups.items() for attribute in one.searched]
    score, name = after or (Decimal(1_000), "")
    given = {
        "tenant_id": tenant_id,
        "parent": parent,
        "kind": kind,
        "status": status,
        "at": at or datetime.now(UTC),
        "words": query.strip(),
        "found": FOUND_MAX,
        "few": few,
        "kinds": [one for one, _ in searched],
        "attributes": [attribute for _, attribute in searched],
        "score": score,
        "after": name,
        "limit": limit + 1,
    }
    # Of one parent, and of a viewer who may read few, there are not too many to rank.
    ranked = str(RANKED_MAX) if source == queries.found_groups else "ALL"
    statement = (
        queries.search_groups.replace("{groups}", source).replace("{readable}", reader.readable).replace("{ranked}", ranked)
    )
    rows = await (await conn.execute(statement, given | reader.parameters)).fetchall()
    last = rows[limit - 1] if len(rows) > limit else None
    return [_group(row[:8]) for row in rows[:limit]], None if last is None else (Decimal(last[8]), last[0])


async def get_member(conn: Connection, tenant_id: int, group: str, actor: str, *, at: datetime | None = None) -> Member:
    """One membership. Raises `NotFound` where the actor is not a member at that moment."""
    given = {"tenant_id": tenant_id, "group": group, "actor": actor, "at": at or datetime.now(UTC)}
    known = is_id(group) and is_id(actor)
    row = await (await conn.execute(queries.get_member, given)).fetchone() if known else None
    if row is None:
        raise NotFound(f"{actor!r} is not a member of group {group!r}.", group=group, actor=actor)
    return _member(row)


async def list_members(
    conn: Connection,
    tenant_id: int,
    group: str,
    *,
    role: str | None = None,
    at: datetime | None = None,
    after: str = "",
    limit: int = 50,
    reader: Reader = EVERYTHING,
) -> list[Member]:
    """The members of a group in the order in which milepost came to know them, from after the actor `after` on. Raises `NotFound` for
    an unknown group."""
    unknown = NotFound(f"There is no group {group!r}.", group=group)
    if not is_id(group):
        raise unknown
    # Not within the statement: what is compared with would then bound no index range.
    number = (await actor_ids(conn, tenant_id, [after])).get(after, 0) if after else 0
    given = {
        "tenant_id": tenant_id,
        "group": group,
        "role": role,
        "after": number,
        "limit": limit,
        "at": at or datetime.now(UTC),
    }
    statement = queries.list_members if role is None else queries.list_members_in_role
    cursor = await conn.execute(statement.replace("{readable}", reader.readable), given | reader.parameters)
    found = [_member(row) for row in await cursor.fetchall()]
    if not found and group not in await group_ids(conn, tenant_id, [group], reader=reader):
        raise unknown
    return found


async def actor_groups(
    conn: Connection,
    tenant_id: int,
    actor: str,
    *,
    at: datetime | None = None,
    after: str = "",
    limit: int = 50,
    reader: Reader = EVERYTHING,
) -> list[Member]:
    """The memberships of an actor in the order of the groups' ids, from after `after`; none for an unknown actor."""
    if not is_id(actor):
        return []
    given = {"tenant_id": tenant_id, "actor": actor, "after": after, "limit": limit, "at": at or datetime.now(UTC)}
    statement = queries.actor_groups.replace("{readable}", reader.readable)
    cursor = await conn.execute(statement, given | reader.parameters)
    return [_member(row) for row in await cursor.fetchall()]


async def group_ids(conn: Connection, tenant_id: int, ids: Iterable[str], *, reader: Reader = EVERYTHING) -> dict[str, int]:
    """The numbers of groups by their ids; without those that are not known, or that the reader may not read."""
    given = {"tenant_id": tenant_id, "ids": [one for one in ids if is_id(one)]} | reader.parameters
    statement = queries.group_ids if reader.sees_all else queries.readable_ids.replace("{readable}", reader.readable)
    cursor = await conn.execute(statement, given)
    return dict(await cursor.fetchall())


async def group_names(conn: Connection, tenant_id: int, numbers: Iterable[int]) -> dict[int, str]:
    """The ids of groups by their numbers."""
    cursor = await conn.execute(queries.group_names, {"tenant_id": tenant_id, "ids": list(numbers)})
    return dict(await cursor.fetchall())


def _group(row: tuple[Any, ...]) -> Group:
    identity, kind, name, parent, time_zone, status, attributes, changed_at = row
    return Group(
        id=identity,
        kind=kind,
        name=name,
        parent=parent,
        time_zone=time_zone,
        status=status,
        attributes=msgspec.json.decode(attributes) if attributes else {},
        changed_at=changed_at,
    )


def _member(row: tuple[Any, ...]) -> Member:
    group, actor, role, permissions, since, until, added_at, added_by = row
    return Member(
        group=group,
        actor=actor,
        role=role,
        permissions=permissions,
        since=since,
        until=until,
        added_at=added_at,
        added_by=added_by,
    )
