"""A lane with tenants whose batches can be poisoned: a `Site` sends, loads in this process, and shows what became of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from milepost.access.tenants import create_tenant
from milepost.intake.accept import Acceptor
from milepost.intake.load import Lane
from milepost.intake.queue import Kind, Queue
from milepost.postgres import Connection, Database
from milepost.rollups.verify import verify
from milepost.schema.models import apply_model, current_model
from milepost.settings import Settings

__all__ = ["MODEL", "Site", "a_run"]

MODEL = """
name = "letters"
[groups.team]
roles.member = ["read", "write"]
[verbs.run]
object = "workout"
measures.distance_m = { type = "decimal(1)" }
measures.duration_s = "integer"
data.device = { type = "text", filter = true }
[rollups.per_actor]
of = "run"
by = ["actor"]
per = ["day", "all"]
values = ["count", "sum(distance_m)", "distinct(object)"]
"""
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def a_run(number: int, **fields: Any) -> dict[str, Any]:
    """A valid activity, a minute after the one before it."""
    return {
        "key": f"run-{number}",
        "occurred_at": (BEGIN + timedelta(minutes=number)).isoformat(),
        "actor": f"user-{number % 7}",
        "verb": "run",
        "measures": {"distance_m": number + 0.5},
    } | fields


class Site:
    """Tenants `a` and `b` on one lane, a loader for it, and a hand on the tables."""

    def __init__(self, db: Database, owner: Connection, settings: Settings, queue: Queue) -> None:
        self.db, self.owner, self.settings, self.queue = db, owner, settings, queue
        self.tenants: dict[str, int] = {}
        self.lane = Lane(db, queue, 0, "site", settings)

    async def prepare(self) -> None:
        await apply_model(self.owner, MODEL)
        for name in ("a", "b"):
            self.tenants[name] = (await create_tenant(self.owner, name, 1)).tenant_id
        assert await self.lane.open()

    async def send(self, activities: Sequence[dict[str, Any]], tenant: str = "a") -> int:
        """One batch, accepted under the current model. → its id."""
        async with self.db.transaction("point") as conn:
            current = await current_model(conn)
        body = json.dumps({"activities": list(activities)}).encode()
        accepted = Acceptor(current.model, current.version).accept(self.tenants[tenant], body, datetime.now(UTC))
        assert accepted.rejected == ()
        return await self.put(accepted.payload, accepted.rows, tenant, model=current.version)

    async def put(self, payload: bytes, rows: int, tenant: str = "a", *, kind: Kind = Kind.ACTIVITIES, model: int = 1) -> int:
        receipt = await self.queue.enqueue(
            tenant_id=self.tenants[tenant], lane=0, kind=kind, model=model, rows=rows, payload=payload
        )
        return receipt.batch_id

    async def command(self, *commands: dict[str, Any], tenant: str = "a") -> int:
        payload = json.dumps(list(commands) if len(commands) > 1 else commands[0]).encode()
        return await self.put(payload, len(commands), tenant, kind=Kind.COMMAND)

    async def refuse(self, condition: str) -> None:
        """From now on the tables refuse an activity unless this holds: what is there already stays."""
        await self.owner.execute(f"ALTER TABLE milepost.activity ADD CONSTRAINT poison CHECK ({condition}) NOT VALID".encode())

    async def allow(self) -> None:
        await self.owner.execute(b"ALTER TABLE milepost.activity DROP CONSTRAINT poison")

    async def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """As the owner, from whom no policy hides a tenant."""
        return await (await self.owner.execute(statement.encode(), values)).fetchall()

    async def keys(self, tenant: str = "a") -> set[str]:
        """Of the activities that are loaded."""
        found = await self.rows("SELECT key FROM milepost.activity WHERE tenant_id = %s", self.tenants[tenant])
        return {row[0] for row in found}

    async def letters(self, tenant: str = "a") -> list[tuple[Any, ...]]:
        """(first_row, rows, error_class, tries)"""
        return await self.rows(
            "SELECT first_row, rows, error_class, tries FROM milepost.dead_letter WHERE tenant_id = %s ORDER BY letter_id",
            self.tenants[tenant],
        )

    async def mark(self, batch_id: int) -> tuple[Any, ...]:
        """(loaded, duplicates, result)"""
        (row,) = await self.rows("SELECT loaded, duplicates, result FROM milepost.queue_1_loaded WHERE batch_id = %s", batch_id)
        return row

    async def check(self) -> None:
        """What is derived from the activities is what they say."""
        outcome = await verify(self.db)
        assert outcome.differences == 0, outcome.items[:3]
