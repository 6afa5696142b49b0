"""The viewer: the actor on whose behalf something is read, and what it may see.

    reader = await reader_of(conn, tenant_id, request.viewer, model)     # one look-up, in the transaction of the read
    if reader.sees_all: ...                                              # a key's own read
    await readable(conn, tenant_id, reader, [7, 8])                      # {7}: the groups among these that it may read
    f"… WHERE {reader.visible}", {…, **reader.parameters}                # activities as `s`

A viewer sees public activities, the `group` activities of groups it may read, and its own private ones (one of visibility
`group` that is addressed to no group is as private). It may read a group by a membership that holds now, in the group or in one
above it, as the tree is now: the membership's role has the action `read` in the model, or its own permissions do (`permissions` has
the rules for any action). What it may not see is not there: 404, no rank, no count.

What it costs: `roots` are the groups of its own memberships, some few however large the tree below them; whether it may read a
group is one look-up in `group_reach` for each root, so nobody's sight is ever listed to answer a page.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, LiteralString

from milepost.access._granting import granted, granting
from milepost.model import Model
from milepost.postgres import Connection, load_queries

__all__ = [
    "EVERYTHING",
    "KEY_ITSELF",
    "NOBODY",
    "READ",
    "Reader",
    "Viewer",
    "few_known",
    "few_readable",
    "readable",
    "reader_of",
]

READ = "read"  # the action that the rules of reading ask for
FEW_MAX = 5_000  # sorting so many takes about as long as a page that finds one in twenty
NOBODY = 0  # the number of an actor that has none yet: it sees what is public

queries = load_queries(__package__, "viewer.sql")
_roots = queries.roots.replace("{granted}", granted("%(action)s::text"))


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """On whose behalf a request reads. actor_id None: a key's own read, which sees all of its tenant."""

    actor_id: int | None = None
    actor: str | None = None  # its id, as the app says it

    @property
    def sees_all(self) -> bool:
        return self.actor_id is None


KEY_ITSELF = Viewer()


@dataclass(frozen=True, kw_only=True)
class Reader:
    """What a viewer may read at a moment. roots: it may read these groups and all below them."""

    actor_id: int | None
    roots: tuple[int, ...] = ()
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def sees_all(self) -> bool:
        return self.actor_id is None

    @property
    def visible(self) -> LiteralString:
        """A condition on activities as `s`; what it asks for is in `parameters`."""
        return "true" if self.sees_all else queries.visible

    @property
    def readable(self) -> LiteralString:
        """A condition on groups as `g`; what it asks for is in `parameters`."""
        return "true" if self.sees_all else queries.readable

    @property
    def known(self) -> LiteralString:
        """A condition on actors as `a`: those that it may be told of."""
        return "true" if self.sees_all else queries.known

    @property
    def parameters(self) -> dict[str, Any]:
        """For `visible` and `readable`, and for statements of others that ask the same. viewer_id None: all is seen."""
        return {"viewer_id": self.actor_id, "viewer_roots": list(self.roots), "viewer_at": self.at}


EVERYTHING = Reader(actor_id=None)


async def reader_of(
    conn: Connection, tenant_id: int, viewer: Viewer, model: Model, *, action: str = READ, at: datetime | None = None
) -> Reader:
    """What a viewer may read (or where it may do another action), as of `at`: now, unless told otherwise."""
    moment = at or datetime.now(UTC)
    if viewer.actor_id is None:
        return Reader(actor_id=None, at=moment)
    if viewer.actor_id == NOBODY:
        return Reader(actor_id=NOBODY, at=moment)
    given = {"tenant_id": tenant_id, "actor_id": viewer.actor_id, "at": moment, "action": action} | granting(model, [action])
    rows = await (await conn.execute(_roots, given)).fetchall()
    return Reader(actor_id=viewer.actor_id, roots=tuple(sorted({row[0] for row in rows})), at=moment)


async def few_readable(conn: Connection, tenant_id: int, reader: Reader) -> list[int] | None:
    """All groups that a viewer may read, where they are few; None where there are more than `FEW_MAX`, so that whoever lists groups
    in order comes upon them soon enough.
    """
    given = {"tenant_id": tenant_id, "most": FEW_MAX + 1} | reader.parameters
    rows = await (await conn.execute(queries.few_readable, given)).fetchall()
    return None if len(rows) > FEW_MAX else sorted({row[0] for row in rows})


async def few_known(conn: Connection, tenant_id: int, reader: Reader) -> list[int] | None:
    """All actors that a viewer may be told of, in the same way."""
    groups = await few_readable(conn, tenant_id, reader)
    if groups is None:
        return None
    given = {"tenant_id": tenant_id, "groups": groups, "most": FEW_MAX + 1} | reader.parameters
    rows = await (await conn.execute(queries.few_known, given)).fetchall()
    return None if len(rows) > FEW_MAX else sorted({row[0] for row in rows})


async def readable(conn: Connection, tenant_id: int, reader: Reader, groups: Iterable[int]) -> set[int]:
    """Those of the groups, by their numbers, that the reader may read."""
    asked = set(groups)
    if reader.sees_all:
        return asked
    if not asked or not reader.roots:
        return set()
    given = {"tenant_id": tenant_id, "groups": list(asked)} | reader.parameters
    return {row[0] for row in await (await conn.execute(queries.readable_of, given)).fetchall()}
