"""The loading side of a server process: one task for each lane that it serves, and an even share of the lanes with other loaders.

Every loader says in `milepost.loader` that it lives, looks twice a second at who else does and who holds which lane, and takes or
leaves lanes as `plan` says. A lane is left between two loads: its batches wait until the next loader's look, up to half a second.
The lanes of a loader that died are free when their leases run out, `lease_s` after its last sign, and are taken at the next look.

How it fails: a lane whose session ends (lost lease, lost connection, our own mistake) is tried again after a pause that grows, by
whoever's turn it is; while PostgreSQL is away nothing is loaded, and the look is repeated until it is back. Before a model has been applied
no lane is taken: each look sees whether there is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from random import random
from time import monotonic

import structlog

from milepost import telemetry
from milepost.errors import MilepostError
from milepost.intake._balance import plan
from milepost.intake.isolate import Care
from milepost.intake.lane import LeaseLost
from milepost.intake.load import Lane
from milepost.intake.queue import Queue
from milepost.postgres import Connection, Database, load_queries, translated
from milepost.settings import Settings

__all__ = ["Loader"]

_queries = load_queries(__package__, "loader.sql")
_log = structlog.get_logger(__name__)

LOOKS_PER_LEASE = 10
PAUSE_S_MAX = 5.0
APART_S = 1.0  # within it, at any moment, a lane goes on after a session ended while it loaded
NO_MODEL_SAID_S = 600.0  # that there is no model, at most so often
LEAVING, PAUSING = "(leaving)", "(pausing)"  # in place of a holder, who is not among the loaders


class Loader:
    """`start` begins it; `stop` is complete when it returns: loads under way are finished, leases given back. Safe twice.

    beside: what happens beside each lane's loading, for as long as the lane is held (`milepost.intake.streams.Relays`).
    """

    def __init__(
        self,
        db: Database,
        queue: Queue,
        settings: Settings,
        *,
        holder: str,
        beside: Callable[[int], AbstractAsyncContextManager[None]] = lambda lane: nullcontext(),
    ) -> None:
        self.db = db
        self.queue = queue
        self.settings = settings
        self.holder = holder
        self._beside = beside
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._conn: Connection | None = None
        self._looking = asyncio.Lock()  # one look at a time has the connection
        # The lanes it has, or asks for: `leaving` is set when it is to be left, the task ends when it was.
        self._served: dict[int, tuple[asyncio.Event, asyncio.Task[None]]] = {}
        # By lane: tenants whose load ended a session, which the next one must know.
        self._suspects: dict[int, dict[int, Care]] = {}
        self._failures: dict[int, int] = {}
        self._not_before: dict[int, float] = {}
        self._has_model = False  # once there is one, there always is
        self._say_no_model_at = float("-inf")

    async def start(self) -> None:
        """Raises `DatabaseUnavailable`."""
        await self.run_once()
        self._task = asyncio.create_task(self._run(), name="loader")

    async def stop(self) -> None:
        self._stopping.set()
        task, self._task = self._task, None
        if task is not None:
            await task
        for lane, (leaving, _) in self._served.items():
            leaving.set()
            self.queue.announce(lane)  # else it would wait out its poll
        await asyncio.gather(*(one for _, one in self._served.values()))
        self._served.clear()
        if self._conn is not None:
            with suppress(MilepostError):
                await self._execute_leave(self._conn)
            await self._disconnect()

    async def run_once(self) -> None:
        """One look: say that it lives, and take or leave lanes."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        if self._conn is None or self._conn.closed:
            self._conn = await self.db.direct("loader", settings={"statement_timeout": f"{self.settings.lease_s * 1000:.0f}"})
        conn = self._conn
        with translated(conn):
            async with conn.pipeline():
                await conn.execute(_queries.beat, {"holder": self.holder, "lease_s": self.settings.lease_s})
                live = await conn.execute(_queries.live)
                lanes = await conn.execute(_queries.holders)
                model = None if self._has_model else await conn.execute(_queries.has_model)
            self._has_model = model is None or bool((await model.fetchone() or (False,))[0])
            loaders = [row[0] for row in await live.fetchall()]
            holders: dict[int, str | None] = dict(await lanes.fetchall())
        for lane, (leaving, task) in list(self._served.items()):
            if task.done():
                del self._served[lane]
            else:  # asked for or held; or about to be given back: then it is nobody's to take, and not ours to leave again
                holders[lane] = LEAVING if leaving.is_set() else self.holder
        now = monotonic()
        if not self._has_model:
            if now >= self._say_no_model_at:
                self._say_no_model_at = now + NO_MODEL_SAID_S
                _log.warning("nothing is loaded before a model has been applied: run `milepost model apply FILE`")
            return
        for lane, moment in self._not_before.items():
            if moment > now and holders.get(lane, "") is None:
                holders[lane] = PAUSING
        wanted = plan(self.holder, holders, loaders)
        for lane in wanted.leave:
            if lane in self._served:
                self._served[lane][0].set()
                self.queue.announce(lane)
                _log.info("leaving a lane to another loader", lane=lane)
        for lane in wanted.take:
            leaving = asyncio.Event()
            self._served[lane] = leaving, asyncio.create_task(self._serve(lane, leaving), name=f"lane-{lane}")

    async def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self.settings.lease_s / LOOKS_PER_LEASE)
            if self._stopping.is_set():
                return
            try:
                await self.run_once()
                failures = 0
            except MilepostError as error:
                failures += 1
                if failures == 1:
                    _log.warning("the loader cannot look who else loads", error=str(error))
                await self._disconnect()
            except Exception:
                failures += 1
                _log.exception("the loader failed", failures=failures)
                await self._disconnect()

    async def _serve(self, lane: int, leaving: asyncio.Event) -> None:
        """Load the lane until it is to be left, or its session ends."""
        session = Lane(self.db, self.queue, lane, self.holder, self.settings, leaving=leaving)
        session.trouble.remember(self._suspects.setdefault(lane, {}))
        try:
            if not await session.open():
                return
            telemetry.count("leases_taken", lane=lane)
            if self._suspects[lane]:
                # One batch that ends PostgreSQL ends all lanes' sessions. Tried together again, what was innocent would be set aside with it.
                await asyncio.sleep(random() * APART_S)
            async with self._beside(lane):
                while not leaving.is_set():
                    await session.run_once()
                    self._failures.pop(lane, None)
                    await self.queue.wait_for_batches(lane, self.settings.poll_ms / 1000)
        except MilepostError as error:
            if isinstance(error, LeaseLost):
                telemetry.count("leases_lost", lane=lane)
            _log.warning("lane interrupted", lane=lane, error=str(error), failures=self._failed(lane))
        except Exception:
            # Our own mistake. The lane must go on all the same.
            _log.exception("lane failed", lane=lane, failures=self._failed(lane))
        finally:
            await session.close()

    def _failed(self, lane: int) -> int:
        failures = self._failures[lane] = self._failures.get(lane, 0) + 1
        self._not_before[lane] = monotonic() + min(PAUSE_S_MAX, 0.1 * 2.0 ** min(failures, 10))
        return failures

    async def _execute_leave(self, conn: Connection) -> None:
        with translated(conn):
            await conn.execute(_queries.leave, {"holder": self.holder})

    async def _disconnect(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            await conn.close()
