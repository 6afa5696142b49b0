"""Pages of a ranking, from the top to any depth: a page costs the same wherever it begins.

    page = await read_page(conn, ranking, limit=50, after=None)

A cursor is the place after which the page begins, so a page neither repeats nor skips a member that did not move meanwhile. Ranks
are those of the moment of the page. `movement` is by how many ranks a member has come up since the window before (negative: gone
down); None where there is no window before or the member had no rank in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from milepost.boards.ranking import Place, Ranking, Snapshot, ranks_of
from milepost.postgres import Connection, load_queries

__all__ = ["BoardPage", "Ranked", "items_of", "kept_items", "members_of", "movement_of", "places_of", "read_page"]

_queries = load_queries(__package__, "boards.sql")
_kept = load_queries(__package__, "kept.sql")


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """member: None where the viewer may not know who it is."""

    rank: int
    member: str | None
    score: Decimal
    movement: int | None


@dataclass(frozen=True, kw_only=True)
class BoardPage:
    """next: the position after which the next page begins; None: this is the last."""

    items: list[Ranked]
    members: int
    next: bytes | None


async def read_page(
    conn: Connection, ranking: Ranking, *, limit: int, after: bytes | None = None, movement: bool = True
) -> BoardPage:
    """after: the `next` of the page before. movement: without, it is not looked up, which for a full page of a large board is most of
    the work."""
    if ranking.snapshot is not None:
        return await _kept_page(conn, ranking, ranking.snapshot, limit=limit, after=after, movement=movement)
    parameters = dict(ranking.parameters)
    if after is not None:
        place, tie, member = msgspec.json.decode(after)
        parameters |= {"after_place": place, "after_tie": tie, "after_member": member}
    statement = ranking.statement(
        _queries.page,
        after=" AND (t.place, t.tie, t.{member}) > (%(after_place)s, %(after_tie)s, %(after_member)s)" if after else "",
        rows=str(limit + 1),
        movement=movement_of(ranking, movement),
        **({} if after else {"ordinal": "0", "better": "0"}),
    )
    rows = await (await conn.execute(statement, parameters)).fetchall()
    places = places_of(rows)[:limit]
    following = None
    if len(rows) > limit:
        last = places[-1]
        following = msgspec.json.encode([last.place, last.tie, last.member])
    if not rows:
        return BoardPage(items=[], members=await members_of(conn, ranking), next=None)
    before, better, members = rows[0][6:9]
    return BoardPage(items=items_of(ranking, places, int(before), int(better)), members=members, next=following)


async def _kept_page(
    conn: Connection, ranking: Ranking, snapshot: Snapshot, *, limit: int, after: bytes | None, movement: bool
) -> BoardPage:
    """A cursor is the ordinal of the last one shown."""
    statement = ranking.statement(_kept.page, movement=movement_of(ranking, movement))
    given = {"after": int(after or 0), "rows": limit + 1}
    rows = await (await conn.execute(statement, ranking.parameters | given)).fetchall()
    following = str(rows[limit - 1][0]).encode() if len(rows) > limit else None
    return BoardPage(items=kept_items(rows[:limit]), members=snapshot.members, next=following)


def kept_items(rows: Sequence[tuple[Any, ...]]) -> list[Ranked]:
    """Of rows of a snapshot: ordinal, rank, name, score, how many had a better rank in what they are compared with."""
    return [
        Ranked(rank=rank, member=name, score=score, movement=None if before is None else int(before) + 1 - rank)
        for _, rank, name, score, before, *_ in rows
    ]


async def members_of(conn: Connection, ranking: Ranking) -> int:
    if ranking.snapshot is not None:
        return ranking.snapshot.members
    row = await (await conn.execute(ranking.statement(_queries.members), ranking.parameters)).fetchone()
    return row[0] if row else 0


def movement_of(ranking: Ranking, wanted: bool) -> str:
    """The expression that looks up how many were before each, in what movement is since."""
    if not wanted:
        return "NULL"
    if ranking.against is not None:
        return "({since})"
    return "({moved})" if ranking.previous is not None and ranking.snapshot is None else "NULL"


def places_of(rows: Sequence[tuple[Any, ...]]) -> list[Place]:
    return [
        Place(
            place=row[0],
            tie=row[1],
            member=row[2],
            name=row[3],
            score=row[4],
            before=None if row[5] is None else int(row[5]),
        )
        for row in rows
    ]


def items_of(ranking: Ranking, places: Sequence[Place], before: int, better: int) -> list[Ranked]:
    """before, better: as `ranks_of` wants them."""
    return [
        Ranked(
            rank=rank,
            member=place.name,
            score=place.score,
            movement=None if place.before is None else place.before + 1 - rank,
        )
        for place, rank in zip(places, ranks_of(ranking, places, before, better), strict=True)
    ]
