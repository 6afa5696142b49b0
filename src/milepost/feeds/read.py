"""Read a page of activities, newest first.

    found = await read_page(conn, tenant_id, Filter(group="team-3"), model, presenter, limit=50, reader=reader)
    found = await read_page(conn, tenant_id, Filter(group="team-3"), …, before=found.next)

A page states the ids it lies between, so that partitions outside are not touched, and goes on from the last id it
showed: what is written in between neither repeats nor skips an item. It costs the same at any depth. Where rows
are tested one by one, some thousand are looked at at most: a page may then hold fewer items than asked for, even
none, and still have a next one.

What was archived comes after what is in PostgreSQL, and between it where late data came: both are merged by id, page by page.

conn: in a transaction of its own that is one snapshot: a page asks two or three times, and sets how that is planned.
Raises `InvalidInput` for a data field that the model does not declare as a filter, `BeingFilled` for one that is
being filled from history. An actor or group that is not known has no activities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any
from uuid import UUID

from milepost.access.viewer import EVERYTHING, Reader
from milepost.activity import LARGEST_ID, SMALLEST_ID, id_from
from milepost.feeds.across import Across
from milepost.feeds.listed import Stream, listed
from milepost.model import Model
from milepost.postgres import Connection, load_queries
from milepost.rollups.read import put_words
from milepost.storage.activities import Presenter
from milepost.storage.by_index import plan_by_index
from milepost.storage.filters import Filter

__all__ = ["Page", "bounds", "page_of", "read_page", "shown"]

_queries = load_queries(__package__, "feeds.sql")


@dataclass(frozen=True, kw_only=True)
class Page:
    """items: activities as the API shows them. next: the id before which the next page begins; None: this is the last."""

    items: list[dict[str, Any]]
    next: UUID | None


async def read_page(
    conn: Connection,
    tenant_id: int,
    filter: Filter,
    model: Model,
    presenter: Presenter,
    *,
    limit: int,
    before: UUID | None = None,
    reader: Reader = EVERYTHING,
) -> Page:
    """A page of the list that the filter asks for, as the reader sees it."""
    await plan_by_index(conn, sorts=False)
    stream = await listed(conn, tenant_id, filter, model, reader)
    if stream is None:
        return Page(items=[], next=None)
    low, high = bounds(filter.since, filter.until, before)
    return await page_of(conn, tenant_id, stream, presenter, low=low, high=high, limit=limit)


async def page_of(
    conn: Connection, tenant_id: int, stream: Stream, presenter: Presenter, *, low: UUID, high: UUID, limit: int
) -> Page:
    """A page of a stream. One id more than `limit` is read: it tells whether there is a next page."""
    across = Across(stream, tenant_id, presenter.cold)
    ids, following = (await across.newest(conn, low, high, limit + 1)).page(limit)
    return Page(items=await shown(conn, tenant_id, ids, presenter, cold=across.rows), next=following)


def bounds(since: datetime | None, until: datetime | None, before: UUID | None) -> tuple[UUID, UUID]:
    """The smallest id of a page, and the one that all of it is smaller than."""
    low = SMALLEST_ID if since is None else id_from(since)
    return low, min(LARGEST_ID if until is None else id_from(until), before or LARGEST_ID)


async def shown(
    conn: Connection, tenant_id: int, ids: Sequence[UUID], presenter: Presenter, *, cold: Mapping[UUID, bytes] | None = None
) -> list[dict[str, Any]]:
    """Activities by their ids, which are newest first, as the API shows them. cold: the rows of those that are."""
    if not ids:
        return []
    query = put_words(_queries.shown, columns=presenter.columns)
    parameters = {"tenant_id": tenant_id, "ids": list(ids), "first": ids[-1], "last": ids[0]}
    rows = await (await conn.execute(query, parameters)).fetchall()
    if cold and presenter.cold is not None:
        rows += await presenter.cold.shown(conn, tenant_id, [cold[id] for id in ids if id in cold], presenter.columns)
    return [presenter.present(row) for row in sorted(rows, key=itemgetter(0), reverse=True)]
