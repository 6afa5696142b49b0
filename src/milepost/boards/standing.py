"""One member's standing: its rank among all, exact, with who is around it, at the cost of a few hundred rows on a board of any size.

    standing = await read_standing(conn, ranking, member, around=5)

- `percentile`: of the others, how many in a hundred have no better rank: 100 for the first, 0 for the last (1 - percent_rank of
  SQL); with one member 100. Rounded to four decimals.
- `to_next`: how much is missing to the score of who is next better; 0 where that is the same score reached earlier. None for the first.

A member without a rank there (nothing counted, too few activities, hidden) has `rank` None, and nobody around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from milepost.access.actors import actor_ids
from milepost.access.groups import group_ids
from milepost.boards.ranking import Ranking, Snapshot
from milepost.boards.read import Ranked, items_of, kept_items, members_of, movement_of, places_of
from milepost.errors import NotFound
from milepost.postgres import Connection, load_queries

__all__ = ["AROUND_MAX", "Standing", "read_standing"]

_queries = load_queries(__package__, "boards.sql")
_kept = load_queries(__package__, "kept.sql")

AROUND_MAX = 100
TEN_THOUSANDTH = Decimal("0.0001")


@dataclass(frozen=True, kw_only=True)
class Standing:
    member: str
    rank: int | None
    score: Decimal | None
    percentile: Decimal | None
    movement: int | None
    members: int
    to_next: Decimal | None
    around: list[Ranked]


async def read_standing(conn: Connection, ranking: Ranking, member: str, *, around: int = 0, movement: bool = True) -> Standing:
    """around: how many on each side. Raises `NotFound` for a member that nobody has heard of, or that the viewer
    may not know."""
    if ranking.snapshot is not None:
        return await _kept_standing(conn, ranking, ranking.snapshot, member, around=around, movement=movement)
    alone = {} if around else {"ordinal": "0"}  # its rank is all that is asked for
    statement = ranking.statement(_queries.standing, around=str(around), movement=movement_of(ranking, movement), **alone)
    rows = await (await conn.execute(statement, {**ranking.parameters, "member": member})).fetchall()
    if not rows:
        return await _without_rank(conn, ranking, member)
    places = places_of(rows)
    before, better, members, next_score, number = rows[0][6:11]
    items = items_of(ranking, places, int(before), int(better))
    (me,) = (item for item, place in zip(items, places, strict=True) if place.member == number)
    if me.member is None:
        raise NotFound(f"There is no {ranking.board.rank} {member!r} here.")
    return Standing(
        member=member,
        rank=me.rank,
        score=me.score,
        percentile=percentile(me.rank, members),
        movement=me.movement,
        members=members,
        to_next=None if next_score is None else abs(next_score - me.score),
        around=items if around else [],
    )


async def _kept_standing(
    conn: Connection, ranking: Ranking, snapshot: Snapshot, member: str, *, around: int, movement: bool
) -> Standing:
    statement = ranking.statement(_kept.standing, movement=movement_of(ranking, movement))
    given = {"member": member, "around": around}
    rows = await (await conn.execute(statement, ranking.parameters | given)).fetchall()
    if not rows:
        return await _without_rank(conn, ranking, member)
    items = kept_items(rows)
    (me,) = (item for item, row in zip(items, rows, strict=True) if row[5])
    if me.member is None:
        raise NotFound(f"There is no {ranking.board.rank} {member!r} here.")
    better = rows[0][6]
    return Standing(
        member=member,
        rank=me.rank,
        score=me.score,
        percentile=percentile(me.rank, snapshot.members),
        movement=me.movement,
        members=snapshot.members,
        to_next=None if better is None else abs(better - me.score),
        around=items if around else [],
    )


async def _without_rank(conn: Connection, ranking: Ranking, member: str) -> Standing:
    look = actor_ids if ranking.board.rank == "actor" else group_ids
    number = (await look(conn, ranking.tenant_id, [member])).get(member)
    # A viewer cannot tell who is hidden, or masked, from who is not there; of itself it knows.
    if number is None or not (ranking.reader.sees_all or number == ranking.reader.actor_id):
        raise NotFound(f"There is no {ranking.board.rank} {member!r} here.")
    members = await members_of(conn, ranking)
    return Standing(
        member=member, rank=None, score=None, percentile=None, movement=None, members=members, to_next=None, around=[]
    )


def percentile(rank: int, members: int) -> Decimal:
    if members <= 1:
        return Decimal(100)
    return (Decimal(members - rank) * 100 / Decimal(members - 1)).quantize(TEN_THOUSANDTH, ROUND_HALF_UP)
