"""Moving contents between rows and the object store: large ones out of their rows, and away what nobody has any more.

Both are steps of upkeep, as the owner: bounded, and fine to be killed anywhere and run again. A load notes which of its activities have
a large content (`milepost.content_waiting`); a step writes the object, and then takes the content out of the row in the transaction
that says where it is. While the store does not answer, contents stay in their rows, and are read from there. An object that nobody has
for `UNUSED_HOURS` is deleted before it is forgotten.
"""

from __future__ import annotations

from milepost import faults
from milepost.postgres import Connection, load_queries, translated
from milepost.storage.content import Contents, path_of
from milepost.telemetry import count

__all__ = ["collect", "move_out"]

_queries = load_queries(__package__, "moving.sql")

MOVED_AT_ONCE_MAX = 20
COLLECTED_AT_ONCE_MAX = 100
UNUSED_HOURS = 1.0  # a move takes seconds


async def move_out(owner: Connection, contents: Contents) -> int:
    """One step. → how many activities it is done with; 0: none waits. Raises `StoreUnavailable`."""
    with translated(owner):
        waiting = await (await owner.execute(_queries.waiting, {"rows_max": MOVED_AT_ONCE_MAX})).fetchall()
        for tenant_id, id_, version, content in waiting:
            values = {"tenant_id": tenant_id, "id": id_, "version": version}
            if content is None:  # retracted meanwhile, or a duplicate
                await owner.execute(_queries.done, values)
                continue
            values["digest"] = await contents.keep(owner, tenant_id, content.encode())
            faults.reach("content.written")
            async with owner.transaction():
                if (await owner.execute(_queries.take_out, values)).rowcount:
                    await owner.execute(_queries.lies_there, values)
                    await owner.execute(_queries.done, values)
                    count("contents_moved")
                faults.reach("content.before_commit")
    return len(waiting)


async def collect(owner: Connection, contents: Contents, *, unused_hours: float = UNUSED_HOURS) -> int:
    """One step of deleting what nobody has. → how many objects; 0: none is left. Raises `StoreUnavailable`."""
    with translated(owner):
        async with owner.transaction():
            values = {"hours": unused_hours, "rows_max": COLLECTED_AT_ONCE_MAX}
            unused = await (await owner.execute(_queries.unused, values)).fetchall()
            if unused:
                # Locked: who wants one of them now waits, and writes it anew.
                await contents.store.delete([path_of(tenant_id, bytes(digest)) for tenant_id, digest in unused])
                faults.reach("content.deleted")
                for tenant_id, digest in unused:
                    await owner.execute(_queries.forget, {"tenant_id": tenant_id, "digest": digest})
    count("contents_collected", len(unused))
    return len(unused)
