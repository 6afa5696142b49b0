"""Looking for the same activities from several sides, so that what cannot be seen costs no more than what can.

What a viewer may see of a list can be found in the list, by testing each row for whether the viewer may see it, and in what
the viewer may see, by testing each row for whether it is of the list. The first is quick where the viewer sees much of the list, the
second where it sees little; which it is, only looking tells. So each side is looked at once, and then more of the one that got
furthest; what is known is known from that one. Each look is bounded: where no side finds a page in some thousand rows, the
page ends early, and says where the next one begins.

A side may have thousands of ranges (*legs*: the groups that the viewer may read, or what it follows). They are looked
at within a window of time, whose width the first side's look suggests: a range that has nothing there costs one look-up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString
from uuid import UUID

from milepost.feeds._found import NOTHING, Found
from milepost.postgres import Connection, load_queries
from milepost.rollups.read import put_words

__all__ = ["Leg", "Sides"]

_queries = load_queries(__package__, "looks.sql")

LOOKS = (256, 2_048, 4_096)  # rows of a side: the first look, the second, every further one
LOOKS_MAX = 8  # of all sides together
LEG_ROWS_MIN = 64
LEGS_UNWINDOWED_MAX = 32
WIDER = 16  # times, after a window in which too little was found
BLIND = 256  # times the span of the first side's look, where that found nothing


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
    wide_ms: int = 0  # of the last window
    newest_ms: int = 0  # where the first window ended

    def widen(self, low: UUID, list_: _Side, span_ms: int, wanted: int) -> UUID:
        """Where the next window begins. list_: what a look at the list, span_ms long, has found."""
        if self.wide_ms:
            from_ms = self.at.int >> 80
            wider = self.wide_ms * WIDER
            if self.ids:  # as much again as it took for what was found, and half as much for luck
                wider = min(wider, (self.newest_ms - from_ms) * 3 * max(1, wanted - len(self.ids)) // (2 * len(self.ids)))
            self.wide_ms = max(1, wider)
        else:
            from_ms = self.newest_ms = (list_.at.int >> 80) + span_ms  # where the newest row of the list is
            self.wide_ms = span_ms * BLIND if not list_.ids else 2 * span_ms * wanted // len(list_.ids)
        return max(low, UUID(int=max(0, from_ms - self.wide_ms) << 80))


@dataclass(frozen=True, kw_only=True)
class Sides:
    """sides: each finds all of what is wanted; the first one is the list itself. One without any range: there is nothing.

    parameters: of all conditions, `tenant_id` included.
    """

    sides: Sequence[Sequence[Leg]]
    parameters: Mapping[str, Any]

    async def newest(self, conn: Connection, low: UUID, high: UUID, wanted: int) -> Found:
        """The newest ids from low on, below high: `wanted` of them, all there are, or fewer with an end above low."""
        if low >= high or any(_ranges(legs) == 0 for legs in self.sides):
            return NOTHING
        states = [_Side(at=high) for _ in self.sides]
        span_ms = 0  # of what the first look at the list saw
        known = _known(states)
        for _ in range(LOOKS_MAX):
            one = self._next(states, wanted)
            legs, state = self.sides[one], states[one]
            window = low
            if one and _ranges(legs) > LEGS_UNWINDOWED_MAX:
                window = state.widen(low, states[0], span_ms, wanted)
            newest = await self._look(conn, legs, state, window, wanted)
            state.done = state.at <= low
            if one == 0 and state.looks == 1:
                span_ms = max(1, (min(high, newest or high).int >> 80) - (state.at.int >> 80))
            known = _known(states)
            if known.end is None or len(known.ids) >= wanted:
                break
        return known

    def _next(self, states: Sequence[_Side], wanted: int) -> int:
        """Which side is looked at now."""
        list_ = states[0]
        # A second, longer look at the list will do if the first one found as much of what is wanted.
        if list_.looks == 0 or (list_.looks == 1 and len(list_.ids) * LOOKS[1] >= wanted * LOOKS[0]):
            return 0
        untried = [one for one, state in enumerate(states) if state.looks == 0]
        if untried:
            return min(untried, key=lambda one: _ranges(self.sides[one]))
        return min(range(len(states)), key=lambda one: states[one].at)

    async def _look(self, conn: Connection, legs: Sequence[Leg], side: _Side, low: UUID, wanted: int) -> UUID | None:
        """One look further down. → the newest row it saw."""
        scanned = LOOKS[min(side.looks, len(LOOKS) - 1)]
        parameters = {**self.parameters, "low": low, "high": side.at}
        statement = _statement(legs, scanned, wanted)
        row = await (await conn.execute(statement, parameters)).fetchone()
        assert row is not None
        ids, first, last = row
        side.ids.update(ids or ())
        side.at, side.looks = last or low, side.looks + 1
        newest: UUID | None = first
        return newest


def _known(states: Sequence[_Side]) -> Found:
    end = None if any(state.done for state in states) else min(state.at for state in states)
    return Found.of(set[UUID]().union(*(state.ids for state in states)), end)


def _ranges(legs: Sequence[Leg]) -> int:
    return sum(leg.count for leg in legs)


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
