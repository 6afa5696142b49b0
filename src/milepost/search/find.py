"""Find activities that match, newest first, as many as are wanted and no more.

Two ways lead to them, and which is shorter depends on what is asked. Where a filter has an index, its newest activities are looked
at first: if the filter is rare, that is all there is. Otherwise, and from there on, words lead: the newest documents one by one,
which meets a frequent word at once, then the index, bucket by bucket (`milepost.search_matches`). Whatever finds an activity,
its own row decides: that it is there in the version that was indexed, that every filter holds, and that the reader may see it.

It costs a bounded amount: `end` says below which id nothing was looked at, and whoever wants more goes on from there.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, LiteralString
from uuid import UUID

from milepost.access.viewer import Reader
from milepost.activity import AUDIENCES
from milepost.postgres import Connection, load_queries
from milepost.rollups.read import put_words
from milepost.search.query import Query
from milepost.storage.cold import Cold
from milepost.storage.filters import Lookup
from milepost.storage.manifest import files_between

__all__ = ["Found", "find"]

_queries = load_queries(__package__, "find.sql")

LED_MAX = 1_000  # activities of each range of a filter's index
WALKED_MAX = 2_000  # documents one by one
CANDIDATES_MIN, CANDIDATES_MAX = 100, 4_000  # at once, and of one find
PATIENCE_MS = 150
WHOLE_MS = 60_000  # longer than a statement may take


@dataclass(frozen=True, kw_only=True)
class Found:
    """ids: newest first. end: below this id nothing was looked at; None: all was. cold: the rows of those that are archived."""

    ids: list[UUID]
    end: UUID | None
    cold: Mapping[UUID, bytes] = field(default_factory=dict)


async def find(
    conn: Connection,
    tenant_id: int,
    query: Query,
    filter: Lookup,
    reader: Reader,
    *,
    low: UUID,
    high: UUID,
    limit: int,
    whole: bool = False,
    cold: Cold | None = None,
) -> Found:
    """The newest `limit` from `low` on, below `high`. whole: however many are looked at for it, where an earlier find with bounds
    has set `low`. conn: in a snapshot, planned by index. cold: where what is not in PostgreSQL is looked for."""
    return await _Finding(conn, tenant_id, query, filter, reader, low, limit, whole, cold).run(high)


class _Finding:
    def __init__(
        self,
        conn: Connection,
        tenant_id: int,
        query: Query,
        filter: Lookup,
        reader: Reader,
        low: UUID,
        limit: int,
        whole: bool,
        cold: Cold | None,
    ) -> None:
        self.conn = conn
        self.tenant_id = tenant_id
        self.cold = cold
        self.rows: dict[UUID, bytes] = {}  # of cold ones
        self.query = query
        self.filter = filter
        self.low = low
        self.limit = limit
        self.whole = whole
        self.candidates = sys.maxsize if whole else CANDIDATES_MAX
        self.patience_ms = WHOLE_MS if whole else PATIENCE_MS
        self.ids: list[UUID] = []
        self.leads = False
        self.parameters = {**filter.parameters, **reader.parameters, "tenant_id": tenant_id, "query": query.text}
        words = {"tests": "".join(f" AND {test}" for test in filter.tests), "visible": reader.visible}
        self.tested = put_words(_queries.tested, **words)
        self.tested_cold = put_words(_queries.tested_cold, **words)

    async def run(self, high: UUID) -> Found:
        end: UUID | None = high
        self.leads = bool(self.filter.tests) and not await self._reaches_archive(high)
        while end is not None and len(self.ids) < self.limit:
            if self.leads:
                end = await self._led(end)
            if end is not None and len(self.ids) < self.limit:
                end = await self._by_words(end)
            if not self.whole:
                break
        if len(self.ids) > self.limit or (end is not None and len(self.ids) == self.limit):
            self.ids = self.ids[: self.limit]
            end = self.ids[-1]
        return Found(ids=self.ids, end=end, cold={id_: self.rows[id_] for id_ in self.ids if id_ in self.rows})

    async def _reaches_archive(self, high: UUID) -> bool:
        """Then no index of a filter has all there is, while words are indexed of what is archived, too."""
        return self.cold is not None and bool(await files_between(self.conn, self.tenant_id, self.low, high))

    async def _led(self, high: UUID) -> UUID | None:
        """What the filter's index has first."""
        match self.filter.kind:
            case "id":
                statement: LiteralString = _queries.led_by_id
            case "audience":
                statement = _queries.led_by_audience
            case "group":
                statement = _queries.led_by_group
        text = put_words(statement, lead=self.filter.lead, rows=str(LED_MAX))
        values = {**self.parameters, "low": self.low, "high": high, "audiences": list(range(len(AUDIENCES)))}
        ranges: dict[int, list[UUID]] = {}
        for number, id_ in await (await self.conn.execute(text, values)).fetchall():
            ranges.setdefault(number, []).append(id_)
        # A range that is full ends somewhere: below that, not all is known.
        end = max((ids[-1] for ids in ranges.values() if len(ids) == LED_MAX), default=None)
        await self._test([id_ for ids in ranges.values() for id_ in ids if end is None or id_ >= end])
        return end

    async def _by_words(self, high: UUID) -> UUID | None:
        until = monotonic() + self.patience_ms / 1000
        left = self.candidates
        while len(self.ids) < self.limit:
            most = min(left, max(CANDIDATES_MIN, 2 * (self.limit - len(self.ids))))
            values = {
                "query": self.query.text,
                "pieces": None if self.query.pieces is None else list(self.query.pieces),
                "low": self.low,
                "high": high,
                "most": most,
                "walked": 0 if self.leads else WALKED_MAX,
                "patience_ms": max(0, round((until - monotonic()) * 1000)),
            }
            rows = await (await self.conn.execute(_queries.matches, values)).fetchall()
            stopped = rows.pop()[0] if rows and rows[-1][1] is None else None
            await self._test([row[0] for row in rows])
            left -= len(rows)
            if stopped is not None:
                return stopped  # type: ignore[no-any-return]
            if len(rows) < most:
                return None
            high = rows[-1][0]
            if left <= 0 or monotonic() > until:
                break
        return high

    async def _test(self, ids: Sequence[UUID]) -> None:
        if ids:
            values: dict[str, Any] = {**self.parameters, "ids": list(ids), "first": min(ids), "last": max(ids)}
            rows = await (await self.conn.execute(self.tested, values)).fetchall()
            found = {row[0] for row in rows}
            if self.cold is not None and len(found) < len(ids):
                others = [id_ for id_ in ids if id_ not in found]
                cold = await self.cold.of_ids(
                    self.conn, self.tenant_id, others, matches=self.tested_cold, parameters=self.parameters
                )
                # A document is of the id that it names, not of what became of it.
                self.rows |= {asked: row for asked, (id_, row) in cold.items() if asked == id_}
                found |= self.rows.keys() & set(others)
            self.ids += sorted(found, reverse=True)
