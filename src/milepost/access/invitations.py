"""Invitations as they are read. Only `milepost.access.changes` writes.

One for each group and actor, the last. `open` until it is answered, revoked, or its time is over (`expired`, which nobody has to do);
an actor that has been invited is no member, and sees nothing of the group.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from milepost.access._values import is_id
from milepost.errors import NotFound
from milepost.postgres import Connection, load_queries

__all__ = ["STATES", "Invitation", "State", "get_invitation", "list_invitations"]

queries = load_queries(__package__, "invitations.sql")

State = Literal["open", "accepted", "declined", "revoked", "expired"]
STATES: tuple[str, ...] = get_args(State)


@dataclass(frozen=True, kw_only=True)
class Invitation:
    group: str
    actor: str
    role: str
    permissions: list[str]
    state: str
    invited_by: str | None
    invited_at: datetime
    expires_at: datetime
    decided_at: datetime | None


async def get_invitation(
    conn: Connection, tenant_id: int, group: str, actor: str, *, now: datetime | None = None
) -> Invitation:
    """One invitation. Raises `NotFound`."""
    given = {"tenant_id": tenant_id, "group": group, "actor": actor, "now": now or datetime.now(UTC)}
    known = is_id(group) and is_id(actor)
    row = await (await conn.execute(queries.get_invitation, given)).fetchone() if known else None
    if row is None:
        raise NotFound(f"There is no invitation of {actor!r} to group {group!r}.", group=group, actor=actor)
    return Invitation(**dict(zip(Invitation.__dataclass_fields__, row, strict=True)))


async def list_invitations(
    conn: Connection,
    tenant_id: int,
    *,
    group: str | None = None,
    actor: str | None = None,
    state: str | None = None,
    now: datetime | None = None,
    after: str = "",
    limit: int = 50,
) -> list[Invitation]:
    """Of a group, in the order of the actors' ids, or of an actor, in that of the groups'; from after `after`."""
    asked = {"tenant_id": tenant_id, "state": state, "now": now or datetime.now(UTC), "after": after, "limit": limit}
    statement = queries.of_group if group is not None else queries.of_actor
    given: dict[str, Any] = asked | {"id": group if group is not None else actor}
    rows = await (await conn.execute(statement, given)).fetchall()
    return [Invitation(**dict(zip(Invitation.__dataclass_fields__, row, strict=True))) for row in rows]
