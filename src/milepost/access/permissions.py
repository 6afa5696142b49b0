"""Permissions: who may do what, in which group, on which activity.

    await allowed(conn, tenant_id, model, [Check(actor="ana", action="correct", group="study-7"), …])     # [True, …]
    await permitted(conn, tenant_id, model, "correct", group_id)                                         # all who may

An actor may do something in a group by a membership that holds at that moment, in the group or in one above it, as the tree is at that
moment. A membership gives the right to an action

- if its role has the action, in the model, in the kind of the group that it is a membership of;
- if its own `permissions` have the action itself, or the name of a set of that kind which has it;
- to `read`, where that kind declares no roles, or the group is of no kind: there is nothing to tell members apart by.

Nothing takes a right away again: what a membership above gives holds below. On an activity one may do what one may do in a group that
it is addressed to, and sees; to `read` it is to see it (`viewer` has that rule). Whoever, or whatever, is not known may do nothing, and it
is not an error: to ask must not tell what there is.

Keys are not bound by any of this: an app asks, and then writes with its key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

from milepost.access._granting import granted, granting
from milepost.access._put_group import LEVELS_MAX
from milepost.access._values import is_id, text_fault
from milepost.access.viewer import READ
from milepost.errors import FieldError, InvalidInput
from milepost.model import Model
from milepost.postgres import Connection, JsonText, load_queries

__all__ = ["CHECKS_MAX", "Archived", "Check", "Permitted", "allowed", "permitted"]

CHECKS_MAX = 1000  # in one statement: about 30 ms

_queries = load_queries(__package__, "permissions.sql")
_in_groups = _queries.in_groups.replace("{granted}", granted("q.action"))
_on_any = _queries.on_activities.replace("{may_read}", granted("'read'::text")).replace("{may_do}", granted("q.action"))
_on_activities = _on_any.replace("{activities}", "milepost.activity")
_on_archived = _on_any.replace("{activities}", _queries.archived)
_permitted = _queries.permitted.replace("{granted}", granted("%(action)s::text"))

# A tenant's activities in the archive: the id that was asked for → the id it has now, and its row as JSON.
Archived: TypeAlias = Callable[[Connection, int, Sequence[UUID]], Awaitable[Mapping[UUID, tuple[UUID, bytes]]]]


@dataclass(frozen=True, kw_only=True)
class Check:
    """A question: may the actor do this in that group, or on that activity? One of the two is given."""

    actor: str
    action: str
    group: str | None = None
    activity: str | None = None


@dataclass(frozen=True, kw_only=True)
class Permitted:
    """Who may, and by which membership."""

    actor_id: int
    actor: str
    group: str
    role: str
    permissions: list[str]


async def allowed(
    conn: Connection,
    tenant_id: int,
    model: Model,
    checks: Sequence[Check],
    *,
    at: datetime | None = None,
    archived: Archived | None = None,
) -> list[bool]:
    """The answers, in the order of the questions: one statement for groups and one for activities, whatever their number. archived: is
    asked for activities that are not to be found, or not to be touched, in PostgreSQL.

    Raises `InvalidInput` for more than `CHECKS_MAX` of them.
    """
    if len(checks) > CHECKS_MAX:
        raise InvalidInput(errors=(FieldError("/checks", f"must have at most {CHECKS_MAX} entries"),))
    given = {"tenant_id": tenant_id, "at": at or datetime.now(UTC)} | granting(model, {READ, *(one.action for one in checks)})
    known = [(number, check) for number, check in enumerate(checks) if is_id(check.actor) and is_id(check.action)]
    in_groups = [(n, check, check.group) for n, check in known if check.group is not None and is_id(check.group)]
    on_activities = [(n, check, id_) for n, check in known if check.activity is not None and (id_ := _uuid(check.activity))]
    yes: set[int] = set()
    for statement, asked in ((_in_groups, in_groups), (_on_activities, on_activities)):
        if asked:
            rows = await (await conn.execute(statement, given | _questions(asked))).fetchall()
            yes.update(row[0] for row in rows)
    open_still = [one for one in on_activities if one[0] not in yes]
    if archived is not None and open_still:
        found = await archived(conn, tenant_id, [target for _, _, target in open_still])
        asked_still = [(n, check, found[target][0]) for n, check, target in open_still if target in found]
        if asked_still:
            cold_rows = JsonText(b"[%b]" % b",".join(dict(found.values()).values()))
            questions = given | _questions(asked_still) | {"cold_rows": cold_rows}
            yes.update(row[0] for row in await (await conn.execute(_on_archived, questions)).fetchall())
    return [number in yes for number in range(len(checks))]


def _questions(asked: Sequence[tuple[int, Check, Any]]) -> dict[str, Any]:
    return {
        "numbers": [number for number, _, _ in asked],
        "actors": [check.actor for _, check, _ in asked],
        "actions": [check.action for _, check, _ in asked],
        "targets": [target for _, _, target in asked],
    }


async def permitted(
    conn: Connection,
    tenant_id: int,
    model: Model,
    action: str,
    group_id: int,
    *,
    at: datetime | None = None,
    after: int = 0,
    limit: int = 50,
) -> list[Permitted]:
    """Who may do something in a group, in the order of the actors' numbers, from after `after`. Raises `InvalidInput`."""
    if detail := text_fault(action):
        raise InvalidInput(errors=(FieldError("/action", detail),))
    kinds = [(kind.name, role) for kind in model.groups.values() for role, actions in kind.roles.items() if action in actions]
    given = {
        "tenant_id": tenant_id,
        "group_id": group_id,
        "action": action,
        "kinds": [kind for kind, _ in kinds],
        "kind_roles": [role for _, role in kinds],
        "at": at or datetime.now(UTC),
        "after": after,
        "limit": limit,
        "levels": LEVELS_MAX,
    }
    statement = _permitted.replace("{members}", _queries.members if action == READ else "")
    rows = await (await conn.execute(statement, given | granting(model, [action]))).fetchall()
    return [Permitted(actor_id=row[0], actor=row[1], group=row[2], role=row[3], permissions=row[4]) for row in rows]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
