"""What an actor has been given and has not done yet: of all pending lists of the model, the first due first.

    found = await read_pending(conn, tenant_id, model, "student-7", Wanted(), limit=50)

What a group was given, the actor has who is its member now, in one of the list's roles (all, where it names none): so who joins
later has what is still open, and who leaves has it no longer. It is done when the actor did one of the `done` verbs to the same
object, whenever that happened and in whatever group. Both follow corrections and retractions: a retracted submission opens its
object again, an assignment that moved to another class is pending there. An object that two groups of the actor were given is
there twice, once for each.

Without a due date it comes last, in the order in which it was given. Raises `InvalidInput` for a list that the model does not declare
and `BeingFilled` while history is being looked through; an actor that is not known has nothing pending.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

import msgspec

from milepost.access.actors import actor_ids
from milepost.access.groups import group_ids
from milepost.access.viewer import Reader, readable
from milepost.errors import FieldError, InvalidInput
from milepost.model import Model, Pending
from milepost.postgres import Connection, load_queries
from milepost.rollups.filling import require_filled
from milepost.rollups.read import RollupPage, put_words
from milepost.schema.compile import due_of
from milepost.storage.activities import rfc3339
from milepost.storage.by_index import plan_by_index

__all__ = ["Wanted", "read_pending", "seen_through"]

_queries = load_queries(__package__, "pending.sql")

Row = tuple[datetime | None, Any, int, str, datetime, str, str, str]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """group: only what this group was given. list: only of this list of the model. readable: only of these groups, by their
    numbers; None: of all.
    """

    group: str | None = None
    list: str | None = None
    readable: Collection[int] | None = None


async def read_pending(
    conn: Connection,
    tenant_id: int,
    model: Model,
    actor: str,
    asked: Wanted,
    *,
    now: datetime,
    limit: int,
    after: bytes | None = None,
) -> RollupPage:
    """after: the `next` of the page before."""
    lists = _lists(model, asked.list)
    actor_id = (await actor_ids(conn, tenant_id, [actor])).get(actor)
    group_id = None if asked.group is None else (await group_ids(conn, tenant_id, [asked.group])).get(asked.group)
    if not lists or actor_id is None or (asked.group is not None and group_id is None):
        return RollupPage(items=[], next=None)
    await plan_by_index(conn, sorts=True)
    await require_filled(conn, tenant_id, *(f"{kind}_{one.name}" for one in lists for kind in ("given", "done")))
    parameters: dict[str, Any] = {"tenant_id": tenant_id, "actor_id": actor_id, "now": now}
    parameters["groups"] = None if asked.readable is None else list(asked.readable)
    if group_id is not None:
        parameters["groups"] = [group_id] if asked.readable is None or group_id in asked.readable else []
    parameters |= {f"roles_{one.name}": list(one.roles) for one in lists}
    if after is not None:
        parameters |= dict(zip(("after_due", "after_id", "after_group", "after_list"), msgspec.json.decode(after), strict=True))
    statement = put_words(
        _queries.page,
        parts="\nUNION ALL\n".join(_part(one, passed=after is not None, rows=limit + 1) for one in lists),
        rows=str(limit + 1),
    )
    rows: Sequence[Any] = await (await conn.execute(statement, parameters)).fetchall()
    position = None
    if len(rows) > limit:
        due, identity, given_to, name, *_ = rows[limit - 1]
        position = msgspec.json.encode(["infinity" if due is None else due, identity, given_to, name])
    return RollupPage(items=[_item(row, now) for row in rows[:limit]], next=position)


async def seen_through(conn: Connection, tenant_id: int, reader: Reader, actor: str, *, at: datetime) -> set[int] | None:
    """The actor's groups through which a reader sees what is pending for it. None: all; empty: it sees no such actor."""
    actor_id = (await actor_ids(conn, tenant_id, [actor])).get(actor)
    if reader.sees_all or (actor_id is not None and actor_id == reader.actor_id):
        return None
    given = {"tenant_id": tenant_id, "actor_id": actor_id, "now": at}
    rows = await (await conn.execute(_queries.groups_of, given)).fetchall()
    return await readable(conn, tenant_id, reader, [row[0] for row in rows])


def _lists(model: Model, name: str | None) -> list[Pending]:
    if name is None:
        return list(model.pending.values())
    found = model.pending.get(name)
    if found is None:
        near = get_close_matches(name, model.pending, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InvalidInput(errors=(FieldError("/list", f"the model declares no pending list {name!r}{hint}"),))
    return [found]


def _part(pending: Pending, *, passed: bool, rows: int) -> str:
    due = due_of(pending, "t.")
    after = ""
    if passed:
        # The first bound is the index's; the second settles those of one due date.
        position = f"({due}, t.id, t.group_id, '{pending.name}')"
        after = (
            f" AND {due} >= %(after_due)s::timestamptz"
            f" AND {position} > (%(after_due)s::timestamptz, %(after_id)s::uuid, %(after_group)s::bigint, %(after_list)s::text)"
        )
    return put_words(
        _queries.part,
        name=pending.name,
        due=due,
        roles=f"%(roles_{pending.name})s",
        anybody="true" if not pending.roles else "false",
        after=after,
        rows=str(rows),
    )


def _item(row: Row, now: datetime) -> dict[str, Any]:
    due, identity, _, name, given_at, kind, object_id, group = row
    return {
        "list": name,
        "group": group,
        "object": {"kind": kind, "id": object_id},
        "given_id": str(identity),
        "given_at": rfc3339(given_at),
        "due": None if due is None else rfc3339(due),
        "overdue": due is not None and due < now,
    }
