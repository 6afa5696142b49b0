"""Steps of the index, each one transaction of one tenant: follow the journal, fill from history, forget.

A step reads activities as they are now and writes their documents together with how far that is: so whatever happens to whoever does
it, the next one goes on from there, and doing something twice changes nothing. Steps run as the tables' owner, on a connection that
holds the lock of the index (`milepost.search.indexer`): nobody else writes documents.
"""

from __future__ import annotations

from dataclasses import dataclass

from milepost import faults
from milepost.postgres import Connection, JsonText, load_queries, translated
from milepost.rollups.read import put_words
from milepost.schema.compile import CompiledSearch
from milepost.storage.cold import Cold

__all__ = ["Work", "fill", "follow", "forget", "work"]

_queries = load_queries(__package__, "index.sql")

LOADS_MAX = 1_000  # rows of the journal in one step
ROWS_MAX = 10_000  # activities that they name, but for the last one's
CHUNK_ROWS = 5_000  # of history


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be done for a tenant. behind: its journal goes on. unfilled: some of history is not indexed as the model wants it."""

    tenant_id: int
    behind: bool
    unfilled: bool


async def work(owner: Connection, search: CompiledSearch | None) -> list[Work]:
    """Of every tenant that has some. search: None where no verb is searched, and whatever is indexed is to go."""
    values = {"fingerprint": None if search is None else search.fingerprint}
    with translated(owner):
        if search is not None:
            async with owner.transaction():
                await owner.execute(_queries.begin, values)
        rows = await (await owner.execute(_queries.work, values)).fetchall()
    return [Work(tenant_id=tenant_id, behind=behind, unfilled=unfilled) for tenant_id, behind, unfilled in rows]


async def follow(owner: Connection, tenant_id: int, search: CompiledSearch) -> int:
    """Take in what the journal names next. → how many activities it named; 0: there was nothing."""
    with translated(owner):
        async with owner.transaction():
            values = {"tenant_id": tenant_id, "loads": LOADS_MAX, "rows": ROWS_MAX}
            row = await (await owner.execute(_queries.next_loads, values)).fetchone()
            if row is None or row[0] is None:
                return 0
            position, ids = row
            if ids:
                named = {"tenant_id": tenant_id, "ids": ids, "first": min(ids), "last": max(ids)}
                await owner.execute(_queries.remove_stale, named)
                await owner.execute(_worded(_queries.add, search), named | {"verbs": list(search.verbs)})
                await owner.execute(_queries.write_keys)
            faults.reach("search.written")
            await owner.execute(_queries.reached, {"tenant_id": tenant_id, "position": position})
            faults.reach("search.before_commit")
        faults.reach("search.after_commit")
    return len(ids) or 1


async def fill(owner: Connection, tenant_id: int, search: CompiledSearch, cold: Cold | None = None) -> int:
    """Index the newest chunk of history that is not. → how many activities; 0: it is complete now. cold: where those are that were archived."""
    with translated(owner):
        async with owner.transaction():
            values = {"tenant_id": tenant_id, "rows": CHUNK_ROWS, "verbs": list(search.verbs)}
            row = await (await owner.execute(_queries.next_chunk, values)).fetchone()
            assert row is not None
            low, high = row
            archived: list[JsonText] = []
            if cold is not None:
                found, archived = await cold.stretch(owner, tenant_id, low, high, CHUNK_ROWS, newest=True)
                low = found if archived else low
            span = {"tenant_id": tenant_id, "low": low, "high": high, "verbs": list(search.verbs)}
            await owner.execute(_queries.clear, span)
            added = await owner.execute(_worded(_queries.add_span, search), span)
            for rows in archived:
                await owner.execute(_worded(_queries.add_archived, search), {**span, "cold_rows": rows})
            await owner.execute(_queries.write_keys)
            faults.reach("search.filled")
            await owner.execute(_queries.filled_to, {"tenant_id": tenant_id, "low": low})
    return max(1, added.rowcount)


async def forget(owner: Connection, tenant_id: int) -> int:
    """Take away some documents of a tenant when nothing is searched any more; at last, its progress. → how many; 0: all is gone."""
    with translated(owner):
        gone = (await owner.execute(_queries.forget_documents, {"tenant_id": tenant_id, "rows": CHUNK_ROWS})).rowcount
        if not gone:
            await owner.execute(_queries.forget_progress, {"tenant_id": tenant_id})
    return gone


def _worded(query: str, search: CompiledSearch) -> str:
    return put_words(query, words=search.words)
