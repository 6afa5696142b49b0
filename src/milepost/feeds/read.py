"""Read a page of activities, newest first.

    found = await read_page(conn, tenant_id, Filter(group="team-3"), view, limit=50)
    found = await read_page(conn, tenant_id, Filter(group="team-3"), view, limit=50, before=found.next)

A page states the ids it lies between, so that partitions outside are not touched, and goes on from the last id it
showed: what is written in between neither repeats nor skips an item. It costs the same at any depth. Where filters
are tested row by row, at most `SCANNED_MAX` rows are looked at: a page may then hold fewer items than asked for, even
none, and still have a next one.

conn: in a transaction of its own that is one snapshot: a page asks two or three times, and sets how that is planned.
Raises `InvalidInput` for a data field that the model does not declare as a filter, `BeingFilled` for one that is
being filled from history. An actor or group that is not known has no activities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, LiteralString
from uuid import UUID

from milepost.access.actors import actor_ids
from milepost.access.groups import group_ids
from milepost.activity import AUDIENCES, LARGEST_ID, SMALLEST_ID, id_from
from milepost.model import Model
from milepost.postgres import Connection, load_queries
from milepost.rollups.filling import require_filled
from milepost.rollups.read import put_words
from milepost.storage.activities import Presenter
from milepost.storage.by_index import plan_by_index
from milepost.storage.filters import Filter, Lookup, lookup

__all__ = ["EVERYTHING", "SCANNED_MAX", "Page", "read_page", "statements"]

_queries = load_queries(__package__, "feeds.sql")

EVERYTHING: tuple[int, ...] = tuple(range(len(AUDIENCES)))  # the audiences of a reader who may see all of a tenant
SCANNED_MAX = 4_000  # rows of each audience: up to 40 ms where none of them is in memory


@dataclass(frozen=True, kw_only=True)
class Page:
    """items: activities as the API shows them. next: the id before which the next page begins; None: this is the last."""

    items: list[dict[str, Any]]
    next: UUID | None


@dataclass(frozen=True, kw_only=True)
class Statements:
    """ids: of the page's activities, newest first within each range. boundary: None where nothing is tested."""

    ids: LiteralString
    boundary: LiteralString | None


async def read_page(
    conn: Connection,
    tenant_id: int,
    filter: Filter,
    model: Model,
    presenter: Presenter,
    *,
    limit: int,
    before: UUID | None = None,
    audiences: Sequence[int] = EVERYTHING,
) -> Page:
    """audiences: which of public (0), group (1) and private (2) activities the reader may see here."""
    await plan_by_index(conn, sorts=False)
    actor_id = group_id = None
    if filter.actor is not None:
        actor_id = (await actor_ids(conn, tenant_id, [filter.actor])).get(filter.actor)
    if filter.group is not None:
        group_id = (await group_ids(conn, tenant_id, [filter.group])).get(filter.group)
    found = lookup(filter, model, actor_id=actor_id, group_id=group_id)
    if filter.data:
        await require_filled(conn, tenant_id, *(f"column d_{name}" for name in filter.data))
    if (filter.actor and actor_id is None) or (filter.group and group_id is None):
        return Page(items=[], next=None)
    low = _id_at(filter.since, SMALLEST_ID)
    high = min(_id_at(filter.until, LARGEST_ID), before or LARGEST_ID)
    parameters = {**found.parameters, "tenant_id": tenant_id, "low": low, "high": high, "audiences": list(audiences)}
    texts = statements(found, limit=limit, every=len(audiences) == len(EVERYTHING))
    rows = await (await conn.execute(texts.ids, parameters)).fetchall()
    ids = sorted((row[0] for row in rows), reverse=True)[: limit + 1]
    end = None
    if texts.boundary is not None:
        if len(ids) > limit:
            parameters["low"] = ids[limit]
        rows = await (await conn.execute(texts.boundary, parameters)).fetchall()
        end = max((row[0] for row in rows), default=None)
    shown, following = _cut(ids, end, limit)
    return Page(items=await _shown(conn, tenant_id, shown, presenter), next=following)


def _cut(ids: list[UUID], end: UUID | None, limit: int) -> tuple[list[UUID], UUID | None]:
    """What the page shows, and where the next one begins. end: below this id not everything has been looked at."""
    whole = ids if end is None else [one for one in ids if one >= end]
    shown = whole[:limit]
    return shown, shown[-1] if len(whole) > limit else end


async def _shown(conn: Connection, tenant_id: int, ids: list[UUID], presenter: Presenter) -> list[dict[str, Any]]:
    if not ids:
        return []
    await plan_by_index(conn, sorts=True)  # the names of an activity's other groups are sorted
    query = put_words(_queries.shown, columns=presenter.columns)
    parameters = {"tenant_id": tenant_id, "ids": ids, "first": ids[-1], "last": ids[0]}
    rows = await (await conn.execute(query, parameters)).fetchall()
    return [presenter.present(row) for row in sorted(rows, key=itemgetter(0), reverse=True)]


def _id_at(moment: datetime | None, otherwise: UUID) -> UUID:
    return otherwise if moment is None else id_from(moment)


def statements(found: Lookup, *, limit: int, every: bool) -> Statements:
    """The SQL of one kind of page. One id more than `limit` is read: it tells whether there is a next page."""
    rest = found.rest
    if found.kind == "id" and not every:
        rest = (*rest, "s.audience = ANY (%(audiences)s::smallint[])")
    tested = bool(rest)
    match found.kind:
        case "id":
            ids = _queries.in_order_tested if tested else _queries.in_order
            boundary = _queries.boundary_in_order
        case "audience":
            each = _queries.activities_tested if tested else _queries.activities
            ids = put_words(_queries.by_audience, each=each)
            boundary = put_words(_queries.by_audience, each=_queries.boundary_of_activities)
        case "group":
            own = _queries.activities_tested if tested else _queries.activities
            others = _queries.stream_tested if tested else _queries.stream
            ids = put_words(_queries.by_audience, each=f"({own}) UNION ALL ({others})")
            both = f"({_queries.boundary_of_activities}) UNION ALL ({_queries.boundary_of_stream})"
            boundary = put_words(_queries.by_audience, each=both)
    words = {
        "lead": found.lead,
        "rest": " AND ".join(rest),
        "rows": str(limit + 1),
        "scanned": str(SCANNED_MAX),
        "before_last": str(SCANNED_MAX - 1),
    }
    return Statements(ids=put_words(ids, **words), boundary=put_words(boundary, **words) if tested else None)
