"""Actors as they are read: by id, in pages, and between ids and the numbers that rows carry.

An actor exists from the first activity that names it, or from its first `put_actor`; what it is called is written by
`milepost.access.changes` alone. A missing actor raises `NotFound`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from milepost.access._values import contains, is_id
from milepost.access.viewer import EVERYTHING, Reader, few_known
from milepost.errors import NotFound
from milepost.postgres import Connection, load_queries

__all__ = ["Actor", "actor_ids", "actor_names", "get_actor", "list_actors"]

queries = load_queries(__package__, "actors.sql")


@dataclass(frozen=True, kw_only=True)
class Actor:
    id: str
    kind: str | None
    name: str | None
    attributes: dict[str, Any]


async def get_actor(conn: Connection, tenant_id: int, actor: str, *, reader: Reader = EVERYTHING) -> Actor:
    """One actor. Raises `NotFound`, also for one that the reader may not be told of."""
    row = None
    if is_id(actor):
        given = {"tenant_id": tenant_id, "id": actor} | reader.parameters
        row = await (await conn.execute(queries.get_actor.replace("{known}", reader.known), given)).fetchone()
    if row is None:
        raise NotFound(f"There is no actor {actor!r}.", actor=actor)
    return _actor(row)


async def list_actors(
    conn: Connection,
    tenant_id: int,
    *,
    query: str | None = None,
    after: str = "",
    limit: int = 50,
    reader: Reader = EVERYTHING,
) -> list[Actor]:
    """Actors in the order of their ids, from after `after`; `query` must be part of the name or the id, in any case. A viewer's: itself,
    and the members of groups that it may read."""
    few = None if reader.sees_all else await few_known(conn, tenant_id, reader)
    source = queries.every_actor if few is None else queries.few_actors
    statement = queries.list_actors.replace("{actors}", source).replace("{known}", reader.known)
    given = {"tenant_id": tenant_id, "query": contains(query), "after": after, "limit": limit, "few": few}
    return [_actor(row) async for row in await conn.execute(statement, given | reader.parameters)]


async def actor_ids(conn: Connection, tenant_id: int, ids: Iterable[str]) -> dict[str, int]:
    """The numbers of actors by their ids; without those that are not known."""
    cursor = await conn.execute(queries.actor_ids, {"tenant_id": tenant_id, "ids": [one for one in ids if is_id(one)]})
    return dict(await cursor.fetchall())


async def actor_names(conn: Connection, tenant_id: int, numbers: Iterable[int]) -> dict[int, str]:
    """The ids of actors by their numbers."""
    cursor = await conn.execute(queries.actor_names, {"tenant_id": tenant_id, "ids": list(numbers)})
    return dict(await cursor.fetchall())


def _actor(row: tuple[Any, ...]) -> Actor:
    identity, kind, name, attributes = row
    return Actor(id=identity, kind=kind, name=name, attributes=msgspec.json.decode(attributes) if attributes else {})
