"""Read a page of search results.

    asked = Search(q="river loop", filter=Filter(verb="run"))
    found = await search_page(conn, tenant_id, asked, model, compiled, presenter, reader, limit=50)
    found = await search_page(…, after=found.next)

Newest first, a page goes on below the last id that the one before looked at, so writes in between neither repeat nor skip an item. By
relevance, and for facets, a bounded set is looked at: the `SET_MAX` newest matches. Which those are is fixed by the first page, and
its `ranked` or `counted` says how many there are and since when.

conn: in a transaction of its own that is one snapshot, as the service. Raises `InvalidInput`, and `BeingFilled` where nothing is indexed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from milepost.access.actors import actor_ids
from milepost.access.groups import group_ids
from milepost.access.viewer import EVERYTHING, Reader
from milepost.activity import LARGEST_ID, SMALLEST_ID, id_from, occurred_at_of
from milepost.errors import FieldError, InvalidInput
from milepost.postgres import Connection
from milepost.rollups.filling import require_filled
from milepost.schema.compile import CompiledModel, CompiledSearch
from milepost.search.find import Found, find
from milepost.search.progress import progress
from milepost.search.query import Query, read_query
from milepost.search.shown import facets, highlights, ranks
from milepost.storage.activities import Presenter, by_ids, rfc3339
from milepost.storage.by_index import plan_by_index
from milepost.storage.cold import Cold
from milepost.storage.filters import Filter, Lookup, lookup

__all__ = ["SET_MAX", "Search", "SearchPage", "search_page"]

SET_MAX = 1_000
RANKED = struct.Struct(">16s16sd16s")  # the set's newest and oldest id, then the rank and id of the last item shown


@dataclass(frozen=True, kw_only=True)
class Search:
    """facets: some of `shown.FACETS`. highlight: whether items say where the words were found."""

    q: str
    filter: Filter = field(default_factory=Filter)
    order: Literal["newest", "relevance"] = "newest"
    facets: tuple[str, ...] = ()
    highlight: bool = False


@dataclass(frozen=True, kw_only=True)
class SearchPage:
    """items: activities as the API shows them. next: where the next page begins; None: this is the last. more: what else is said."""

    items: list[dict[str, Any]]
    next: bytes | None
    more: dict[str, Any]


async def search_page(
    conn: Connection,
    tenant_id: int,
    asked: Search,
    compiled: CompiledModel,
    presenter: Presenter,
    reader: Reader = EVERYTHING,
    *,
    limit: int,
    after: bytes | None = None,
) -> SearchPage:
    if compiled.search is None:
        raise InvalidInput(errors=(FieldError("/q", "the model declares nothing to search: no field with `search`"),))
    await plan_by_index(conn, sorts=True)
    reading = await _Reading.of(conn, tenant_id, asked, compiled, compiled.search, reader, presenter.cold)
    return await reading.page(presenter, limit, after)


@dataclass(frozen=True, kw_only=True)
class _Reading:
    conn: Connection
    tenant_id: int
    asked: Search
    search: CompiledSearch
    reader: Reader
    query: Query
    filter: Lookup | None  # None: nothing can be so
    low: UUID
    high: UUID
    covered_from: UUID
    cold: Cold | None

    @classmethod
    async def of(
        cls,
        conn: Connection,
        tenant_id: int,
        asked: Search,
        compiled: CompiledModel,
        search: CompiledSearch,
        reader: Reader,
        cold: Cold | None,
    ) -> _Reading:
        query = await read_query(conn, asked.q, search.configurations)
        filter = asked.filter
        actor_id = group_id = None
        if filter.actor is not None:
            actor_id = (await actor_ids(conn, tenant_id, [filter.actor])).get(filter.actor)
        if filter.group is not None:
            group_id = (await group_ids(conn, tenant_id, [filter.group])).get(filter.group)
        found: Lookup | None = lookup(filter, compiled.model, actor_id=actor_id, group_id=group_id)
        if filter.data:
            await require_filled(conn, tenant_id, *(f"column d_{name}" for name in filter.data))
        if (filter.actor is not None and actor_id is None) or (filter.group is not None and group_id is None):
            found = None
        reached = await progress(conn, tenant_id, search)
        return cls(
            conn=conn,
            tenant_id=tenant_id,
            asked=asked,
            search=search,
            reader=reader,
            query=query,
            filter=found,
            low=max(SMALLEST_ID if filter.since is None else id_from(filter.since), reached.covered_from),
            high=LARGEST_ID if filter.until is None else id_from(filter.until),
            covered_from=reached.covered_from,
            cold=cold,
        )

    async def page(self, presenter: Presenter, limit: int, after: bytes | None) -> SearchPage:
        more: dict[str, Any] = {}
        if self.covered_from != SMALLEST_ID:
            more["covered_from"] = None if self.covered_from == LARGEST_ID else rfc3339(occurred_at_of(self.covered_from))
        if self.asked.facets:
            counted = await self.find(self.low, self.high, SET_MAX)
            more["facets"] = await facets(
                self.conn, self.tenant_id, counted.ids, self.asked.facets, list(counted.cold.values())
            )
            more["counted"] = _extent(counted)
        if self.asked.order == "newest":
            ids, following = await self.newest(limit, after)
        else:
            ids, following = await self.by_relevance(limit, after, more)
        return SearchPage(items=await self.shown(ids, presenter), next=following, more=more)

    async def newest(self, limit: int, after: bytes | None) -> tuple[list[UUID], bytes | None]:
        high = self.high if after is None else min(self.high, UUID(bytes=after))
        found = await self.find(self.low, high, limit + 1)
        if len(found.ids) > limit:
            return found.ids[:limit], found.ids[limit - 1].bytes
        return found.ids, None if found.end is None else found.end.bytes

    async def by_relevance(self, limit: int, after: bytes | None, more: dict[str, Any]) -> tuple[list[UUID], bytes | None]:
        if after is None:
            found = await self.find(self.low, self.high, SET_MAX)
        else:
            newest, oldest, last_rank, last_id = RANKED.unpack(after)
            # The set as it was, and what has come into its time since, which may stand on any page.
            above = UUID(int=min(UUID(bytes=newest).int + 1, LARGEST_ID.int))
            found = await self.find(max(self.low, UUID(bytes=oldest)), above, 2 * SET_MAX, whole=True)
        more["ranked"] = _extent(found)
        if not found.ids:
            return [], None
        by_id = await ranks(self.conn, self.tenant_id, found.ids, self.query)
        order = sorted(((by_id[id_], id_) for id_ in found.ids), reverse=True)
        if after is None:
            newest, oldest = found.ids[0].bytes, found.ids[-1].bytes
        else:
            order = [one for one in order if one < (last_rank, UUID(bytes=last_id))]
        shown = order[:limit]
        following = RANKED.pack(newest, oldest, shown[-1][0], shown[-1][1].bytes) if len(order) > limit else None
        return [id_ for _, id_ in shown], following

    async def find(self, low: UUID, high: UUID, limit: int, *, whole: bool = False) -> Found:
        if self.filter is None or low >= high:
            return Found(ids=[], end=None)
        return await find(
            self.conn, self.tenant_id, self.query, self.filter, self.reader,
            low=low, high=high, limit=limit, whole=whole, cold=self.cold,
        )  # fmt: skip

    async def shown(self, ids: list[UUID], presenter: Presenter) -> list[dict[str, Any]]:
        if not ids:
            return []
        found = await by_ids(self.conn, self.tenant_id, ids, presenter, reader=self.reader)
        items = [found[id_][1] for id_ in ids]
        if self.asked.highlight:
            cold: list[bytes] = []
            if self.cold is not None:
                rows = await self.cold.of_ids(self.conn, self.tenant_id, ids, parameters={})
                cold = [row for _, row in rows.values()]
            marked = await highlights(self.conn, self.tenant_id, ids, self.query, self.search, cold)
            items = [{**item, "highlight": marked[id_]} for id_, item in zip(ids, items, strict=True)]
        return items


def _extent(found: Found) -> dict[str, Any]:
    """What a bounded look has seen. all: whether it has seen every match there is."""
    since = rfc3339(occurred_at_of(found.ids[-1])) if found.ids else None
    return {"activities": len(found.ids), "all": found.end is None, "since": since}
