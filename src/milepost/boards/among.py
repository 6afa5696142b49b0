"""Some members of a ranking, among them and on the board: whom an actor follows, or those that are named.

    page = await read_friends(conn, ranking, "ana", limit=50)
    items = await read_named(conn, ranking, ["ana", "ben"])

Their places are looked up one by one, however large the board is; ranks are those on the whole board. Those without a rank are left
out. So are, of those that a viewer names, the ones that are masked to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

import msgspec

from milepost.access.actors import actor_ids
from milepost.boards.ranking import Ranking
from milepost.boards.read import BoardPage, Ranked, kept_items, members_of, movement_of, places_of
from milepost.errors import NotFound
from milepost.postgres import Connection, load_queries

__all__ = ["NAMED_MAX", "read_friends", "read_named"]

_queries = load_queries(__package__, "boards.sql")
_kept = load_queries(__package__, "kept.sql")

NAMED_MAX = 500


async def read_friends(
    conn: Connection, ranking: Ranking, actor: str, *, limit: int, after: bytes | None = None, movement: bool = True
) -> BoardPage:
    """Of the actor itself and whom it follows; where groups are ranked, of the groups it follows. Raises `NotFound`."""
    number = (await actor_ids(conn, ranking.tenant_id, [actor])).get(actor)
    if number is None or not (ranking.reader.sees_all or number == ranking.reader.actor_id):
        raise NotFound(f"There is no actor {actor!r}.")
    members: LiteralString = "{friends}" if ranking.board.rank == "actor" else "{followed}"
    items, following = await _among(conn, ranking, members, {"of": number}, limit, after, movement)
    return BoardPage(items=items, members=await members_of(conn, ranking), next=following)


async def read_named(conn: Connection, ranking: Ranking, members: Sequence[str], *, movement: bool = True) -> list[Ranked]:
    """members: at most `NAMED_MAX`, by name."""
    items, _ = await _among(conn, ranking, "{named}", {"members": list(members)}, NAMED_MAX, None, movement)
    return [item for item in items if item.member is not None]


async def _among(
    conn: Connection,
    ranking: Ranking,
    members: LiteralString,
    named: dict[str, object],
    limit: int,
    after: bytes | None,
    movement: bool,
) -> tuple[list[Ranked], bytes | None]:
    parameters = {**ranking.parameters, **named}
    if ranking.snapshot is not None:
        statement = ranking.statement(_kept.among, members=members, movement=movement_of(ranking, movement))
        given = {"after": int(after or 0), "rows": limit + 1}
        found = await (await conn.execute(statement, parameters | given)).fetchall()
        return kept_items(found[:limit]), str(found[limit - 1][0]).encode() if len(found) > limit else None
    if after is not None:
        place, tie, member = msgspec.json.decode(after)
        parameters |= {"after_place": place, "after_tie": tie, "after_member": member}
    statement = ranking.statement(
        _queries.among,
        members=members,
        after=" AND (t.place, t.tie, t.member) > (%(after_place)s, %(after_tie)s, %(after_member)s)" if after else "",
        rows=str(limit + 1),
        movement=movement_of(ranking, movement),
    )
    rows = await (await conn.execute(statement, parameters)).fetchall()
    places = places_of(rows)
    items = [
        Ranked(
            rank=int(row[6]) + 1,
            member=place.name,
            score=place.score,
            movement=None if place.before is None else place.before - int(row[6]),
        )
        for place, row in zip(places, rows, strict=True)
    ][:limit]
    last = places[limit - 1] if len(places) > limit else None
    return items, None if last is None else msgspec.json.encode([last.place, last.tie, last.member])
