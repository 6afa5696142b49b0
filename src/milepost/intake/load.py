"""Load: take a lane's batches into the tables and everything derived from them, one transaction a tenant at a time.

A lane has one loader, which holds the lane's lease on a connection of its own. `run_once` polls for new batches and loads what it
found, round-robin by tenant: consecutive batches of activities together, up to `batch_rows_max` rows, and runs of commands. So
batches are small when little comes in and large under load, without a timer. Each transaction locks the lane's row and compares
its epoch, and compares the model's version, before it writes anything.

How it fails: what cannot be loaded is narrowed down to its rows, which become dead letters while the lane goes on (`Trouble`); a
lost connection or lease ends the session, and `run_lane` begins a new one; whatever was not committed is loaded again, and counts
once, because ids and marks are in the same transaction.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from uuid import UUID

import structlog

from milepost import faults, telemetry
from milepost.activity import id_from
from milepost.errors import Conflict, MilepostError
from milepost.intake import parked
from milepost.intake._batches import Batch, Loaded
from milepost.intake._contents_out import ContentsOut
from milepost.intake._load_rows import LoadRows
from milepost.intake.commands import Runner, decode_commands
from milepost.intake.compiled import Compiled, ModelChanged, compile_current
from milepost.intake.derive import derive
from milepost.intake.history import History
from milepost.intake.lane import LaneReader, LaneSettings
from milepost.intake.queue import Queue
from milepost.intake.trouble import NOT_THE_BATCHS, Trouble
from milepost.intake.write import PartitionGone, Writer, read_rows
from milepost.postgres import Connection, Database, load_queries, translated
from milepost.schema.compile import CompiledModel
from milepost.settings import Settings
from milepost.storage.content import LIE_THERE, WAIT, Contents
from milepost.storage.naming import NAME, named_values
from milepost.storage.objects import object_store

__all__ = ["Lane"]

_queries = load_queries(__package__, "load.sql")
_log = structlog.get_logger(__name__)

COMMANDS_PER_LOAD_MAX = 500
LOOKS_AFTER_DUPLICATE = 50  # loads
POLL_AGAIN_S = 0.1
GATHER_S_MAX = 1.0
PENDING_MAX = 50_000  # batches: what is known of them lies in memory, about half a kilobyte each
# A load of few rows is mostly planning. Up to so many the planner takes a stage to be of the same size (10 pages), so what it planned for one
# serves the next ones, until tables may have grown (docs/decisions/2026-11-30-small-loads-keep-their-plans.md).
SMALL_ROWS_MAX = 200
PLANS_KEPT_S, PLANS_KEPT_ROWS = 60.0, 1_000
PREPARED_MAX = 1_000  # statements: a load of a large model runs hundreds
HORIZON_HELD_S = 5.0  # from then on a lane folds at most once a second
SESSION = {
    # The queue is the record: a load that a crash takes back is loaded again.
    "synchronous_commit": "off",
    # Temp tables change their size with every load: a generic plan made for an empty one would be wrong. Small loads are alike (`_plan`).
    "plan_cache_mode": "force_custom_plan",
    # Nobody analyses a stage: estimates of 20 rows for 20,000 made the planner compare each row with each group of the tenant
    # (4.5 s a load). Without materialising it looks each name up by index, whatever it believes.
    "enable_material": "off",
    "enable_mergejoin": "off",  # for the same reason: hashing needs no guess of how many rows there are to sort
    "work_mem": "64MB",
    "temp_buffers": "64MB",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}


class Lane:
    """One lane's loading session. Not reentrant: one task runs it."""

    def __init__(
        self,
        db: Database,
        queue: Queue,
        lane: int,
        holder: str,
        settings: Settings,
        *,
        leaving: asyncio.Event | None = None,
    ) -> None:
        """leaving: when it is set, `run_once` ends after the load under way, with whatever waits."""
        self.db = db
        self.queue = queue
        self.lane = lane
        self.leaving = leaving or asyncio.Event()
        self.settings = settings
        self.holder = holder
        self.waiting: dict[int, deque[Batch]] = {}  # by tenant, in order
        self._conn: Connection | None = None
        self._reader: LaneReader | None = None
        self._compiled: Compiled | None = None
        self.trouble = Trouble(self)
        self.history = History(self)
        self._looks: dict[int, int] = {}  # by tenant: for how many more loads ids are looked for before they are inserted
        self._writer = Writer(db)
        self._contents = Contents(object_store(db.settings))
        self._contents_out = ContentsOut(self._contents)
        self._horizon = ("", 0.0)
        self._folded_at = 0.0
        self._planned_at = float("-inf")
        self._folded_since_planned = 0

    @property
    def conn(self) -> Connection:
        assert self._conn is not None, "the lane is not open"
        return self._conn

    @property
    def reader(self) -> LaneReader:
        assert self._reader is not None, "the lane is not open"
        return self._reader

    async def open(self) -> bool:
        """Connect and take the lease. False: another loader holds the lane."""
        self._conn = await self.db.direct(f"lane-{self.lane}", settings=SESSION)
        self._conn.prepared_max = PREPARED_MAX
        lease_s = self.settings.lease_s
        settings = LaneSettings(lease_s=lease_s, renew_s=min(LaneSettings.renew_s, 0.3 * lease_s))
        self._reader = LaneReader(self._conn, self.lane, self.holder, settings)
        if not await self._reader.acquire():
            await self.close()
            return False
        await self.compile()
        return True

    async def close(self) -> None:
        """Give the lease back where that is still possible. Safe twice."""
        conn, reader = self._conn, self._reader
        self._conn = self._reader = None
        self.waiting.clear()
        self._writer.forget()
        self.trouble.forget()
        if conn is None:
            return
        if reader is not None and not conn.closed:
            with suppress(MilepostError):
                await reader.release()
        await conn.close()

    async def run_once(self) -> int:
        """Load all that is in the lane now, and one chunk of history where a new rollup is being filled. → batches loaded."""
        loaded, took_s = 0, 0.0
        while not self.leaving.is_set() and await self.poll():
            if pause := await self.pace_s():
                await asyncio.sleep(pause)
                await self.poll()
            await self._gather(took_s)
            began = polled_at = monotonic()
            while not self.leaving.is_set() and self.trouble.next_due(self.waiting) is not None:
                loaded += await self.step()
                # Else who comes while a long backlog is loaded would wait behind all of it, whoever's it is.
                if monotonic() - polled_at > POLL_AGAIN_S and self.reader.pending < PENDING_MAX:
                    await self.poll()
                    polled_at = monotonic()
            took_s = monotonic() - began
            if self.waiting:  # all of them wait for another try
                break
        while not self.leaving.is_set() and await self.history.fill():
            pass
        return loaded

    async def _gather(self, took_s: float) -> None:
        """Rest as long as the loads before took, unless a full load waits: so under load there are fewer and larger ones, which fold cheaper
        (of 10,000 rows a row costs PostgreSQL 38 us, of 40,000 it costs 30), and a lone activity is loaded at once all the same."""
        until = monotonic() + min(took_s, GATHER_S_MAX)
        while not self.leaving.is_set() and (left := until - monotonic()) > 0:
            if sum(batch.rows for batches in self.waiting.values() for batch in batches) >= self.settings.batch_rows_max:
                return
            await asyncio.sleep(min(left, POLL_AGAIN_S))
            await self.poll()

    async def poll(self) -> int:
        """Look for new batches. → how many wait."""
        await self.reader.renew()
        for batch in await self.reader.poll():
            self.waiting.setdefault(batch.tenant_id, deque()).append(batch)
        waiting = sum(len(batches) for batches in self.waiting.values())
        if not waiting:
            await self.reader.advance()
        return waiting

    async def pace_s(self) -> float:
        """How long to wait before the next fold: under a held horizon each fold leaves row versions that nobody can remove."""
        with translated():
            row = await (await self.conn.execute(_queries.horizon)).fetchone()
        now, horizon = monotonic(), row[0] if row else ""
        if horizon != self._horizon[0]:
            self._horizon = (horizon, now)
        held = now - self._horizon[1] > HORIZON_HELD_S
        return max(0.0, self._folded_at + 1.0 - now) if held else 0.0

    async def step(self) -> int:
        """Load the next tenant's run: consecutive batches of one kind. → batches loaded or set aside."""
        await self.reader.renew()
        tenant_id = self.trouble.next_due(self.waiting)
        assert tenant_id is not None, "step() with nothing due"
        batches = self.waiting.pop(tenant_id)  # the tenant goes to the end of the round
        run = [batches.popleft()]
        rows = run[0].rows
        most = self.settings.batch_rows_max if run[0].kind == 0 else COMMANDS_PER_LOAD_MAX
        longest = self.trouble.batches_max(tenant_id) or most
        while batches and batches[0].kind == run[0].kind and rows + batches[0].rows <= most and len(run) < longest:
            rows += batches[0].rows
            run.append(batches.popleft())
        try:
            done = await self._load_isolating(tenant_id, run)
        except BaseException:
            batches.extendleft(reversed(run))
            self.waiting[tenant_id] = batches
            raise
        batches.extendleft(reversed(run[done:]))
        if batches:
            self.waiting[tenant_id] = batches
        await self.reader.advance()  # else a long backlog would keep the queue's tables from being emptied
        return done

    async def _load_isolating(self, tenant_id: int, run: list[Batch]) -> int:
        """Load the run, or what of it can be loaded (`Trouble`). → how many of its batches, from the first on, are done with."""
        try:
            if self.trouble.isolating(tenant_id, run[0].batch_id):
                return await self.trouble.isolate(tenant_id)
            await self._load(tenant_id, run)
        except ModelChanged:
            await self.compile()
            return 0
        except PartitionGone:
            self._writer.forget()
            return 0
        except NOT_THE_BATCHS as error:
            self.trouble.ended(tenant_id, run, error)
            raise
        except Exception as error:
            if self.conn.closed:
                raise
            # Whatever is remembered of the tables may be what is wrong.
            self._writer.forget()
            await self.compile()
            return await self.trouble.failed(tenant_id, run, error)
        self.trouble.went_well(tenant_id, run[-1].batch_id)
        return len(run)

    async def load_stretch(self, tenant_id: int, stretch: Batch, payload: bytes) -> list[Loaded]:
        """Some rows of a batch, in a transaction of their own that does not mark it."""
        while True:
            try:
                return await self._load_activities(tenant_id, [stretch], [payload], all_new=False, mark=False)
            except ModelChanged:
                await self.compile()

    def runner(self, tenant_id: int, *, after_load: bool = False) -> Runner:
        """For commands of one transaction; after_load: in that of a load."""
        compiled = self.compiled
        return Runner(
            self.conn,
            tenant_id,
            compiled.model,
            compiled.acceptor,
            compiled.recall,
            self._contents,
            self._planned,
            after_load=after_load,
        )

    async def journal(self, tenant_id: int) -> int:
        """Write what the delta holds into the tenant's journal. → its position."""
        row = await (await self.conn.execute(_queries.journal, {"tenant_id": tenant_id})).fetchone()
        return row[0] if row else 0

    # ── one transaction ──

    @asynccontextmanager
    async def transaction(self, tenant_id: int) -> AsyncIterator[None]:
        self._writer.names.drop()
        with translated():
            async with self.conn.transaction():
                await self.reader.fence()
                row = await (await self.conn.execute(_queries.begin_load, {"tenant_id": tenant_id})).fetchone()
                if row is None or self._compiled is None or row[2] != self._compiled.version:
                    raise ModelChanged
                if self.trouble.suspected(tenant_id):
                    await self.conn.execute(_queries.durably)
                yield
                faults.reach("load.before_commit")
        self._writer.names.keep()

    def grown(self, rows: int) -> None:
        """So many activities have been folded into some table: plans that are kept may be of one that was empty."""
        self._folded_since_planned += rows

    async def _plan(self, rows: int) -> None:
        """How the statements of a transaction that folds so many activities are planned from here on."""
        self.grown(rows)
        if rows > SMALL_ROWS_MAX:
            return  # anew, as the session does
        if self._folded_since_planned > PLANS_KEPT_ROWS or monotonic() - self._planned_at > PLANS_KEPT_S:
            await self.conn.execute(_queries.forget_plans)
            self._planned_at, self._folded_since_planned = monotonic(), 0
        await self.conn.execute(_queries.keep_plans)

    @asynccontextmanager
    async def _planned(self, rows: int) -> AsyncIterator[None]:
        """Statements that fold so many activities are planned as those of a load of as many; those before and after are planned anew."""
        await self._plan(rows)
        yield
        await self.conn.execute(_queries.plan_anew)

    async def _load(self, tenant_id: int, run: list[Batch]) -> None:
        began = monotonic()
        payloads = await self.reader.payloads(run)
        if run[0].kind == 0:
            marks = await self._load_new_or_known(tenant_id, run, payloads)
        else:
            marks = await self._load_commands(tenant_id, run, payloads)
        faults.reach("load.after_commit")
        self.reader.settle(marks)
        self._folded_at = monotonic()
        self.queue.loaded_hint(marks)
        lane = str(self.lane)
        telemetry.observe("load_seconds", self._folded_at - began, lane=lane)
        telemetry.observe("load_rows", sum(batch.rows for batch in run), lane=lane)
        telemetry.count("loads", lane=lane, outcome="loaded")
        telemetry.count("loaded_rows", sum(mark.loaded for mark in marks), lane=lane)
        telemetry.count("duplicates", sum(mark.duplicates for mark in marks), lane=lane)

    async def _load_new_or_known(self, tenant_id: int, run: list[Batch], payloads: Sequence[bytes]) -> list[Loaded]:
        """Looking for each id before inserting it costs a tenth of a load, and hardly ever finds one: so that is left to the primary
        key, until it finds one, and from then on to a look beforehand, until there was no duplicate for a while."""
        looks = self._looks.pop(tenant_id, 0)
        if not looks:
            try:
                return await self._load_activities(tenant_id, run, payloads, all_new=True)
            except Conflict:
                telemetry.count("loads", lane=str(self.lane), outcome="repeated")
                looks = LOOKS_AFTER_DUPLICATE
        marks = await self._load_activities(tenant_id, run, payloads, all_new=False)
        looks = LOOKS_AFTER_DUPLICATE if any(mark.duplicates for mark in marks) else looks - 1
        if looks:
            self._looks[tenant_id] = looks
        return marks

    async def _load_activities(
        self, tenant_id: int, run: list[Batch], payloads: Sequence[bytes], *, all_new: bool, mark: bool = True
    ) -> list[Loaded]:
        """all_new: fails with Conflict where an id is there already, or twice in the run."""
        conn, tenant = self.conn, {"tenant_id": tenant_id}
        with translated():
            opened = await self._contents_out.take(conn, tenant_id, payloads)
        loads = await asyncio.to_thread(read_rows, opened)
        faults.reach("load.contents_kept")
        for rows in loads:
            await self._writer.require_partitions(*rows.span())
        async with self.transaction(tenant_id):
            model, recall, chain = self.compiled.model, self.compiled.recall, self.compiled.chain
            size = sum(batch.rows for batch in run)
            await self._plan(size)
            counting = _counting(model, loads) if size <= SMALL_ROWS_MAX else model
            inserted = await self._writer.write(conn, model.activity, tenant_id, loads, all_new=all_new, recall=recall)
            await recall.for_delta(conn, tenant_id, model, taken_back=False)
            async with conn.pipeline():
                if large := [id_ for rows in loads for id_ in rows.large()]:
                    await conn.execute(WAIT, {**tenant, "ids": large})
                if kept := {id_: digest for rows in loads for id_, digest in rows.kept().items()}:
                    await conn.execute(LIE_THERE, {**tenant, "ids": list(kept), "digests": list(kept.values())})
                missing = None
                if named := [one for rows in loads for one in rows.files()]:
                    missing = await conn.execute(NAME, {**tenant, **named_values(named)})
                await conn.execute(_queries.stream, tenant)
                await derive(conn, counting, tenant_id, taken_back=False)
                if chain is not None:
                    names = self._writer.named
                    await chain.load(conn, tenant_id, _span_of(loads), names=names, kept=bool(kept), files=bool(named))
                journal = await conn.execute(_queries.journal, tenant)
                waited = await conn.execute(parked.TAKE, tenant)
            faults.reach("load.folded")
            position = (await journal.fetchone() or (0,))[0]
            if missing is not None:
                telemetry.count("files_missing", (await missing.fetchone() or (0,))[0])
            fresh = await self._fresh_by_batch(run, inserted)
            marks = [
                Loaded(batch_id=batch.batch_id, position=position, loaded=loaded, duplicates=batch.rows - loaded, result=None)
                for batch, loaded in zip(run, fresh, strict=True)
            ]
            if found := await waited.fetchall():
                await conn.execute(_queries.plan_anew)  # it may fold any amount of history
                await parked.do(self, tenant_id, found)
            if mark:
                await self.reader.mark(marks)
        return marks

    async def _fresh_by_batch(self, run: list[Batch], inserted: int) -> list[int]:
        if inserted == sum(batch.rows for batch in run):
            return [batch.rows for batch in run]
        bounds, first = [], 1
        for batch in run:
            bounds.append(first)
            first += batch.rows
        rows = await (await self.conn.execute(_queries.fresh_by_batch, {"bounds": bounds})).fetchall()
        found: dict[int, int] = dict(rows)
        return [found.get(number + 1, 0) for number in range(len(run))]

    async def _load_commands(self, tenant_id: int, run: list[Batch], payloads: Sequence[bytes]) -> list[Loaded]:
        lists = [decode_commands(payload) for payload in payloads]
        await self._partitions_of(lists)
        if self.compiled.model.milestones:  # a changed target may make some, at the moment of the change
            for batch in run:
                await self._writer.require_partitions(id_from(batch.received_at), id_from(batch.received_at))
        marks = []
        async with self.transaction(tenant_id):
            runner = self.runner(tenant_id)
            for batch, commands in zip(run, lists, strict=True):
                answers = await runner.run(commands, batch.received_at)
                row = await (await self.conn.execute(_queries.journal, {"tenant_id": tenant_id})).fetchone()
                result = answers[0] if len(answers) == 1 else {"answers": answers}
                position = row[0] if row else 0
                marks.append(Loaded(batch_id=batch.batch_id, position=position, loaded=batch.rows, duplicates=0, result=result))
            await self.reader.mark(marks)
        if runner.took_names:
            self._writer.forget()
        return marks

    # ── partitions ──

    async def _partitions_of(self, lists: Sequence[list[dict[str, Any]]]) -> None:
        """The partitions that corrections of `occurred_at` will need; a malformed time is for the correction to answer."""
        for command in (command for commands in lists for command in commands):
            wanted = command.get("patch", {}).get("occurred_at")
            if isinstance(wanted, str):
                with suppress(ValueError, OverflowError):
                    moment = datetime.fromisoformat(wanted).astimezone(UTC)
                    await self._writer.require_partitions(id_from(moment), id_from(moment))

    # ── the model ──

    @property
    def compiled(self) -> Compiled:
        assert self._compiled is not None, "the lane is not open"
        return self._compiled

    async def compile(self) -> None:
        """Compile the current model and make the session's temp tables for it."""
        self._compiled = await compile_current(self.conn, self.db.settings, self._writer.require_anew)


def _counting(model: CompiledModel, loads: Sequence[LoadRows]) -> CompiledModel:
    """What these rows can count for: of a large model a load of few runs a part of the statements."""
    verbs = set[str]()
    for rows in loads:
        found = rows.verbs()
        if found is None:
            return model
        verbs |= found
    return model.counting(verbs)


def _span_of(loads: Sequence[LoadRows]) -> tuple[UUID, UUID]:
    """The smallest id and the largest."""
    spans = [rows.span() for rows in loads]
    return min(low for low, _ in spans), max(high for _, high in spans)
