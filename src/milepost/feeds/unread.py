"""Unread counts: what came to a feed since its reader marked it as read, late data included.

    place = await place_now(conn, tenant_id)                        # in the snapshot of the page that the reader was shown
    await mark_read(conn, tenant_id, viewer_id, HOME, place)        # later: up to there it has been read
    found = await count_unread(conn, tenant_id, viewer_id, HOME, stream)

Ids are not load order: an activity of last week may come today, and is unread today. So a marker is a place in the tenant's
journal, which is load order, together with the largest id that there was then. Whatever has a larger id came later: that is counted in the
feed itself. Whatever has a smaller one and came later, or was corrected, is named by a load after the marker: of those loads
that touch such ids (`activity_journal`'s first id is its smallest), the ids are looked at. What is archived counts like the rest.

What is promised: `unread` is the number of the feed's activities, as its reader may see them now, that were loaded or changed after the
marker; with `exact` False it is at least that many. It is not exact beyond `UNREAD_MAX`; where more than `LATE_MAX` late
ids (`COLD_LATE_MAX` that are not in PostgreSQL), or `LOADS_MAX` loads with some lie behind the marker; where a page of the archive ends before
all of it was looked at; and where the journal has forgotten the marker's place.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, Protocol
from uuid import UUID

from milepost.activity import LARGEST_ID, SMALLEST_ID
from milepost.feeds.across import Across
from milepost.feeds.listed import Stream
from milepost.postgres import Connection, load_queries
from milepost.rollups.read import put_words
from milepost.storage.by_index import plan_by_index
from milepost.storage.cold import Cold

__all__ = ["HOME", "UNREAD_MAX", "Countable", "Place", "Unread", "count_unread", "mark_read", "place_now"]

_queries = load_queries(__package__, "unread.sql")

HOME = 0  # in the place of a group's number
UNREAD_MAX = 1_000
LATE_MAX = 20_000  # ids, about 20 ms
COLD_LATE_MAX = 1_000
LOADS_MAX = 200


class Countable(Stream, Protocol):
    """A stream that can also tell of activities whether they are in it: conditions on `s`, and what they ask for."""

    @property
    def matches(self) -> tuple[LiteralString, ...]: ...

    @property
    def parameters(self) -> dict[str, Any]: ...


@dataclass(frozen=True, kw_only=True)
class Place:
    """How far a tenant was loaded: the journal's position, and the largest id."""

    position: int
    newest: UUID

    def to_bytes(self) -> bytes:
        return self.position.to_bytes(8, "big") + self.newest.bytes

    @classmethod
    def from_bytes(cls, raw: bytes) -> Place:
        return cls(position=int.from_bytes(raw[:8], "big"), newest=UUID(bytes=raw[8:]))


@dataclass(frozen=True, kw_only=True)
class Unread:
    """since: when the marker was set; None: never, so all is unread. exact: else there are at least as many."""

    unread: int
    exact: bool
    since: datetime | None


async def place_now(conn: Connection, tenant_id: int) -> Place:
    """As this snapshot has it: a tenant's loads commit in the order of their positions."""
    row = await (await conn.execute(_queries.place, {"tenant_id": tenant_id})).fetchone()
    position, newest = row or (None, None)
    return Place(position=position or 0, newest=newest or SMALLEST_ID)


async def mark_read(conn: Connection, tenant_id: int, viewer_id: int, group_id: int, place: Place) -> None:
    """A marker only goes on: one that was set further stays."""
    given = {"tenant_id": tenant_id, "actor_id": viewer_id, "group_id": group_id}
    await conn.execute(_queries.mark, given | {"position": place.position, "newest": place.newest})


async def count_unread(
    conn: Connection, tenant_id: int, viewer_id: int, group_id: int, stream: Countable, cold: Cold | None
) -> Unread:
    """cold: as of `Across`."""
    given: dict[str, Any] = {"tenant_id": tenant_id, "actor_id": viewer_id, "group_id": group_id}
    marker = await (await conn.execute(_queries.marker, given)).fetchone()
    position, newest, since, kept = marker or (0, SMALLEST_ID, None, True)
    await plan_by_index(conn, sorts=False)
    above = UUID(int=newest.int + 1) if newest.int else SMALLEST_ID
    found = await Across(stream, tenant_id, cold).newest(conn, above, LARGEST_ID, UNREAD_MAX + 1)
    unread, exact = len(found.ids), found.end is None and kept
    if since is not None and unread <= UNREAD_MAX:
        late, all_looked_at = await _late(conn, stream, given | {"position": position, "newest": newest}, cold)
        unread, exact = unread + late, exact and all_looked_at
    return Unread(unread=min(unread, UNREAD_MAX), exact=exact and unread <= UNREAD_MAX, since=since)


async def _late(conn: Connection, stream: Countable, given: dict[str, Any], cold: Cold | None) -> tuple[int, bool]:
    """How many with an id up to the marker's came after it, and whether all were looked at."""
    await plan_by_index(conn, sorts=True)
    rows = await (await conn.execute(_queries.late, given | {"loads": LOADS_MAX + 1, "most": LATE_MAX + 1})).fetchall()
    ids = [row[0] for row in rows[:LATE_MAX]]
    loads = rows[0][1] if rows else 0
    if not ids:
        return 0, True
    matches = " AND ".join(f"({one})" for one in stream.matches)
    parameters = {**stream.parameters, "ids": ids, "first": min(ids), "last": max(ids)}
    row = await (await conn.execute(put_words(_queries.late_in_feed, matches=matches), parameters)).fetchone()
    unread, all_looked_at = row[0] if row else 0, len(rows) <= LATE_MAX and loads <= LOADS_MAX
    if cold is None:
        return unread, all_looked_at
    asked = parameters | {"most": COLD_LATE_MAX + 1}
    away = [one for (one,) in await (await conn.execute(_queries.late_away, asked)).fetchall()]
    looked_at = away[:COLD_LATE_MAX]
    within = " AND ".join(("true", *stream.matches))
    found = await cold.of_ids(conn, given["tenant_id"], looked_at, matches=within, parameters=stream.parameters)
    # One that was moved is named by its old id, too.
    current = {one for one, _ in found.values()} & set(looked_at)
    return unread + len(current), all_looked_at and len(away) <= COLD_LATE_MAX
