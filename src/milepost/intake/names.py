"""Names of actors and groups, and the numbers that rows carry instead: found or given in a load's transaction, remembered after it.

Only a tenant's lane gives numbers, and what was given stays, so a lane's session may remember what it has seen committed. The session
of the next holder, or after a lost connection, begins with nothing: a commit that PostgreSQL forgot in a crash is forgotten here, too.
Whoever takes an actor or group away must end the sessions that know it (`forget`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

from milepost.postgres import Connection, load_queries

__all__ = ["Names", "give_numbers"]

_queries = load_queries(__package__, "names.sql")

NAMES_MAX = 300_000  # about 40 MB

Numbers = dict[str, int]


class Names:
    """What one lane's session knows. `keep` after the commit of what `find` was asked in, `drop` where it came to nothing."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], Numbers] = {}
        self._given: list[tuple[tuple[int, str], Numbers]] = []

    async def find(
        self, conn: Connection, tenant_id: int, actors: Sequence[str], groups: Sequence[str]
    ) -> tuple[Numbers, Numbers]:
        """The numbers of these names, new ones where they have none yet."""
        return (
            await self._find(conn, tenant_id, "actors", _queries.intern_actors, actors),
            await self._find(conn, tenant_id, "groups", _queries.intern_groups, groups),
        )

    def keep(self) -> None:
        if sum(map(len, self._known.values())) > NAMES_MAX:
            self._known.clear()
        for whose, numbers in self._given:
            self._known.setdefault(whose, {}).update(numbers)
        self._given.clear()

    def drop(self) -> None:
        self._given.clear()

    def forget(self) -> None:
        self._known.clear()
        self._given.clear()

    async def _find(self, conn: Connection, tenant_id: int, kind: str, query: LiteralString, names: Sequence[str]) -> Numbers:
        known = self._known.get((tenant_id, kind), {})
        found = {name: number for name in names if (number := known.get(name)) is not None}
        if len(found) < len(names):
            asked = [name for name in names if name not in found]
            given = dict(await _ask(conn, tenant_id, query, asked))
            if kind == "actors":
                await conn.execute(_queries.note_erased, {"tenant_id": tenant_id, "names": asked})
            self._given.append(((tenant_id, kind), given))
            found |= given
        return found


async def give_numbers(
    conn: Connection, tenant_id: int, actors: Sequence[str], groups: Sequence[str]
) -> tuple[Numbers, Numbers]:
    """As `Names.find`, for who asks once."""
    return await Names().find(conn, tenant_id, actors, groups)


async def _ask(conn: Connection, tenant_id: int, query: LiteralString, names: Sequence[str]) -> list[tuple[str, int]]:
    return await (await conn.execute(query, {"tenant_id": tenant_id, "names": list(names)})).fetchall()
