"""follow and unfollow: what an actor has chosen to see in its home feed. Nothing that was counted depends on it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from milepost.access._commands import Follow, Unfollow
from milepost.access._known import Change, actor_id_of, as_answer, find_actors, find_groups, intern, queries
from milepost.access.follows import FOLLOWS_MAX, KINDS, get_follow
from milepost.errors import Conflict, NotFound
from milepost.postgres import Connection


async def prepare_follow(conn: Connection, tenant_id: int, command: Follow) -> Change:
    """Who and what is followed gets its number: one may follow what has not done anything yet. Raises `Conflict` for one too many."""
    actor_id = await actor_id_of(conn, tenant_id, command.actor)
    groups: tuple[int, ...] = ()
    actors: tuple[int, ...] = (actor_id,)
    if command.kind == "actor":
        actors = (actor_id, await actor_id_of(conn, tenant_id, command.id))
    elif command.kind == "group":
        known = await find_groups(conn, tenant_id, [command.id])
        made = {} if known else await intern(conn, tenant_id, queries.intern_groups, [command.id])
        groups = (known[command.id].group_id if known else made[command.id],)
    change = Change(groups=groups, actors=actors)
    many, known_already = await _followed(conn, tenant_id, command, change)
    if many >= FOLLOWS_MAX and not known_already:
        raise Conflict(f"{command.actor!r} follows {FOLLOWS_MAX} already, which is the most.", limit=FOLLOWS_MAX)
    return change


async def apply_follow(conn: Connection, tenant_id: int, command: Follow, change: Change, now: datetime) -> dict[str, Any]:
    """What is followed already stays as it is."""
    await conn.execute(queries.put_follow, _row(tenant_id, command, change) | {"now": now})
    return as_answer(await get_follow(conn, tenant_id, command.actor, command.kind, command.id))


async def prepare_unfollow(conn: Connection, tenant_id: int, command: Unfollow) -> Change:
    """Raises `NotFound` for what is not followed."""
    named = [command.actor, command.id] if command.kind == "actor" else [command.actor]
    actors = await find_actors(conn, tenant_id, named)
    groups = await find_groups(conn, tenant_id, [command.id]) if command.kind == "group" else {}
    if len(actors) == len(named) and (command.kind != "group" or groups):
        change = Change(actors=tuple(actors[one] for one in named), groups=tuple(one.group_id for one in groups.values()))
        if (await _followed(conn, tenant_id, command, change))[1]:
            return change
    raise NotFound(f"{command.actor!r} does not follow the {command.kind} {command.id!r}.", actor=command.actor)


async def apply_unfollow(conn: Connection, tenant_id: int, command: Unfollow, change: Change) -> dict[str, Any]:
    await conn.execute(queries.drop_follow, _row(tenant_id, command, change))
    return {"actor": command.actor, "kind": command.kind, "id": command.id}


async def _followed(conn: Connection, tenant_id: int, command: Follow | Unfollow, change: Change) -> tuple[int, bool]:
    """How many the actor follows, and whether this is one of them."""
    row = await (await conn.execute(queries.follows_many, _row(tenant_id, command, change))).fetchone()
    return (row[0], row[1]) if row else (0, False)


def _row(tenant_id: int, command: Follow | Unfollow, change: Change) -> dict[str, Any]:
    target_id, object_kind, object_id = 0, "", ""
    match command.kind:
        case "actor":
            target_id = change.actors[-1]
        case "group":
            target_id = change.groups[0]
        case "object":
            object_kind, _, object_id = command.id.partition("/")
    return {
        "tenant_id": tenant_id,
        "actor_id": change.actors[0],
        "kind": KINDS.index(command.kind),
        "target_id": target_id,
        "object_kind": object_kind,
        "object_id": object_id,
    }
