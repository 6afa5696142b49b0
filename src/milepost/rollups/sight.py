"""Which numbers a viewer may be told: those of a group that it may read, and its own.

A question names the group or the actor that it is about. One that names neither is about the whole tenant, which only a key may ask.
What a viewer may not see is answered like what does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping

from milepost.access.actors import actor_ids
from milepost.access.groups import group_ids
from milepost.access.viewer import Reader, readable
from milepost.errors import NotFound
from milepost.postgres import Connection

__all__ = ["require_sight"]


async def require_sight(conn: Connection, tenant_id: int, reader: Reader, asked: Mapping[str, str]) -> None:
    """asked: the keys of the question by their text; `group` and `actor` count here. Raises `NotFound`."""
    if reader.sees_all:
        return
    if (group := asked.get("group")) is not None:
        found = (await group_ids(conn, tenant_id, [group])).get(group)
        if found is not None and await readable(conn, tenant_id, reader, [found]):
            return
    elif (actor := asked.get("actor")) is not None:
        if (await actor_ids(conn, tenant_id, [actor])).get(actor) == reader.actor_id:
            return
    else:
        raise NotFound("There is no such group or actor: name a group that you may read, or yourself.")
    raise NotFound("There is no such group or actor.")
