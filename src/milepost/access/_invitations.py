"""invite, answer_invitation and revoke_invitation: from a question to a membership.

Whoever invites by name (`by`) must have the action `invite` in the group, and can give no action that it has not itself there: or a
member that may invite could make itself an accomplice with more rights. Without a name it is the key's own doing. An accepted
invitation is a membership from that moment on, added by whoever invited.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from milepost.access._commands import AnswerInvitation, Invite, PutMember, RevokeInvitation
from milepost.access._known import Change, actor_id_of, as_answer, find_actors, find_groups, queries
from milepost.access._members import apply_member, prepare_member
from milepost.access.groups import get_member
from milepost.access.invitations import Invitation, get_invitation
from milepost.access.permissions import Check, allowed
from milepost.errors import Conflict, FieldError, InvalidInput, NotFound
from milepost.model import GroupKind, Model
from milepost.postgres import Connection

INVITE = "invite"  # the action that inviting by name asks for


async def prepare_invite(conn: Connection, tenant_id: int, command: Invite, now: datetime, model: Model) -> Change:
    known = (await find_groups(conn, tenant_id, [command.group])).get(command.group)
    if known is None:
        raise NotFound(f"There is no group {command.group!r}.", group=command.group)
    kind = model.groups.get(known.kind or "")
    faults = []
    if kind and kind.roles and command.role not in kind.roles:
        detail = f"{command.role!r} is not a role in a group of kind {kind.name}; known are {', '.join(sorted(kind.roles))}"
        faults.append(FieldError("/role", detail))
    if datetime.fromisoformat(command.expires_at) <= now:
        faults.append(FieldError("/expires_at", "must lie in the future"))
    if command.by is not None:
        faults += await _inviter_faults(conn, tenant_id, command, kind, now, model)
    if faults:
        raise InvalidInput(errors=tuple(faults))
    try:
        await get_member(conn, tenant_id, command.group, command.actor, at=now)
    except NotFound:
        return Change(groups=(known.group_id,), actors=(await actor_id_of(conn, tenant_id, command.actor),))
    raise Conflict(f"{command.actor!r} is a member of group {command.group!r} already.", group=command.group)


async def apply_invite(conn: Connection, tenant_id: int, command: Invite, change: Change, now: datetime) -> dict[str, Any]:
    """One invitation for each group and actor: a new one takes the place of the one before."""
    given = {
        "role": command.role,
        "permissions": list(command.permissions),
        "invited_by": command.by or command.invited_by,
        "expires_at": command.expires_at,
        "now": now,
    }
    await conn.execute(queries.put_invitation, _place(tenant_id, change) | given)
    return as_answer(await get_invitation(conn, tenant_id, command.group, command.actor, now=now))


async def prepare_answer(conn: Connection, tenant_id: int, command: AnswerInvitation, now: datetime, model: Model) -> Change:
    """Accepting may change what was counted, as any membership does. The same answer again changes nothing."""
    found = await get_invitation(conn, tenant_id, command.group, command.actor, now=now)
    if found.state == _said(command):
        return await _found(conn, tenant_id, command)
    if found.state != "open":
        raise Conflict(f"The invitation is not open: it is {found.state}.", state=found.state)
    if command.answer == "accept":
        return await prepare_member(conn, tenant_id, _membership(found), now, model)
    return await _found(conn, tenant_id, command)


async def apply_answer(
    conn: Connection, tenant_id: int, command: AnswerInvitation, change: Change, now: datetime
) -> dict[str, Any]:
    found = await get_invitation(conn, tenant_id, command.group, command.actor, now=now)
    if found.state == "open":
        await conn.execute(queries.decide_invitation, _place(tenant_id, change) | {"state": _said(command), "now": now})
        if command.answer == "accept":
            await apply_member(conn, tenant_id, _membership(found), change, now)
    return as_answer(await get_invitation(conn, tenant_id, command.group, command.actor, now=now))


async def prepare_revocation(conn: Connection, tenant_id: int, command: RevokeInvitation, now: datetime) -> Change:
    found = await get_invitation(conn, tenant_id, command.group, command.actor, now=now)
    if found.state not in ("open", "expired"):
        raise Conflict(f"The invitation is not open: it is {found.state}.", state=found.state)
    return await _found(conn, tenant_id, command)


async def apply_revocation(
    conn: Connection, tenant_id: int, command: RevokeInvitation, change: Change, now: datetime
) -> dict[str, Any]:
    await conn.execute(queries.decide_invitation, _place(tenant_id, change) | {"state": "revoked", "now": now})
    return {"group": command.group, "actor": command.actor}


async def _inviter_faults(
    conn: Connection, tenant_id: int, command: Invite, kind: GroupKind | None, now: datetime, model: Model
) -> list[FieldError]:
    given = set(command.permissions) | ({*kind.roles.get(command.role, ())} if kind else set())
    for word in command.permissions:
        given |= {*kind.permissions.get(word, ())} if kind else set()
    # The name of a set is no action of its own, unless nothing is called so.
    given -= {word for word in command.permissions if kind and word in kind.permissions}
    asked = [INVITE, *sorted(given - {INVITE})]
    checks = [Check(actor=command.by or "", action=action, group=command.group) for action in asked]
    answers = dict(zip(asked, await allowed(conn, tenant_id, model, checks, at=now), strict=True))
    if not answers[INVITE]:
        return [FieldError("/by", f"{command.by!r} may not invite in this group")]
    lacking = [action for action, yes in answers.items() if not yes]
    return [FieldError("/role", f"gives what {command.by!r} may not do: {', '.join(lacking)}")] if lacking else []


async def _found(conn: Connection, tenant_id: int, command: AnswerInvitation | RevokeInvitation) -> Change:
    groups, actors = await find_groups(conn, tenant_id, [command.group]), await find_actors(conn, tenant_id, [command.actor])
    return Change(groups=(groups[command.group].group_id,), actors=(actors[command.actor],))


def _membership(invitation: Invitation) -> PutMember:
    return PutMember(
        group=invitation.group,
        actor=invitation.actor,
        role=invitation.role,
        permissions=tuple(invitation.permissions),
        since=None,
        added_by=invitation.invited_by,
    )


def _said(command: AnswerInvitation) -> str:
    return "accepted" if command.answer == "accept" else "declined"


def _place(tenant_id: int, change: Change) -> dict[str, Any]:
    return {"tenant_id": tenant_id, "group_id": change.groups[0], "actor_id": change.actors[0]}
