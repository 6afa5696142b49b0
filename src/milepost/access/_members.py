"""put_member and remove_member: who is in a group, as what, from a time on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from milepost.access._commands import ALWAYS, PutMember, RemoveMember
from milepost.access._known import (
    Change,
    KnownGroup,
    actor_id_of,
    as_answer,
    as_moment,
    find_actors,
    find_groups,
    intern,
    moment_of,
    queries,
)
from milepost.access.groups import get_member
from milepost.errors import FieldError, InvalidInput, NotFound
from milepost.model import Model
from milepost.postgres import Connection


async def prepare_member(conn: Connection, tenant_id: int, command: PutMember, now: datetime, model: Model) -> Change:
    known = await find_groups(conn, tenant_id, [command.group])
    group = known.get(command.group)
    kind = model.groups.get(group.kind) if group and group.kind else None
    if kind and kind.roles and command.role not in kind.roles:
        detail = f"{command.role!r} is not a role in a group of kind {kind.name}; known are {', '.join(sorted(kind.roles))}"
        raise InvalidInput(errors=(FieldError("/role", detail),))
    if group is None:
        made = await intern(conn, tenant_id, queries.intern_groups, [command.group])
        group = KnownGroup(group_id=made[command.group])
    actor_id = await actor_id_of(conn, tenant_id, command.actor)
    span = _membership(tenant_id, group.group_id, actor_id, command.since, now)
    since = await moment_of(conn, queries.absent_from, span)
    return Change(groups=(group.group_id,), actors=(actor_id,), since=since)


async def apply_member(conn: Connection, tenant_id: int, command: PutMember, change: Change, now: datetime) -> dict[str, Any]:
    span = _membership(tenant_id, change.groups[0], change.actors[0], command.since, now)
    said = {"role": command.role, "permissions": list(command.permissions)}
    await conn.execute(queries.put_member, span | said | {"now": now, "added_by": command.added_by})
    at = max(now, as_moment(span["since"]))  # one that begins later is shown as it will be
    return as_answer(await get_member(conn, tenant_id, command.group, command.actor, at=at))


async def prepare_removal(conn: Connection, tenant_id: int, command: RemoveMember, now: datetime) -> Change:
    known = await find_groups(conn, tenant_id, [command.group])
    actors = await find_actors(conn, tenant_id, [command.actor])
    change = Change()
    if command.group in known and command.actor in actors:
        change = Change(groups=(known[command.group].group_id,), actors=(actors[command.actor],))
        span = _membership(tenant_id, change.groups[0], change.actors[0], command.at, now)
        change = replace(change, since=await moment_of(conn, queries.present_from, span))
    if change.since is None:
        raise NotFound(
            f"{command.actor!r} is not a member of group {command.group!r} then or later.",
            group=command.group,
            actor=command.actor,
        )
    return change


async def apply_removal(
    conn: Connection, tenant_id: int, command: RemoveMember, change: Change, now: datetime
) -> dict[str, Any]:
    span = _membership(tenant_id, change.groups[0], change.actors[0], command.at, now)
    await conn.execute(queries.end_member, span)
    await conn.execute(queries.drop_member, span)
    return {
        "group": command.group,
        "actor": command.actor,
        "removed_at": None if command.at == ALWAYS else span["since"],
    }


def _membership(tenant_id: int, group_id: int, actor_id: int, since: str | None, now: datetime) -> dict[str, Any]:
    since = since or now.isoformat()
    return {"tenant_id": tenant_id, "group_id": group_id, "actor_id": actor_id, "since": since}
