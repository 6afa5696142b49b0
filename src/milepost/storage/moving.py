"""Moving contents between rows and the object store: large ones out of their rows, and away what nobody has any more.

Both are steps of upkeep, as the owner: bounded, and fine to be killed anywhere and run again. A load notes which of its activities have
a large content (`milepost.content_waiting`); a step writes the object, and then takes the content out of the row in the transaction
that says where it is. While the store does not answer, contents stay in their rows, and are read from there. An object that nobody has
for `UNUSED_HOURS` is deleted before it is forgotten; of an erased actor's activities it need not wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from milepost import faults
from milepost.postgres import Connection, load_queries, translated
from milepost.storage.content import Contents, path_of
from milepost.telemetry import count

__all__ = ["Collector", "collect_erased", "move_out"]

_queries = load_queries(__package__, "moving.sql")

MOVED_AT_ONCE_MAX = 20
LOOKED_AT_MAX = 500
WINDOWS_MAX = 20  # of a step
BEFORE_ALL = (0, b"")
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


async def collect_erased(owner: Connection, contents: Contents, tenant_id: int) -> int:
    """Delete the contents of a tenant's erased activities, unless others have them. → how many. Raises `StoreUnavailable`."""
    gone = 0
    with translated(owner):
        while True:
            async with owner.transaction():
                unused = await (
                    await owner.execute(_queries.erased, {"tenant_id": tenant_id, "rows_max": LOOKED_AT_MAX})
                ).fetchall()
                if not unused:
                    return gone
                await _delete(owner, contents, unused)
            gone += len(unused)


async def _delete(owner: Connection, contents: Contents, unused: Sequence[tuple[int, bytes]]) -> None:
    """They are locked: who wants one of them now waits, and writes it anew."""
    await contents.store.delete([path_of(whose, bytes(one)) for whose, one in unused])
    faults.reach("content.deleted")
    tenants, digests = zip(*unused, strict=True)
    await owner.execute(_queries.forget, {"tenants": list(tenants), "digests": list(digests)})
    count("contents_collected", len(unused))


class Collector:
    """Goes through all contents, a window at a time, and round again: so a step costs the same however many there are."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._after: tuple[int, bytes] = BEFORE_ALL

    async def step(self, owner: Connection, *, unused_hours: float = UNUSED_HOURS) -> int:
        """Delete what nobody has. → how many objects; 0: none was found in `WINDOWS_MAX` windows, or the round is over. Raises
        `StoreUnavailable`."""
        for _ in range(WINDOWS_MAX):
            if gone := await self._window(owner, unused_hours):
                return gone
            if self._after == BEFORE_ALL:
                break
        return 0

    async def _window(self, owner: Connection, unused_hours: float) -> int:
        values: dict[str, Any] = {"tenant_id": self._after[0], "digest": self._after[1], "looked_at": LOOKED_AT_MAX}
        with translated(owner):
            row = await (await owner.execute(_queries.window, values)).fetchone()
            assert row is not None
            looked, tenant_id, digest = row
            if not looked:
                self._after = BEFORE_ALL
                return 0
            values |= {"last_tenant_id": tenant_id, "last_digest": digest, "hours": unused_hours}
            async with owner.transaction():
                unused = await (await owner.execute(_queries.unused, values)).fetchall()
                if unused:
                    await _delete(owner, self._contents, unused)
        self._after = (tenant_id, bytes(digest)) if looked == LOOKED_AT_MAX else BEFORE_ALL
        return len(unused)
