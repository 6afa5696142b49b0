"""A filtered list or the feed of a group, actor or object, as one reader sees it: which activities it is of.

A key's own read sees all: an index range for each audience, merged. A viewer sees the public ones, those of groups that it may
read and its own private ones. Of a group's feed that is a range for each audience again, with or without the group's. In any
other list, the group audience belongs to many groups, some of which the viewer may read: these are looked for from both sides
(`_sides`). What is addressed to several groups is in the feed of each, for those who may read that one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, LiteralString, Protocol
from uuid import UUID

from milepost.access.actors import actor_ids
from milepost.access.groups import group_ids
from milepost.access.viewer import Reader, readable
from milepost.activity import AUDIENCES
from milepost.feeds._found import Found
from milepost.feeds._sides import Leg, Sides
from milepost.model import Model
from milepost.postgres import Connection, load_queries
from milepost.rollups.filling import require_filled
from milepost.rollups.read import put_words
from milepost.storage.cold import Wanted, all_of
from milepost.storage.filters import ADDRESSED, Filter, Lookup, lookup

__all__ = [
    "EVERY_AUDIENCE",
    "SCANNED_MAX",
    "Listed",
    "Sight",
    "Stream",
    "listed",
    "own",
    "sight_of",
    "sight_of_cold",
    "statements",
]

_queries = load_queries(__package__, "feeds.sql")
_looks = load_queries(__package__, "looks.sql")

PUBLIC, GROUP, PRIVATE = range(len(AUDIENCES))
EVERY_AUDIENCE: tuple[int, ...] = (PUBLIC, GROUP, PRIVATE)
SCANNED_MAX = 4_000  # rows of each audience: up to 40 ms where none of them is in memory
SEEN_GROUPS_MAX = 2_000  # a viewer who may read more sees so much that the list itself is the quicker side

# `ADDRESSED` of cold rows, in two: the bounds of `group_id` leave little to read for the first, and only rows of several groups have the other.
ADDRESSED_COLD = (
    "c.group_id = $group_id",
    "list_contains(c.more_groups, $group_id) AND c.group_id IS DISTINCT FROM $group_id",
)

AUDIENCES_EACH: LiteralString = "unnest(%(audiences)s::smallint[]) f (audience)"
GROUPS_SEEN: LiteralString = "unnest(%(groups_seen)s::bigint[]) f (group_id)"


class Stream(Wanted, Protocol):
    """Activities in the order of their ids, as one reader sees them."""

    async def newest(self, conn: Connection, low: UUID, high: UUID, wanted: int) -> Found:
        """The newest ids from low on, below high: `wanted` of them, all there are, or fewer with an end."""
        ...


@dataclass(frozen=True, kw_only=True)
class Statements:
    """ids: of the page's activities, newest first within each range. boundary: None where nothing is tested."""

    ids: LiteralString
    boundary: LiteralString | None


@dataclass(frozen=True, kw_only=True)
class Listed:
    """group_id: of the group whose feed it is. actor_id: whose. group_seen: whether the reader may read that group."""

    tenant_id: int
    lookup: Lookup
    reader: Reader
    actor_id: int | None = None
    group_id: int | None = None
    group_seen: bool = True

    async def newest(self, conn: Connection, low: UUID, high: UUID, wanted: int) -> Found:
        if self.reader.sees_all:
            return await self._ranges(conn, EVERY_AUDIENCE, low, high, wanted)
        match self.lookup.kind:
            case "group":
                audiences = (PUBLIC, GROUP) if self.group_seen else (PUBLIC,)
                rest: Sequence[int] = (PRIVATE,)
            case "audience":
                audiences = (PUBLIC,)
                others = self.actor_id is not None and self.actor_id != self.reader.actor_id
                rest = (GROUP,) if others else (GROUP, PRIVATE)
            case "id":
                return await (await self._sides(conn, ())).newest(conn, low, high, wanted)
        known = await self._ranges(conn, audiences, low, high, wanted)
        # What lies below the page that is found already is not looked for.
        floor = max(known.ids[wanted - 1] if len(known.ids) >= wanted else low, known.end or low)
        return known | await (await self._sides(conn, rest)).newest(conn, floor, high, wanted)

    @property
    def matches(self) -> tuple[LiteralString, ...]:
        """Conditions on activities as `s`: that they are in this list, and may be seen."""
        hidden: tuple[LiteralString, ...] = () if self.group_seen else ("s.audience <> 1",)
        return (*self.lookup.rest, _in_list(self.lookup), *hidden, self.reader.visible)

    @property
    def parameters(self) -> dict[str, Any]:
        """Of `matches`."""
        return {**self.lookup.parameters, "tenant_id": self.tenant_id, **self.reader.parameters}

    @property
    def stored(self) -> tuple[str, ...]:
        """What cold rows must meet at least: of a group those of the group itself, and those that are addressed to it as well."""
        tests = [on_cold_rows(test) for test in self.lookup.tests if test != ADDRESSED] + [*sight_of_cold(self.reader)]
        if self.group_id is None:
            return (all_of(tests),) if tests else ()
        return tuple(all_of([side, *tests]) for side in ADDRESSED_COLD)

    # ── ranges of which every row may be seen ──

    async def _ranges(self, conn: Connection, audiences: Sequence[int], low: UUID, high: UUID, wanted: int) -> Found:
        texts = statements(self.lookup, wanted)
        parameters = {**self.parameters, "low": low, "high": high, "audiences": list(audiences)}
        rows = await (await conn.execute(texts.ids, parameters)).fetchall()
        ids = sorted((row[0] for row in rows), reverse=True)[:wanted]
        if texts.boundary is None:
            return Found(ids=tuple(ids), end=None)
        if len(ids) == wanted:
            parameters["low"] = ids[-1]
        rows = await (await conn.execute(texts.boundary, parameters)).fetchall()
        return Found.of(ids, max((row[0] for row in rows), default=None))

    # ── what is sought among rows that may not be seen ──

    async def _sides(self, conn: Connection, audiences: Sequence[int]) -> Sides:
        found = self.lookup
        parameters = {**self.parameters, "audiences": list(audiences)}
        wanted = found.rest if found.lead == "true" else (*found.rest, _in_list(found))
        if found.kind == "group":
            test = (*found.rest, "s.actor_id = %(viewer_id)s")
            of: LiteralString = "s.group_id = %(group_id)s AND s.audience = f.audience"
            listed = [Leg(each=AUDIENCES_EACH, of=of, test=test, stream=one) for one in (False, True)]
            return Sides(sides=(listed, own(wanted)), parameters=parameters)
        sight = await sight_of(conn, self.tenant_id, self.reader)
        test = (*found.rest, sight.test)
        others = [*own(wanted)] if PRIVATE in audiences or found.kind == "id" else []
        if found.kind == "id":
            others.append(Leg(of="s.audience = 0", test=wanted))
            listed = [Leg(of=found.lead, test=test)]
        else:
            of = f"{found.lead} AND s.audience = f.audience"
            listed = [Leg(each=AUDIENCES_EACH, count=len(audiences), of=of, test=test)]
        if sight.groups is None:
            return Sides(sides=(listed,), parameters=parameters)
        sides = (listed, [*others, *sight.legs(wanted)])
        return Sides(sides=sides, parameters={**parameters, **sight.parameters})


async def listed(conn: Connection, tenant_id: int, filter: Filter, model: Model, reader: Reader) -> Listed | None:
    """None: the filter names an actor or group that is not known. Raises `InvalidInput`, `BeingFilled`."""
    actor_id = group_id = None
    if filter.actor is not None:
        actor_id = (await actor_ids(conn, tenant_id, [filter.actor])).get(filter.actor)
    if filter.group is not None:
        group_id = (await group_ids(conn, tenant_id, [filter.group])).get(filter.group)
    found = lookup(filter, model, actor_id=actor_id, group_id=group_id)
    if filter.data:
        await require_filled(conn, tenant_id, *(f"column d_{name}" for name in filter.data))
    if (filter.actor and actor_id is None) or (filter.group and group_id is None):
        return None
    seen = group_id is None or bool(await readable(conn, tenant_id, reader, [group_id]))
    if not seen and found.kind != "group":
        found = replace(found, rest=(*found.rest, "s.audience <> 1"))
    return Listed(tenant_id=tenant_id, lookup=found, reader=reader, actor_id=actor_id, group_id=group_id, group_seen=seen)


@dataclass(frozen=True, kw_only=True)
class Sight:
    """groups: that a viewer may read; None: they are too many to look at each. test: whether it may see an activity `s`."""

    groups: tuple[int, ...] | None
    test: LiteralString

    @property
    def parameters(self) -> dict[str, Any]:
        return {} if self.groups is None else {"groups_seen": list(self.groups)}

    def legs(self, test: tuple[LiteralString, ...]) -> list[Leg]:
        """What is of the group audience in them."""
        of: LiteralString = "s.group_id = f.group_id AND s.audience = 1"
        count = len(self.groups or ())
        return [Leg(each=GROUPS_SEEN, count=count, of=of, test=test, stream=stream) for stream in (False, True)]


async def sight_of(conn: Connection, tenant_id: int, reader: Reader) -> Sight:
    """What a viewer may see."""
    if not reader.roots:
        return Sight(groups=(), test=_looks.is_seen)
    given = {"tenant_id": tenant_id, **reader.parameters, "most": SEEN_GROUPS_MAX}
    row = await (await conn.execute(_looks.seen_groups, given)).fetchone()
    if row is None or row[0] is None:
        return Sight(groups=None, test=reader.visible)
    return Sight(groups=tuple(sorted(set(row[0]))), test=_looks.is_seen)


def sight_of_cold(reader: Reader) -> tuple[str, ...]:
    """What a cold row must meet at least, so that the reader may see it."""
    return () if reader.sees_all else ("c.audience < 2 OR c.actor_id = $viewer_id",)


def on_cold_rows(test: str) -> str:
    """A condition on the stored columns of activities `s` as one on cold rows `c`."""
    return re.sub(r"%\((\w+)\)s", r"$\1", re.sub(r"\bs\.", "c.", test))


def own(test: tuple[LiteralString, ...]) -> list[Leg]:
    """What a viewer alone sees of what it did: private activities, and those of the group audience that name no group."""
    mine: LiteralString = "s.actor_id = %(viewer_id)s"
    return [
        Leg(of=f"{mine} AND s.audience = 2", test=test),
        Leg(of=f"{mine} AND s.audience = 1", test=("s.group_id IS NULL", *test)),
    ]


def _in_list(found: Lookup) -> LiteralString:
    if found.kind == "group":
        return ADDRESSED
    return found.lead


def statements(found: Lookup, wanted: int) -> Statements:
    """The SQL of a range for each audience."""
    tested = bool(found.rest)
    match found.kind:
        case "id":
            ids = _queries.in_order_tested if tested else _queries.in_order
            boundary = _queries.boundary_in_order
        case "audience":
            each = _queries.activities_tested if tested else _queries.activities
            ids = put_words(_queries.by_audience, each=each)
            boundary = put_words(_queries.by_audience, each=_queries.boundary_of_activities)
        case "group":
            own_rows = _queries.activities_tested if tested else _queries.activities
            others = _queries.stream_tested if tested else _queries.stream
            ids = put_words(_queries.by_audience, each=f"({own_rows}) UNION ALL ({others})")
            both = f"({_queries.boundary_of_activities}) UNION ALL ({_queries.boundary_of_stream})"
            boundary = put_words(_queries.by_audience, each=both)
    words = {
        "lead": found.lead,
        "rest": " AND ".join(found.rest),
        "rows": str(wanted),
        "scanned": str(SCANNED_MAX),
        "before_last": str(SCANNED_MAX - 1),
    }
    return Statements(ids=put_words(ids, **words), boundary=put_words(boundary, **words) if tested else None)
