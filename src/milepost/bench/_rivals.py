"""The usual ways to rank, over the same members and scores: what a board is measured beside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, LiteralString, Protocol

from milepost.bench._ground import say
from milepost.postgres import Connection, load_queries

__all__ = ["Rival", "rivals_of"]

_queries = load_queries(__package__, "boards.sql")

KEY = "ladder"
PIPELINE = 10_000

Read = Callable[[int], Awaitable[object]]


class Rival(Protocol):
    """changes_often: False where a thousand changes take so long that they are made once."""

    name: str
    changes_often: bool

    def reads(self) -> Sequence[tuple[str, Read, bool]]:
        """(kind, how one member is read, whether it is quick enough to be read often)."""

    async def change(self, changing: list[tuple[int, str, int]]) -> float:
        """Milliseconds until what is added to each score is readable."""


class Plain:
    """A statement over a plain table with an index on the score."""

    def __init__(
        self, conn: Connection, name: str, reads: dict[str, tuple[LiteralString, bool]], *, refresh: LiteralString | None = None
    ) -> None:
        self.conn, self.name, self._reads, self._refresh = conn, name, reads, refresh
        self.changes_often = refresh is None

    def reads(self) -> Sequence[tuple[str, Read, bool]]:
        def reading(query: LiteralString) -> Read:
            async def read(member: int) -> object:
                return await (await self.conn.execute(query, {"member": member})).fetchall()

            return read

        return [(kind, reading(query), often) for kind, (query, often) in self._reads.items()]

    async def change(self, changing: list[tuple[int, str, int]]) -> float:
        began = perf_counter()
        if self._refresh is None:
            given = {"members": [number for number, _, _ in changing], "added": [added for _, _, added in changing]}
            await self.conn.execute(_queries.rival_change, given)
        else:  # the table has been changed for the others
            await self.conn.execute(self._refresh)
        return (perf_counter() - began) * 1000


class Sorted:
    """A sorted set of Redis. What is not in it is who has which name, and who may see what."""

    name = "redis"
    changes_often = True

    def __init__(self, client: Any) -> None:
        self.client = client

    def reads(self) -> Sequence[tuple[str, Read, bool]]:
        async def top(member: int) -> object:
            return await self.client.zrange(KEY, 0, 99, desc=True, withscores=True)

        async def standing(member: int) -> object:
            async with self.client.pipeline(transaction=False) as pipeline:
                return await pipeline.zrevrank(KEY, str(member)).zscore(KEY, str(member)).zcard(KEY).execute()

        async def around(member: int) -> object:
            rank = await self.client.zrevrank(KEY, str(member))
            return await self.client.zrange(KEY, max(0, rank - 5), rank + 5, desc=True, withscores=True)

        return [("top100", top, True), ("standing", standing, True), ("around", around, True)]

    async def change(self, changing: list[tuple[int, str, int]]) -> float:
        began = perf_counter()
        async with self.client.pipeline(transaction=False) as pipeline:
            for number, _, added in changing:
                pipeline.zincrby(KEY, added, str(number))
            await pipeline.execute()
        await self.client.zrevrank(KEY, str(changing[-1][0]))
        return (perf_counter() - began) * 1000


async def rivals_of(conn: Connection, redis: Any, tenant_id: int) -> list[Rival]:
    """conn: whose statements are timed."""
    say("filling a sorted set of Redis")
    await redis.config_set("appendfsync", "no")  # while it is filled
    async with conn.transaction(), conn.cursor("scores") as cursor:
        await cursor.execute(_queries.scores)
        while rows := await cursor.fetchmany(PIPELINE):
            await redis.zadd(KEY, {str(member): score for member, score in rows})
    await redis.config_set("appendfsync", "always")
    return [
        Plain(
            conn,
            "count_index",
            {
                "top100": (_queries.index_top, True),
                "standing": (_queries.count_index, False),
                "rank": (_queries.count_index_rank, False),
            },
        ),
        Plain(conn, "rank_over", {"top100": (_queries.rank_over_top, True), "standing": (_queries.rank_over, False)}),
        Plain(
            conn,
            "view",
            {"top100": (_queries.view_top, True), "standing": (_queries.view, True), "around": (_queries.view_around, True)},
            refresh=_queries.rival_refresh,
        ),
        Sorted(redis),
    ]
