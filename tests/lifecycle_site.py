"""A lane whose model has each kind of derived table and rules of retention: a `LifecycleSite` sends, removes, and looks at what is left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from dead_letter_site import Site
from milepost.access.tenants import create_tenant
from milepost.intake.queue import Queue
from milepost.postgres import Database
from milepost.rollups.verify import verify
from milepost.schema.models import apply_model
from milepost.settings import Settings

__all__ = ["LIFECYCLE_MODEL", "NOW", "LifecycleSite", "lifecycle_site", "ran"]

NOW = datetime.now(UTC).replace(microsecond=0)

LIFECYCLE_MODEL = """
name = "lifecycle"
[groups.league]
[groups.team]
parent = "league"
roles.member = ["read", "write"]
attributes.goal_m = "integer"
[verbs.run]
object = "workout"
measures.distance_m = { type = "decimal(1)" }
data.note = { type = "text", search = "english" }
[verbs.sign]
[verbs.open]
object = "ticket"
[verbs.close]
object = "ticket"
[verbs.hand_in]
content = { versions = true, offload_over = "1 KiB" }
[rollups.of_team]
of = "run"
by = ["group"]
per = ["hour", "day", "week", "all"]
values = ["count", "sum(distance_m)", "max(distance_m)", "first_at", "distinct(actor)", "distinct(object)"]
[rollups.of_actor]
of = "run"
by = ["actor"]
per = ["day", "all"]
values = ["count", "sum(distance_m)", "min(distance_m)", "latest(distance_m)", "distinct(group)"]
[rollups.of_members]
of = "run"
by = ["group"]
belongs = "membership"
per = ["day", "all"]
values = ["count", "distinct(actor)"]
[rollups.whole]
of = ["run", "sign"]
by = ["tenant"]
per = ["day", "month", "all"]
values = ["count", "avg(distance_m)", "last_at"]
[latest.newest]
of = "run"
by = ["actor"]
values = ["distance_m"]
[pairs.tickets]
open = ["open"]
close = ["close"]
[goals.team_goal]
value = "of_team.sum(distance_m)"
target = "group.goal_m"
milestones = [50]
[goals.own]
value = "of_actor.sum(distance_m)"
target = "1000"
milestones = [50, 100]
[boards.distance]
rank = "actor"
within = ["group", "everywhere"]
by = "sum(distance_m)"
of = ["run"]
windows = ["week", "all"]
[boards.best]
rank = "group"
within = ["everywhere"]
by = "distinct(actor)"
of = ["run"]
windows = ["all"]
[keep.default]
hot = "30 days"
then = "delete"
[keep.signed]
of = ["sign"]
hot = "1 year"
then = "keep"
[keep.tickets]
of = ["open", "close"]
age = "last change"
hot = "30 days"
then = "delete"
"""


def ran(number: int, *, days: float = 0.0, actor: str = "user-1", **fields: Any) -> dict[str, Any]:
    """A run of so many days ago."""
    return {
        "key": f"run-{number}",
        "occurred_at": (NOW - timedelta(days=days)).isoformat(),
        "actor": actor,
        "verb": "run",
        "object": {"kind": "workout", "id": f"w-{number % 3}"},
        "group": "team-1",
        "measures": {"distance_m": 100.5 + number},
        "data": {"note": f"note of {actor}"},
    } | fields


class LifecycleSite(Site):
    async def prepare(self) -> None:
        await apply_model(self.owner, LIFECYCLE_MODEL)
        for name in ("a", "b"):
            self.tenants[name] = (await create_tenant(self.owner, name, 1)).tenant_id
        assert await self.lane.open()
        await self.command(
            {"do": "put_group", "id": "team-1", "kind": "team", "attributes": {"goal_m": 1000}},
            {"do": "put_member", "group": "team-1", "actor": "user-1", "role": "member", "since": "2020-01-01T00:00:00Z"},
        )
        await self.lane.run_once()

    async def did(self, **command: Any) -> dict[str, Any]:
        """What a command answers, done at once."""
        batch = await self.command(command)
        await self.lane.run_once()
        answer: dict[str, Any] = (await self.mark(batch))[2]
        return answer

    async def retain(self, rule: str = "default", *, cold: bool = False) -> int:
        """Removes all that is over by a rule, in PostgreSQL or in the archive. → how many."""
        removed: int = 0
        low: str | None = None
        while True:
            answer = await self.did(do="retain", rule=rule, low=low, cold=cold)
            assert answer["status"] == 200, answer
            removed, low = removed + answer["body"]["removed"], answer["body"]["next"]
            if low is None:
                return removed

    async def check_sums(self) -> None:
        """As `check`, but for milestones: in the middle of an erasure those of the actor stand without their activities."""
        outcome = await verify(self.db)
        assert [item for item in outcome.items if not item["name"].startswith("milestones_")] == []

    async def keys(self, tenant: str = "a") -> set[str]:
        """Without those of milestones."""
        return {key for key in await super().keys(tenant) if key.startswith("run-")}

    async def numbers(self, table: str, where: str = "per = 'all'") -> list[dict[str, Any]]:
        rows = await self.rows(
            f"SELECT to_jsonb(t) FROM milepost.{table} t WHERE tenant_id = %s AND {where}", self.tenants["a"]
        )
        return [row[0] for row in rows]


@asynccontextmanager
async def lifecycle_site(db: Database, settings: Settings) -> AsyncIterator[LifecycleSite]:
    owner = await db.owner()
    queue = Queue(db, settings)
    await queue.start()
    site = LifecycleSite(db, owner, settings, queue)
    try:
        await site.prepare()
        yield site
    finally:
        await site.lane.close()
        await queue.stop()
        await owner.close()
