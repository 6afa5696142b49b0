"""Whom and what an actor follows, as it is read. Only `milepost.access.changes` writes.

Followed are actors, groups and objects; an object is named by its kind and id, `KIND/ID`. An actor follows at most
`FOLLOWS_MAX`: a page of its home feed looks at each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from milepost.access._values import is_id
from milepost.errors import NotFound
from milepost.postgres import Connection, load_queries

__all__ = ["FOLLOWS_MAX", "KINDS", "Follow", "Followed", "followed_by", "get_follow", "list_follows"]

queries = load_queries(__package__, "follows.sql")

FOLLOWS_MAX = 2_000
KINDS = ("actor", "group", "object")  # in the order of their numbers in milepost.follow


@dataclass(frozen=True, kw_only=True)
class Follow:
    actor: str
    kind: str
    id: str  # of an object: KIND/ID
    since: datetime


@dataclass(frozen=True, kw_only=True)
class Followed:
    """What an actor follows, by numbers. objects: their kinds and ids."""

    actors: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    objects: tuple[tuple[str, str], ...] = ()


async def followed_by(conn: Connection, tenant_id: int, actor_id: int) -> Followed:
    """All that an actor follows."""
    rows = await (await conn.execute(queries.followed, {"tenant_id": tenant_id, "actor_id": actor_id})).fetchall()
    return Followed(
        actors=tuple(target for kind, target, _, _ in rows if kind == 0),
        groups=tuple(target for kind, target, _, _ in rows if kind == 1),
        objects=tuple((object_kind, object_id) for kind, _, object_kind, object_id in rows if kind == 2),
    )


async def get_follow(conn: Connection, tenant_id: int, actor: str, kind: str, target: str) -> Follow:
    """One of them. Raises `NotFound`."""
    found = await list_follows(conn, tenant_id, actor, kind=kind, at_or_after=(KINDS.index(kind), target), limit=1)
    if not found or found[0].id != target:
        raise NotFound(f"{actor!r} does not follow the {kind} {target!r}.", actor=actor)
    return found[0]


async def list_follows(
    conn: Connection,
    tenant_id: int,
    actor: str,
    *,
    kind: str | None = None,
    at_or_after: tuple[int, str] = (0, ""),
    limit: int = 50,
) -> list[Follow]:
    """In the order of kinds (`KINDS`) and ids, from `at_or_after` on; none for an unknown actor."""
    if not is_id(actor):
        return []
    given: dict[str, Any] = {
        "tenant_id": tenant_id,
        "actor": actor,
        "kind": None if kind is None else KINDS.index(kind),
        "first_kind": at_or_after[0],
        "first_id": at_or_after[1],
        "limit": limit,
    }
    rows: Sequence[Any] = await (await conn.execute(queries.list_follows, given)).fetchall()
    return [Follow(actor=actor, kind=KINDS[number], id=target, since=since) for number, target, since in rows]
