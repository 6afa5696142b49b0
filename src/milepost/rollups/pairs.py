"""Read pairs: what was opened, and what closed it, with the time between.

Of an object: the newest opened first. Of a group: those that are still open first, then the latest closed. One of the
two must be asked for, because an index serves them. Raises `NotFound`, `InvalidInput` and `BeingFilled` as the other
tables do.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from milepost.access.groups import group_ids
from milepost.errors import FieldError, InvalidInput
from milepost.model import Model
from milepost.postgres import Connection, load_queries
from milepost.rollups.filling import require_filled
from milepost.rollups.keys import object_of
from milepost.rollups.read import RollupPage, declared, put_words
from milepost.storage.activities import rfc3339
from milepost.storage.by_index import plan_by_index

__all__ = ["read_pairs"]

_queries = load_queries(__package__, "pairs.sql")

Row = tuple[str, str, UUID, datetime, UUID | None, datetime | None]


async def read_pairs(
    conn: Connection,
    tenant_id: int,
    model: Model,
    name: str,
    *,
    object: str | None,
    group: str | None,
    limit: int,
    after: bytes | None = None,
) -> RollupPage:
    """object: KIND/ID. after: the `next` of the page before."""
    declared(model.pairs, name, "pairs")
    if object is None and group is None:
        detail = "is required, or a group"
        raise InvalidInput(errors=(FieldError("/object", detail),))
    await plan_by_index(conn, sorts=True)
    parameters: dict[str, Any] = {"tenant_id": tenant_id}
    conditions = []
    if object is not None:
        kind, identity = object_of(object)
        parameters |= {"object_kind": kind, "object_id": identity}
        conditions.append("t.object_kind = %(object_kind)s AND t.object_id = %(object_id)s")
    if group is not None:
        parameters["group_id"] = (await group_ids(conn, tenant_id, [group])).get(group)
        conditions.append("t.group_id = %(group_id)s")
    await require_filled(conn, tenant_id, f"pairs_{name}")
    if group is not None and parameters["group_id"] is None:
        return RollupPage(items=[], next=None)
    template = _queries.of_object if object is not None else _queries.of_group
    if after is not None:
        closed_at, *passed = msgspec.json.decode(after)
        parameters |= dict(zip(("after_kind", "after_object", "after_id"), passed, strict=True))
        if object is not None:
            conditions.append("t.opened_id < %(after_id)s::uuid")
        else:
            parameters["after_closed_at"] = closed_at
            passed_by = "(t.object_kind, t.object_id, t.opened_id) < (%(after_kind)s, %(after_object)s, %(after_id)s::uuid)"
            conditions.append(
                f"(t.closed_at IS NOT NULL OR {passed_by})"
                if closed_at is None
                else f"t.closed_at <= %(after_closed_at)s AND (t.closed_at < %(after_closed_at)s OR {passed_by})"
            )
    statement = put_words(
        template, table=f"milepost.pairs_{name}", where="".join(f" AND {one}" for one in conditions), rows=str(limit + 1)
    )
    rows: list[Any] = await (await conn.execute(statement, parameters)).fetchall()
    position = None
    if len(rows) > limit:
        kind, identity, opened_id, _, _, closed_at = rows[limit - 1]
        position = msgspec.json.encode([closed_at, kind, identity, opened_id])
    return RollupPage(items=[_item(row) for row in rows[:limit]], next=position)


def _item(row: Row) -> dict[str, Any]:
    kind, identity, opened_id, opened_at, closed_id, closed_at = row
    return {
        "object": {"kind": kind, "id": identity},
        "opened_id": str(opened_id),
        "opened_at": rfc3339(opened_at),
        "closed_id": None if closed_id is None else str(closed_id),
        "closed_at": None if closed_at is None else rfc3339(closed_at),
        "seconds": None if closed_at is None else (closed_at - opened_at).total_seconds(),
    }
