"""What waits to be loaded, known from a look a second, and when that is too much.

A tenant may have `tenant_backlog_rows` waiting; a lane `lane_backlog_rows` in all, beyond which those of its tenants are refused
that have more than an even share of it. So a backlog, and with it the time until what is sent can be read, stays bounded, and the
tenant that made it is told first. What comes between two looks is counted here: a process is never more than the others' last
second over a bound.

When to come again is estimated by Little's law: what waits, by how long its oldest has waited, is the rate at which it goes.

How it fails: while there is no look to be had (PostgreSQL is away, then what it holds grows by nothing), the last one counts for
`STALE_S`, then none does.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

import structlog

from milepost.errors import MilepostError
from milepost.intake._tables import for_every_table
from milepost.intake.pressure.refusal import Overfull
from milepost.postgres import Database, load_queries
from milepost.settings import Settings

__all__ = ["Waiting"]

_queries = load_queries(__package__, "waiting.sql")
_log = structlog.get_logger(__name__)

LOOK_S = 1.0
LOOK_SHARE = 0.05  # of the time may be spent looking: at a long backlog it is done less often
STALE_S = 30.0
DOWN_TO = 0.8  # of the bound: when it is this low again, a retry is worth while
RETRY_S_MAX = 60.0


@dataclass(frozen=True, kw_only=True)
class _Found:
    rows: int
    oldest_s: float


class Waiting:
    """One a process. `start` begins the looks; `stop` is complete when it returns, safe twice and unstarted."""

    def __init__(self, db: Database, settings: Settings, *, clock: Callable[[], float] = monotonic) -> None:
        self._db = db
        self._clock = clock
        self._tenant_max = settings.tenant_backlog_rows
        self._lane_max = settings.lane_backlog_rows
        self._found: dict[tuple[int, int], _Found] = {}  # by lane and tenant
        self._lanes: dict[int, int] = {}
        self._since: dict[tuple[int, int], int] = defaultdict(int)  # what was put in after the look began
        self._looked_at = float("-inf")
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Safe twice."""
        if self._task is None and (self._tenant_max is not None or self._lane_max is not None):
            self._task = asyncio.create_task(self._run(), name="waiting")

    async def stop(self) -> None:
        self._stopping.set()
        task, self._task = self._task, None
        if task is not None:
            await task

    def put(self, tenant_id: int, lane: int, rows: int) -> None:
        """So many rows are in the queue now, or will be in a moment."""
        self._since[lane, tenant_id] += rows

    def check(self, tenant_id: int, lane: int) -> None:
        """Raises `Overfull` where the tenant's backlog, or its lane's by its doing, has reached a bound."""
        if self._clock() - self._looked_at > STALE_S:
            return
        found = self._found.get((lane, tenant_id))
        own = (found.rows if found else 0) + self._since.get((lane, tenant_id), 0)
        most = self._tenant_max
        if self._lane_max is not None and self._lanes.get(lane, 0) >= self._lane_max:
            tenants = sum(1 for other, _ in self._found if other == lane)
            most = min(most or self._lane_max, self._lane_max // max(1, tenants))
        if most is not None and own >= most:
            rate = found.rows / max(found.oldest_s, 0.1) if found else 0.0
            retry_s = (own - DOWN_TO * most) / rate if rate else 1.0
            raise Overfull(
                f"{own:,} activities of this tenant wait to be loaded, and {most:,} may: nothing of this request was taken.",
                reason="backlog",
                retry_after_s=min(RETRY_S_MAX, retry_s),
            )

    async def run_once(self) -> None:
        """One look. Raises `MilepostError`."""
        before, self._since = self._since, defaultdict(int)
        try:
            async with self._db.transaction("point") as conn:
                await conn.execute(_queries.plan)
                row = await (await conn.execute(_queries.tables)).fetchone()
                cursor = await conn.execute(for_every_table(_queries.waiting, row[0] if row else 1))
                rows = await cursor.fetchall()
        except BaseException:
            for key, more in before.items():
                self._since[key] += more
            raise
        found: dict[tuple[int, int], _Found] = {}
        lanes: dict[int, int] = defaultdict(int)
        for lane, tenant_id, count, oldest_s in rows:
            earlier = found.get((lane, tenant_id), _Found(rows=0, oldest_s=0.0))
            found[lane, tenant_id] = _Found(rows=earlier.rows + count, oldest_s=max(earlier.oldest_s, oldest_s))
            lanes[lane] += count
        self._found, self._lanes, self._looked_at = found, lanes, self._clock()

    async def _run(self) -> None:
        wait_s, failing = LOOK_S, False
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_s)
            if self._stopping.is_set():
                return
            if not self._since and not self._found:  # nothing waited, and nothing came from here
                self._looked_at = self._clock()
                continue
            began = monotonic()
            try:
                await self.run_once()
                failing = False
            except MilepostError as error:
                if not failing:
                    _log.warning("what waits to be loaded cannot be looked at", error=str(error))
                failing = True
            except Exception:
                _log.exception("what waits to be loaded cannot be looked at")
            wait_s = max(LOOK_S, (monotonic() - began) / LOOK_SHARE)
