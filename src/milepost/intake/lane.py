"""Reading one lane of the queue: its lease, its new batches, their marks, and the lane's position.

A `LaneReader` belongs to one loader and uses that loader's own direct connection for everything. It promises

- one holder: the lease expires by the database's clock, `fence` locks the lane's row inside the load's transaction and compares
  the epoch, so a loader that lost its lease cannot commit a load (`LeaseLost`);
- every batch once: `poll` gives each batch that is durable and not marked exactly once per lease, whatever order transactions
  commit in, and the mark is written in the transaction of the load;
- a steady cost: a poll reads the tail of an index, however many batches lie behind it, loaded or not, and however long
  another transaction has been open.

How new batches are found: a snapshot (xmin, xmax, transactions in progress) sees exactly the transactions below xmax that were
not in progress. So what a new snapshot sees and the one before did not is in transactions from the old xmax on, or in one of
those it named as in progress. A large backlog comes in pages; the snapshot moves on when its last page is read.

The stored position is the newest snapshot below which everything is loaded. It only saves the next holder work: a position that
is old, or means nothing because the data was restored into another cluster, costs reading marks, never a batch.

    reader = LaneReader(connection, lane, holder)
    while await reader.acquire():
        batches = await reader.poll()
        async with connection.transaction():
            await reader.fence()
            …                              # load them
            await reader.mark(loaded)
        reader.settle(loaded)              # only now, after the commit
        await reader.advance()
        await reader.renew()
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from milepost.errors import MilepostError, NotFound, SchemaMismatch
from milepost.intake._batches import Batch, Loaded
from milepost.intake._tables import for_every_table, for_table, table_number
from milepost.postgres import Connection, load_queries, translated

__all__ = ["LaneReader", "LaneSettings", "LeaseLost"]

q = load_queries(__package__, "lane.sql")

NOTHING_SEEN = "1:1:"  # the snapshot that sees no transaction at all

Found = tuple[int, int, int, int, int, datetime, str, str]


class LeaseLost(MilepostError):
    """Another loader has this lane now."""


@dataclass(frozen=True, kw_only=True)
class LaneSettings:
    """How a lane is held and read.

    `lease_s`: a holder that is silent for so long loses the lane. `renew_s`: `renew` writes when the lease is older than this;
    a holder gets several tries within a lease. `advance_s`: the position is written at most so often. `batches_max`: the page
    of one poll (beside the transactions that were in progress at the poll before: of these it gives all batches there are).
    """

    lease_s: float = 5.0
    renew_s: float = 1.5
    advance_s: float = 1.0
    batches_max: int = 10_000


class _Window:
    """What one snapshot saw that the one before did not: done with when none of it waits to be loaded."""

    __slots__ = ("had_batches", "snapshot", "waiting")

    def __init__(self, snapshot: str) -> None:
        self.snapshot = snapshot
        self.waiting = 0
        self.had_batches = False


class LaneReader:
    """The holder's view of a lane. Not for concurrent use; after any error but `LeaseLost`, let go of the connection too."""

    def __init__(
        self,
        connection: Connection,
        lane: int,
        holder: str,
        settings: LaneSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lane = lane
        self.holder = holder
        self._connection = connection
        self._settings = settings or LaneSettings()
        self._clock = clock
        self._epoch: int | None = None
        self._tables = 0
        self._forget()

    def _forget(self) -> None:
        self._pending: dict[int, tuple[Batch, _Window]] = {}
        self._windows: deque[_Window] = deque()
        self._since: str | None = None  # all that this snapshot sees has been polled
        self._page: tuple[_Window, str, int] | None = None  # the window being read and where its next page begins
        self._floor: str | None = None  # below this snapshot everything is loaded
        self._floor_is_news = True  # whether writing it would tell more than the stored position does
        self._advanced_at = self._renewed_at = float("-inf")

    # ── The lease ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def epoch(self) -> int | None:
        """Which change of holder made us it; None while we are not."""
        return self._epoch

    async def acquire(self) -> bool:
        """Takes the lane if its lease ran out or is this holder's already. False: somebody has it.

        What was polled before is forgotten: the next `poll` begins at the stored position. Raises `NotFound` for a lane
        that does not exist.
        """
        values = {"lane": self.lane, "holder": self.holder, "lease_s": self._settings.lease_s}
        row = await self._one(q.acquire, values)
        if row is None:
            exists = await self._one(q.exists, {"lane": self.lane})
            if exists is None or not exists[0]:
                raise NotFound(f"There is no lane {self.lane}.", lane=self.lane)
            return False
        self._forget()
        self._epoch = row[0]
        self._renewed_at = self._clock()
        return True

    async def renew(self, *, force: bool = False) -> None:
        """Extends the lease if it is older than `renew_s`: call it as often as you like. Raises `LeaseLost`."""
        assert self._epoch is not None, "renew() before acquire()"
        if not force and self._clock() - self._renewed_at < self._settings.renew_s:
            return
        began = self._clock()
        values = {"lane": self.lane, "epoch": self._epoch, "lease_s": self._settings.lease_s}
        if await self._one(q.renew, values) is None:
            raise self._lost()
        self._renewed_at = began

    async def release(self) -> None:
        """Gives the lane up at once, so that another loader need not wait for the lease. Safe twice."""
        if self._epoch is None:
            return
        with translated(self._connection):
            await self._connection.execute(q.release, {"lane": self.lane, "epoch": self._epoch})
        self._epoch = None
        self._forget()

    async def fence(self) -> None:
        """First in the load's transaction: holds the lane until its end. Raises `LeaseLost`."""
        row = await self._one(q.fence, {"lane": self.lane})
        if row is None or row[0] != self._epoch:
            raise self._lost()

    def _lost(self) -> LeaseLost:
        self._epoch = None
        self._forget()
        return LeaseLost(f"Another loader has lane {self.lane} now.", lane=self.lane)

    # ── New batches ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def pending(self) -> int:
        """How many batches were polled and are not settled yet."""
        return len(self._pending)

    @property
    def more(self) -> bool:
        """Whether another `poll` would find more without anything new having come."""
        return self._page is not None

    async def poll(self) -> list[Batch]:
        """The batches that this lease has not been given yet, oldest first. They stay pending until they are settled."""
        assert self._epoch is not None, "poll() before acquire()"
        if self._since is None:
            row = await self._one(q.start, {"lane": self.lane})
            self._since = (row and row[0]) or NOTHING_SEEN
        while True:
            goes_on = self.more
            found = await self._look(self._since)
            if found is None:
                continue  # a table was made since the last poll: this one did not read it
            batches = self._take(*found)
            if batches or not goes_on:  # an empty page at the end of a window is not yet an answer
                return batches

    def _take(self, window: _Window, rows: list[Found]) -> list[Batch]:
        batches = []
        for batch_id, tenant_id, kind, model, count, received_at, stored_in, txid in rows:
            if batch_id in self._pending:  # only a foreign transaction number (see `start`) is found twice
                continue
            batch = Batch(
                batch_id=batch_id,
                lane=self.lane,
                tenant_id=tenant_id,
                kind=kind,
                model=model,
                rows=count,
                received_at=received_at,
                table=table_number(stored_in),
                txid=int(txid),
            )
            self._pending[batch_id] = (batch, window)
            window.waiting += 1
            window.had_batches = True
            batches.append(batch)
        batches.sort(key=attrgetter("batch_id"))
        return batches

    async def _look(self, since: str) -> tuple[_Window, list[Found]] | None:
        """One page, in one snapshot and one round trip. None if there is a table that it did not read."""
        limit = self._settings.batches_max
        if self._page is None:
            window, from_txid, from_batch_id = None, since.split(":")[1], 0
        else:
            window, from_txid, from_batch_id = self._page
        place = {"lane": self.lane, "from_txid": from_txid, "from_batch_id": from_batch_id, "batches_max": limit}
        connection, tables = self._connection, self._tables or 1
        late = None
        with translated(connection):
            async with connection.pipeline(), connection.transaction():
                await connection.execute(q.poll_isolation)
                await connection.execute(q.poll_plan)
                head = await connection.execute(q.poll_head)
                new = await connection.execute(
                    for_every_table(q.new_in_table, tables, around=q.poll_new),
                    place | {"until": window.snapshot if window else None},
                )
                if window is None:
                    values = {"lane": self.lane, "since": since}
                    late = await connection.execute(for_every_table(q.poll_late, tables), values)
            state = await head.fetchone()
            if state is None:
                raise SchemaMismatch("The queue has no tables yet: run `milepost db migrate`.")
            snapshot, self._tables = state
            if self._tables != tables:
                return None
            rows: list[Found] = await new.fetchall()
            last = rows[-1] if len(rows) == limit else None
            if late is not None:
                rows += await late.fetchall()
        if window is None:
            window = self._open(snapshot)
        if last is None:
            self._page, self._since = None, window.snapshot
        else:
            self._page = (window, last[7], last[0])
        return window, rows

    def _open(self, snapshot: str) -> _Window:
        """The window for a new snapshot: the last one again if that is done with, so that idle polls leave nothing behind."""
        if self._windows and self._windows[-1].waiting == 0:
            self._windows[-1].snapshot = snapshot
        else:
            self._windows.append(_Window(snapshot))
        return self._windows[-1]

    async def payloads(self, batches: Sequence[Batch]) -> list[bytes]:
        """The payloads of polled batches, in their order. Raises `LeaseLost` if one is gone: then it was taken from us."""
        found: dict[int, bytes] = {}
        for table, group in groupby(sorted(batches, key=attrgetter("table")), key=attrgetter("table")):
            wanted = list(group)
            values = {
                "lane": self.lane,
                "txids": [str(batch.txid) for batch in wanted],
                "batch_ids": [batch.batch_id for batch in wanted],
            }
            with translated(self._connection):
                # Not prepared: a plan that was made for an empty table would stay.
                cursor = await self._connection.execute(for_table(q.payloads, table), values, prepare=False, binary=True)
                rows = await cursor.fetchall()
            if len(rows) != len(wanted):
                raise self._lost()
            found.update((batch.batch_id, row[0]) for batch, row in zip(wanted, rows, strict=True))
        return [found[batch.batch_id] for batch in batches]

    def is_pending(self, batch_id: int) -> bool:
        """Whether it was polled, and is not known to be loaded."""
        return batch_id in self._pending

    # ── What is loaded ─────────────────────────────────────────────────────────────────────────────────────────────

    async def mark(self, loaded: Collection[Loaded]) -> None:
        """Writes the marks, in the load's transaction. After its commit comes `settle`; after a rollback, nothing."""
        of_table = {one.batch_id: self._pending[one.batch_id][0].table for one in loaded}
        for table in sorted(set(of_table.values())):
            these = [one for one in loaded if of_table[one.batch_id] == table]
            values = {
                "lane": self.lane,
                "batch_ids": [one.batch_id for one in these],
                "positions": [one.position for one in these],
                "loaded": [one.loaded for one in these],
                "duplicates": [one.duplicates for one in these],
                "results": [None if one.result is None else json.dumps(one.result) for one in these],
            }
            with translated(self._connection):
                await self._connection.execute(for_table(q.mark, table), values)

    def settle(self, loaded: Collection[Loaded]) -> None:
        """Their load is committed: they are not pending any more."""
        for one in loaded:
            _, window = self._pending.pop(one.batch_id)
            window.waiting -= 1

    async def advance(self, *, force: bool = False) -> bool:
        """Moves the stored position to where everything is loaded; at most once a second, and only if something was.

        Call it between loads, and when there is nothing to load: rotation waits for it. True if it wrote; raises `LeaseLost`.
        """
        assert self._epoch is not None, "advance() before acquire()"
        while self._windows and self._windows[0].waiting == 0 and not self._is_being_read(self._windows[0]):
            window = self._windows.popleft()
            self._floor = window.snapshot
            self._floor_is_news = self._floor_is_news or window.had_batches
        if self._floor is None or not self._floor_is_news:
            return False
        if not force and self._clock() - self._advanced_at < self._settings.advance_s:
            return False
        self._advanced_at = self._clock()
        if await self._one(q.advance, {"lane": self.lane, "epoch": self._epoch, "position": self._floor}) is None:
            raise self._lost()
        self._floor_is_news = False
        return True

    def _is_being_read(self, window: _Window) -> bool:
        return self._page is not None and self._page[0] is window

    async def _one(self, query: Any, values: dict[str, Any]) -> tuple[Any, ...] | None:
        with translated(self._connection):
            cursor = await self._connection.execute(query, values)
            return await cursor.fetchone()
