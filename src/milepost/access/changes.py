"""What changes groups, actors, members, invitations and follows: the commands of a tenant's lane, in two steps.

    change = await prepare(conn, tenant_id, command, now=now, model=model)
    ...                         # take out what the affected contributed from change.since on
    answer = await apply(conn, tenant_id, command, change, now=now, model=model)
    ...                         # and put it back as it is attributed now

Parents, zones and memberships are timelines. A command says what holds "from `since` on": what held before stays, and
what was said of later is replaced. `since` is now unless given; for the first declaration of a group it is "always", so
that its history counts under its parent. A field that is absent stays as it is; null takes it away.

Both run in the loader's transaction, which has set its tenant; `prepare` gives new names their numbers and changes
nothing else. At each moment the groups form trees of at most `LEVELS_MAX` levels: `prepare` lets nothing else in.

How it fails: `InvalidInput` with a pointer to each field at fault, `NotFound` for a membership that is not there,
`Conflict` where a group would change its kind. Nothing that matters has changed then: at most a name got its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from milepost.access._commands import (
    AnswerInvitation,
    Follow,
    Invite,
    PutActor,
    PutGroup,
    PutMember,
    RemoveMember,
    RevokeInvitation,
    Unfollow,
    parse_command,
)
from milepost.access._follows import apply_follow, apply_unfollow, prepare_follow, prepare_unfollow
from milepost.access._invitations import (
    apply_answer,
    apply_invite,
    apply_revocation,
    prepare_answer,
    prepare_invite,
    prepare_revocation,
)
from milepost.access._known import Change, actor_id_of, as_answer, name_and_attributes, queries, text_or_none
from milepost.access._members import apply_member, apply_removal, prepare_member, prepare_removal
from milepost.access._put_group import LEVELS_MAX, apply_group, prepare_group
from milepost.access.actors import get_actor
from milepost.model import Model
from milepost.postgres import Connection

__all__ = ["LEVELS_MAX", "Change", "apply", "check", "prepare"]


def check(command: Mapping[str, Any], *, model: Model) -> None:
    """Whether a command is well formed, as far as that can be told without the database: before it is queued."""
    parse_command(command, model=model)


async def prepare(conn: Connection, tenant_id: int, command: Mapping[str, Any], *, now: datetime, model: Model) -> Change:
    """What a command will change. Writes nothing but the numbers of new names."""
    match parse_command(command, model=model):
        case PutGroup() as put_group:
            return await prepare_group(conn, tenant_id, put_group, now, model)
        case PutActor() as put_actor:
            await actor_id_of(conn, tenant_id, put_actor.id)
            return Change()
        case PutMember() as put_member:
            return await prepare_member(conn, tenant_id, put_member, now, model)
        case RemoveMember() as removal:
            return await prepare_removal(conn, tenant_id, removal, now)
        case Follow() as follow:
            return await prepare_follow(conn, tenant_id, follow)
        case Unfollow() as unfollow:
            return await prepare_unfollow(conn, tenant_id, unfollow)
        case Invite() as invite:
            return await prepare_invite(conn, tenant_id, invite, now, model)
        case AnswerInvitation() as answer:
            return await prepare_answer(conn, tenant_id, answer, now, model)
        case RevokeInvitation() as revocation:
            return await prepare_revocation(conn, tenant_id, revocation, now)


async def apply(
    conn: Connection,
    tenant_id: int,
    command: Mapping[str, Any],
    change: Change,
    *,
    now: datetime,
    model: Model,
) -> dict[str, Any]:
    """Does what `prepare` has prepared in the same transaction; answers with what is there now, as the API shows it."""
    match parse_command(command, model=model):
        case PutGroup() as put_group:
            return await apply_group(conn, tenant_id, put_group, change, now)
        case PutActor() as put_actor:
            return await _apply_actor(conn, tenant_id, put_actor)
        case PutMember() as put_member:
            return await apply_member(conn, tenant_id, put_member, change, now)
        case RemoveMember() as removal:
            return await apply_removal(conn, tenant_id, removal, change, now)
        case Follow() as follow:
            return await apply_follow(conn, tenant_id, follow, change, now)
        case Unfollow() as unfollow:
            return await apply_unfollow(conn, tenant_id, unfollow, change)
        case Invite() as invite:
            return await apply_invite(conn, tenant_id, invite, change, now)
        case AnswerInvitation() as answer:
            return await apply_answer(conn, tenant_id, answer, change, now)
        case RevokeInvitation() as revocation:
            return await apply_revocation(conn, tenant_id, revocation, change, now)


async def _apply_actor(conn: Connection, tenant_id: int, command: PutActor) -> dict[str, Any]:
    actor_id = await actor_id_of(conn, tenant_id, command.id)
    kind = {"set_kind": command.kind is not msgspec.UNSET, "kind": text_or_none(command.kind)}
    await conn.execute(queries.put_actor, {"tenant_id": tenant_id, "actor_id": actor_id} | kind | name_and_attributes(command))
    return as_answer(await get_actor(conn, tenant_id, command.id))
