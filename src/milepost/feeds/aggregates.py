"""Aggregates of a feed: "Ana and 12 others ran today", by verb, by group or object, and by local day.

    found = await read_aggregates(conn, tenant_id, stream, presenter, by="group", zone=zone, low=low, high=high, limit=20)

They come in the order of their newest activities. A page is made of whole days: it goes on before the newest activity of the last
aggregate shown, on the same day. So while others write, an aggregate that did not change is neither repeated nor left out; one that
grew moves up. Each call looks at a bounded number of activities: of a day that has more in this feed, an aggregate counts the
newest `DAY_ROWS_MAX`, and says with `exact = False` that there are more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from operator import itemgetter
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from milepost.access.actors import actor_names
from milepost.access.groups import group_names
from milepost.activity import LARGEST_ID, SMALLEST_ID, id_from, occurred_at_of
from milepost.feeds.across import Across
from milepost.feeds.listed import Stream
from milepost.postgres import Connection, JsonText, load_queries
from milepost.rollups.read import put_words
from milepost.storage.activities import Presenter, rfc3339, scaled
from milepost.storage.by_index import plan_by_index

__all__ = ["Aggregates", "By", "read_aggregates"]

_queries = load_queries(__package__, "aggregates.sql")

By = Literal["group", "object"]

ROWS = 1_000  # activities, of several days at once
DAY_ROWS_MAX = 5_000
SAMPLE = 3  # actors that are named
STRETCHES_MAX = 5  # looked at for one page
LOWER_HALF = (1 << 64) - 1  # of an id, which no activity's has empty

# What is aggregated, as an expression each: a group's number, an object's kind and id.
GROUP_KEY = ("s.group_id", "NULL::text", "NULL::text")
OWN_GROUP_KEY = ("%(group_id)s::bigint", "NULL::text", "NULL::text")
OBJECT_KEY = ("NULL::bigint", "s.object_kind", "s.object_id")


@dataclass(frozen=True, kw_only=True)
class Aggregates:
    """items: as the API shows them. next: the id before which the next page begins; None: this is the last."""

    items: list[dict[str, Any]]
    next: UUID | None


@dataclass(frozen=True, kw_only=True)
class _Stretch:
    """Activities of whole days. exact: all of them. next: the id that all before these days are smaller than; None: there are none."""

    ids: tuple[UUID, ...]
    exact: bool
    next: UUID | None


async def read_aggregates(
    conn: Connection,
    tenant_id: int,
    stream: Stream,
    presenter: Presenter,
    *,
    by: By,
    group_id: int | None = None,
    zone: ZoneInfo,
    low: UUID,
    high: UUID,
    limit: int,
    before: UUID | None = None,
) -> Aggregates:
    """group_id: of the group whose feed it is. low, high: the bounds of the feed. before: where the page before ended."""
    keys = OBJECT_KEY if by == "object" else GROUP_KEY if group_id is None else OWN_GROUP_KEY
    items: list[tuple[UUID, dict[str, Any]]] = []
    top = high if before is None else min(high, before if _is_bound(before) else _day(before, zone)[1])
    across = Across(stream, tenant_id, presenter.cold)
    for _ in range(STRETCHES_MAX):
        await plan_by_index(conn, sorts=False)
        stretch = await _stretch(conn, across, zone, low, top)
        found = await _aggregated(conn, tenant_id, stretch, presenter, keys, zone, group_id, across.rows)
        items += [one for one in found if before is None or one[0] < before]
        if len(items) > limit or stretch.next is None:
            break
        top = stretch.next
    last = items[limit - 1][0] if len(items) > limit else stretch.next
    return Aggregates(items=[one for _, one in items[:limit]], next=last)


async def _stretch(conn: Connection, stream: Across, zone: ZoneInfo, low: UUID, top: UUID) -> _Stretch:
    found = await stream.newest(conn, low, top, ROWS)
    if found.end is None and len(found.ids) < ROWS:
        return _Stretch(ids=found.ids, exact=True, next=None)
    if not found.ids:
        return _Stretch(ids=(), exact=True, next=None if found.end is None else min(_bound_above(found.end), top))
    edge = found.ids[-1] if found.end is None else found.end  # above it all are known
    first, following = _day(edge, zone)
    whole = tuple(one for one in found.ids if one >= following)
    if whole:
        return _Stretch(ids=whole, exact=True, next=following)
    floor, ids, exact = max(low, first), list(found.ids), False
    for _ in range(STRETCHES_MAX):
        wanted = DAY_ROWS_MAX - len(ids)
        more = await stream.newest(conn, floor, edge, wanted)
        ids += more.ids[:wanted]
        exact = more.end is None and len(more.ids) < wanted
        if exact or len(ids) >= DAY_ROWS_MAX or (more.end is None and not more.ids):
            break
        edge = more.ids[-1] if more.end is None else more.end
    return _Stretch(ids=tuple(ids), exact=exact, next=floor if floor > low else None)


async def _aggregated(
    conn: Connection,
    tenant_id: int,
    stretch: _Stretch,
    presenter: Presenter,
    keys: tuple[str, ...],
    zone: ZoneInfo,
    group_id: int | None,
    cold: Mapping[UUID, bytes],
) -> list[tuple[UUID, dict[str, Any]]]:
    """(newest activity, the aggregate), newest first."""
    if not stretch.ids:
        return []
    await plan_by_index(conn, sorts=True)
    sums = "".join(f", sum(s.m_{name})" for name, _ in presenter.measures)
    rows_of_archive = [cold[one] for one in stretch.ids if one in cold]
    activities = _queries.hot + (f"\nUNION ALL\n{_queries.cold}" if rows_of_archive else "")
    query = put_words(_queries.aggregated, keys=", ".join(keys), sums=sums, activities=activities)
    parameters: dict[str, Any] = {
        "tenant_id": tenant_id,
        "group_id": group_id,
        "ids": list(stretch.ids),
        "days": [_date(one, zone).toordinal() for one in stretch.ids],
        "first": min(stretch.ids),
        "last": max(stretch.ids),
    }
    if rows_of_archive:
        parameters["cold_rows"] = JsonText(b"[" + b",".join(rows_of_archive) + b"]")
    rows = await (await conn.execute(query, parameters)).fetchall()
    named = [list(dict.fromkeys(row[9]))[:SAMPLE] for row in rows]
    actors = await actor_names(conn, tenant_id, {one for some in named for one in some})
    groups = await group_names(conn, tenant_id, {row[2] for row in rows if row[2] is not None})
    found = []
    for row, some in zip(rows, named, strict=True):
        day, verb, group, kind, one, count, distinct, newest, oldest, _, *totals = row
        item: dict[str, Any] = {"day": date.fromordinal(day).isoformat(), "verb": verb}
        if group is not None:
            item["group"] = groups[group]
        if one is not None:
            item["object"] = {"kind": kind, "id": one}
        item |= {"count": count, "actors": distinct, "sample": [actors[number] for number in some]}
        measures = {
            name: scaled(total, scale)
            for (name, scale), total in zip(presenter.measures, totals, strict=True)
            if total is not None
        }
        if measures:
            item["measures"] = measures
        item |= {
            "first_at": rfc3339(occurred_at_of(oldest)),
            "last_at": rfc3339(occurred_at_of(newest)),
            "exact": stretch.exact,
        }
        found.append((newest, item))
    return sorted(found, key=itemgetter(0), reverse=True)


def _is_bound(id: UUID) -> bool:
    """Whether it is no activity's: all that is of its day and above it has been shown."""
    return id.int & LOWER_HALF == 0


def _bound_above(id: UUID) -> UUID:
    return id if _is_bound(id) else UUID(int=(id.int | LOWER_HALF) + 1)


def _date(activity: UUID, zone: ZoneInfo) -> date:
    """The local day of an activity: that between whose two midnights it lies."""
    moment = occurred_at_of(activity)
    try:
        day = moment.astimezone(zone).date()
    except OverflowError:
        day = moment.date()
    if activity < _midnight(day, zone):
        return day - timedelta(days=1)
    return day if activity < _midnight(day + timedelta(days=1), zone) else day + timedelta(days=1)


def _day(activity: UUID, zone: ZoneInfo) -> tuple[UUID, UUID]:
    day = _date(activity, zone)
    return _midnight(day, zone), _midnight(day + timedelta(days=1), zone)


def _midnight(day: date, zone: ZoneInfo) -> UUID:
    try:
        return id_from(datetime.combine(day, time.min, zone).astimezone(UTC))
    except (OverflowError, ValueError):  # before year 1 or after 9999, somewhere
        return SMALLEST_ID if day.year <= 1 else LARGEST_ID
