"""A tenant whose activities are searched: it loads, changes and searches, and its indexer works when it is told to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from fix_queue import owner_of, value
from milepost.intake.accept import Acceptor
from milepost.intake.load import Lane
from milepost.intake.queue import Queue
from milepost.postgres import Database
from milepost.schema.models import apply_model, current_model
from milepost.search.indexer import Indexer
from milepost.search.read import Search, SearchPage, search_page
from milepost.storage.activities import Presenter

MODEL = """
name = "searched"
[verbs.run]
data.note = { type = "text", search = "english" }
data.title = "text"
[verbs.walk]
data.note = "text"
"""
FIRST = datetime(2026, 2, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Site:
    """One tenant of a database, with its lane and an indexer that works when it is told to."""

    db: Database
    queue: Queue
    lane: Lane
    indexer: Indexer
    tenant_id: int

    async def load(self, *notes: str, verb: str = "run", since: datetime = FIRST, name: str = "n", **data: Any) -> list[str]:
        """Activities a minute apart, with these notes. → their ids."""
        async with self.db.transaction("point") as conn:
            current = await current_model(conn)
        rows = [
            {"key": f"{name}{number}", "occurred_at": (since + timedelta(minutes=number)).isoformat(), "actor": "ana",
             "verb": verb, "data": {"note": note, **data}}
            for number, note in enumerate(notes)
        ]  # fmt: skip
        acceptor = Acceptor(current.model, current.version)
        accepted = acceptor.accept(self.tenant_id, json.dumps({"activities": rows}).encode(), datetime.now(UTC))
        assert not accepted.rejected, accepted.rejected
        await self.enqueue(0, accepted.payload, accepted.rows, current.version)
        return [str(UUID(int=one)) for one in accepted.ids]

    async def command(self, **command: Any) -> None:
        async with self.db.transaction("point") as conn:
            current = await current_model(conn)
        await self.enqueue(1, json.dumps(command).encode(), 1, current.version)

    async def enqueue(self, kind: Any, payload: bytes, rows: int, model: int) -> None:
        await self.queue.enqueue(tenant_id=self.tenant_id, lane=0, kind=kind, model=model, rows=rows, payload=payload)
        await self.lane.run_once()

    async def apply(self, model: str) -> None:
        async with owner_of(self.db) as owner:
            await apply_model(owner, model)

    async def search(self, q: str, **asked: Any) -> SearchPage:
        async with self.db.transaction("point") as conn:
            compiled = (await current_model(conn)).compiled
        async with self.db.transaction("point", tenant_id=self.tenant_id, snapshot=True) as conn:
            presenter = Presenter(compiled.columns)
            return await search_page(conn, self.tenant_id, Search(q=q, **asked), compiled, presenter, limit=50)

    async def notes(self, q: str) -> list[str]:
        return [item["data"]["note"] for item in (await self.search(q)).items]

    async def documents(self) -> int:
        async with owner_of(self.db) as owner:
            return int(await value(owner, "SELECT count(*) FROM milepost.search_document"))
