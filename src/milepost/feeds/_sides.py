"""Looking for the same activities from two sides, so that what cannot be seen costs no more than what can.

What a viewer may see of a list can be found in the list, by testing each row for whether the viewer may see it, and in what
the viewer may see, by testing each row for whether it is of the list. The first is quick where the viewer sees much of the list, the
second where it sees little; which it is, only looking tells. So both are looked at, by and by more of the one that gets
further, and what is known is known from the one that got furthest. Each look is bounded: where neither side finds a page in
some thousand rows, the page ends early, and says where the next one begins.

The second side may have thousands of ranges (*legs*: the groups that the viewer may read, or what it follows). They are looked
at within a window of time, whose width the first side's look suggests: a range that has nothing there costs one look-up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString
from uuid import UUID

from milepost.activity import LARGEST_ID
from milepost.feeds._found import NOTHING, Found
from milepost.postgres import Connection, load_queries
from milepost.rollups.read import put_words

__all__ = ["Leg", "Sides"]

_queries = load_queries(__package__, "looks.sql")

LOOKS = (256, 2_048, 4_096)  # rows, of a side: the first look, the second, every further one
LOOKS_MAX = 6  # of both sides together
LEG_ROWS_MIN = 64
LEGS_UNWINDOWED_MAX = 32
WIDER = 16  # times, after a window in which too little was found
BLIND = 64  # times the span of the first side's look, where that found nothing


@dataclass(frozen=True, kw_only=True)
class Leg:
    """Ranges of activities. each: what there is one for, as `f`. of: the condition that an index serves, on `s` and `f`."""

    of: LiteralString
    each: LiteralString = "(SELECT) f"
    count: int = 1  # how many ranges
    test: tuple[LiteralString, ...] = ()  # on each row
    stream: bool = False  # of the stream rows


@dataclass(kw_only=True)
class _Side:
    ids: set[UUID] = field(default_factory=set)
    at: UUID  # everything from here up is known
    done: bool = False
    looks: int = 0


@dataclass(frozen=True, kw_only=True)
class Sides:
    """list: the legs of the list itself, whose rows are tested. sight: those of what the viewer may see, None if they are too many.

    parameters: of all conditions, `tenant_id` included.
    """

    list: Sequence[Leg]
    sight: Sequence[Leg] | None
    parameters: Mapping[str, Any]

    async def newest(self, conn: Connection, low: UUID, high: UUID, wanted: int) -> Found:
        """The newest ids from low on, below high: `wanted` of them, all there are, or fewer with an end above low."""
        if low >= high or (self.sight is not None and not any(leg.count for leg in self.sight)):
            return NOTHING
        list_, sight = _Side(at=high), _Side(at=high)
        span_ms = 0
        for number in range(LOOKS_MAX):
            known = self._known(list_, sight)
            if known.end is None or len(known.ids) >= wanted:
                return known
            if number == 0 or self._list_is_next(list_, sight, wanted):
                first = await self._look(conn, self.list, list_, low, wanted)
                newest = min(high, first or LARGEST_ID)
                span_ms = max(1, (newest.int >> 80) - (list_.at.int >> 80))
            else:
                assert self.sight is not None
                window = low
                if sum(leg.count for leg in self.sight) > LEGS_UNWINDOWED_MAX:
                    window, span_ms = self._window(list_, sight, low, span_ms, wanted)
                await self._look(conn, self.sight, sight, window, wanted)
                sight.done = sight.at <= low
        return self._known(list_, sight)

    def _known(self, list_: _Side, sight: _Side) -> Found:
        done = list_.done or sight.done
        return Found.of(list_.ids | sight.ids, None if done else min(list_.at, sight.at))

    def _list_is_next(self, list_: _Side, sight: _Side, wanted: int) -> bool:
        if self.sight is None:
            return True
        if sight.looks == 0:
            # A second, longer look at the list will do if the first one found as much of what is wanted.
            return list_.looks == 1 and len(list_.ids) * LOOKS[1] >= wanted * LOOKS[0]
        return list_.at < sight.at

    def _window(self, list_: _Side, sight: _Side, low: UUID, span_ms: int, wanted: int) -> tuple[UUID, int]:
        """Where the next window begins, and how wide the legs have been looked at with it."""
        if sight.looks == 0:
            wide = span_ms * BLIND if not list_.ids else 2 * span_ms * wanted // len(list_.ids)
            from_ms = (list_.at.int >> 80) + span_ms  # the newest row that the list has
        else:
            wide, from_ms = span_ms * WIDER, sight.at.int >> 80
        return max(low, UUID(int=max(0, from_ms - wide) << 80)), wide

    async def _look(self, conn: Connection, legs: Sequence[Leg], side: _Side, low: UUID, wanted: int) -> UUID | None:
        """One look further down. → the newest row it saw."""
        scanned = LOOKS[min(side.looks, len(LOOKS) - 1)]
        parameters = {**self.parameters, "low": low, "high": side.at}
        statement = _statement(legs, scanned, wanted)
        row = await (await conn.execute(statement, parameters)).fetchone()
        assert row is not None
        ids, first, last = row
        side.ids.update(ids or ())
        side.at, side.done, side.looks = last or low, last is None, side.looks + 1
        newest: UUID | None = first
        return newest


def _statement(legs: Sequence[Leg], scanned: int, wanted: int) -> LiteralString:
    """scanned: how many rows a range that stands alone may see; many of one kind share as many."""
    tested = sum(leg.count for leg in legs if leg.test)
    each = max(min(LEG_ROWS_MIN, scanned), scanned // tested) if tested else scanned
    return put_words(_queries.looks, looks=" UNION ALL ".join(_looks(legs, each, scanned, wanted)), rows=str(wanted))


def _looks(legs: Sequence[Leg], scanned: int, alone: int, wanted: int) -> Iterator[LiteralString]:
    for leg in legs:
        if not leg.count:
            continue
        range_ = _queries.activities if not leg.stream else _queries.stream_activities if leg.test else _queries.stream
        look = put_words(_queries.look, range=range_)
        yield put_words(
            put_words(_queries.look_at_each, each=leg.each, look=look),
            of=leg.of,
            test=" AND ".join(f"({one})" for one in leg.test) or "true",
            rows=str(wanted),
            # Of rows that need no test, a range that has as many as are wanted is all of the answer.
            scanned=str((scanned if leg.count > 1 else alone) if leg.test else wanted),
        )
