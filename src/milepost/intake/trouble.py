"""Trouble: one lane's tenants whose load failed, and what is done about each (see `isolate` for how).

The lane asks whose turn it is, and how long a run may be; it tells what failed and what went well. What is found at fault is set
aside as dead letters in the transaction that marks its batch, so that every row is loaded, or lies there, or neither of the two
has happened yet: whichever process dies, at whatever instant.

Commands are not searched for stretch by stretch: a list of them is one transaction, in which each that fails is taken back alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from milepost import faults, telemetry
from milepost.errors import DatabaseUnavailable, MilepostError, StoreUnavailable, Timeout
from milepost.intake import _rows
from milepost.intake._batches import Batch, Kind, Loaded
from milepost.intake.commands import decode_commands
from milepost.intake.dead_letters import NewLetter, set_aside
from milepost.intake.fault import Fault, fault_of
from milepost.intake.isolate import BATCHES_TOGETHER, Care, Isolation
from milepost.intake.lane import LeaseLost
from milepost.postgres import translated
from milepost.storage.cold_files import ColdFileDamaged

if TYPE_CHECKING:
    from milepost.intake.load import Lane

__all__ = ["NOT_THE_BATCHS", "Trouble"]

# Not the batch's fault, or not to be told from what is not: the session ends with these, and another one begins.
NOT_THE_BATCHS = (DatabaseUnavailable, LeaseLost, Timeout)
# A session that ended without a word, or for want of memory, or because its transaction took too long: it may be of what it loaded.
OF_WHAT_IT_LOADED = frozenset({None, "53200", "25P04"})
# What comes late needs the archive, which does not answer: this tenant's batches wait until it does.
OF_THE_ARCHIVE = (StoreUnavailable, ColdFileDamaged)

_log = structlog.get_logger(__name__)


class Trouble:
    """Of one lane's session: a session that ends forgets it all, and the next one finds out again. Only whose load ended it is
    remembered (`remember`), for else it would end every session.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._tenants: dict[int, Care] = {}
        self._suspects: dict[int, Care] = {}  # those of them whose load ended a session

    def remember(self, suspects: dict[int, Care]) -> None:
        """Of earlier sessions of this lane, and for later ones: theirs and ours are noted in the same place."""
        self._suspects = suspects
        self._tenants.update(suspects)

    def next_due(self, waiting: Iterable[int]) -> int | None:
        """The first of the waiting tenants whose turn it is; None where each is waiting for its next try."""
        if not self._tenants:
            return next(iter(waiting), None)
        now = monotonic()
        return next((one for one in waiting if one not in self._tenants or self._tenants[one].not_before <= now), None)

    def batches_max(self, tenant_id: int) -> int | None:
        """How many batches the tenant's next run may have; None: as many as fit."""
        care = self._tenants.get(tenant_id)
        return None if care is None else care.batches_max

    def isolating(self, tenant_id: int, batch_id: int) -> bool:
        """Whether the tenant's first batch, this one, is searched, or set aside for ending sessions."""
        care = self._tenants.get(tenant_id)
        if care is None:
            return False
        ends = care.ends_sessions
        return care.isolation is not None or (ends is not None and ends[0].batch_id == batch_id)

    def forget(self) -> None:
        self._tenants.clear()

    def suspected(self, tenant_id: int) -> bool:
        """Its load ended a session, and may do so again: what is loaded before must not be lost with it."""
        return tenant_id in self._suspects

    def went_well(self, tenant_id: int, batch_id: int) -> None:
        """Up to this batch all are done with."""
        care = self._tenants.get(tenant_id)
        if care is not None:
            care.went_well(batch_id)
            if care.batches_max >= BATCHES_TOGETHER:
                del self._tenants[tenant_id]
                self._suspects.pop(tenant_id, None)

    def ended(self, tenant_id: int, run: Sequence[Batch], error: MilepostError) -> None:
        """The session ended while it loaded the run. If that may be of what it loaded, its batches are loaded one by one next, and
        the one that ends `load_tries_max` sessions alone, and each time it is tried, is set aside as a whole. It is not searched
        for its rows: each time, PostgreSQL starts anew, and everybody's work with it.
        """
        if not isinstance(error, DatabaseUnavailable) or error.facts.get("sqlstate") not in OF_WHAT_IT_LOADED:
            return
        care = self._suspects[tenant_id] = self._tenants.setdefault(tenant_id, Care())
        care.isolation = None
        if len(run) > 1:
            care.batches_max, care.alone_up_to, care.tries = 1, run[-1].batch_id, 0
        else:
            care.batches_max = 1
            care.tries += 1
            if care.tries >= self._lane.settings.load_tries_max:
                fault = fault_of(error)
                care.ends_sessions = run[0], replace(fault, facts={**fault.facts, "searched": False})
        care.wait()
        _log.warning(
            "a session ended while it loaded",
            lane=self._lane.lane, tenant_id=tenant_id, batches=len(run), first_batch_id=run[0].batch_id, tries=care.tries,
            error=str(error),
        )  # fmt: skip

    async def failed(self, tenant_id: int, run: Sequence[Batch], error: Exception) -> int:
        """A run failed, and not by chance. → how many of its batches are done with all the same: 0, but for commands."""
        care = self._tenants.setdefault(tenant_id, Care())
        if isinstance(error, OF_THE_ARCHIVE):
            care.wait()
            _log.warning("a load waits for the archive", lane=self._lane.lane, tenant_id=tenant_id, error=str(error))
            return 0
        if len(run) > 1:
            care.batches_max = len(run) // 2
            return 0
        batch, fault = run[0], fault_of(error)
        care.batches_max = 1
        care.tries += 1
        _log.warning(
            "load failed",
            lane=self._lane.lane,
            tenant_id=tenant_id,
            batch_id=batch.batch_id,
            tries=care.tries,
            error=fault.error,
        )
        if not fault.of_rows and care.tries < self._lane.settings.load_tries_max:
            care.wait()
            return 0
        if batch.kind == Kind.COMMAND:
            return await self._commands_apart(batch, care)
        try:
            payload = _rows.open_payload((await self._lane.reader.payloads([batch]))[0])
            care.isolation = Isolation(batch, payload, tries=care.tries, first_failed_at=care.first_failed_at, fault=fault)
        except NOT_THE_BATCHS:
            raise
        except Exception as unreadable:
            # Where its rows begin and end is not to be known either.
            await self._set_aside_whole(batch, care, fault_of(unreadable))
            return 1
        return 0

    async def isolate(self, tenant_id: int) -> int:
        """One more stretch of the tenant's batch, in a transaction of its own. → 1 when the batch is done with, else 0."""
        care = self._tenants[tenant_id]
        if care.ends_sessions is not None:
            return await self._set_aside_unsearched(care)
        isolation = care.isolation
        assert isolation is not None
        began = monotonic()
        stretch, payload = isolation.stretch()
        try:
            (outcome,) = await self._lane.load_stretch(tenant_id, stretch, payload)
        except NOT_THE_BATCHS:
            raise
        except Exception as error:
            if self._lane.conn.closed:
                raise
            if isinstance(error, OF_THE_ARCHIVE):
                care.wait()
                return 0
            isolation.failed(fault_of(error))
        else:
            isolation.went_well(outcome)
            telemetry.count("loaded_rows", outcome.loaded, lane=str(self._lane.lane))
            faults.reach("isolate.loaded")
        isolation.worked_s += monotonic() - began
        if not isolation.done and isolation.worked_s > self._lane.settings.isolate_s:
            isolation.give_up()
        if not isolation.done:
            return 0
        letters = [
            NewLetter(
                first_row=one.first_row,
                rows=one.rows,
                payload=isolation.payload_of(one),
                fault=one.fault,
                tries=one.tries,
                first_failed_at=one.first_failed_at,
                failed_at=one.failed_at,
            )
            for one in isolation.refused
        ]
        mark = Loaded(
            batch_id=isolation.batch.batch_id,
            position=isolation.position,
            loaded=isolation.loaded,
            duplicates=isolation.duplicates,
            result=_result(isolation.batch, letters),
        )
        await self._set_aside(isolation.batch, mark, letters)
        self.went_well(tenant_id, isolation.batch.batch_id)
        return 1

    async def _set_aside_unsearched(self, care: Care) -> int:
        assert care.ends_sessions is not None
        batch, fault = care.ends_sessions
        if not self._lane.reader.is_pending(batch.batch_id):  # another process was done with it meanwhile
            self.went_well(batch.tenant_id, batch.batch_id)
            return 0
        await self._set_aside_whole(batch, care, fault)
        return 1

    async def _set_aside_whole(self, batch: Batch, care: Care, fault: Fault) -> None:
        letter = _letter(0, batch.rows, (await self._lane.reader.payloads([batch]))[0], fault, care)
        mark = Loaded(batch_id=batch.batch_id, position=0, loaded=0, duplicates=0, result=_result(batch, [letter]))
        await self._set_aside(batch, mark, [letter])
        self.went_well(batch.tenant_id, batch.batch_id)

    async def _set_aside(self, batch: Batch, mark: Loaded, letters: Sequence[NewLetter]) -> None:
        """What is not loaded of a batch, and its mark, in one transaction."""
        async with self._lane.transaction(batch.tenant_id):
            if letters:
                await set_aside(self._lane.conn, batch, letters)
            await self._lane.reader.mark([mark])
            faults.reach("isolate.before_commit")
        self._committed(batch, mark, letters)

    def _committed(self, batch: Batch, mark: Loaded, letters: Sequence[NewLetter]) -> None:
        faults.reach("isolate.after_commit")
        self._lane.reader.settle([mark])
        self._lane.queue.loaded_hint([mark])
        if letters:
            _log.error(
                "set aside as dead letters",
                tenant_id=batch.tenant_id,
                batch_id=batch.batch_id,
                rows=sum(one.rows for one in letters),
                of=batch.rows,
                first_row=letters[0].first_row,
                error_class=letters[0].fault.error_class,
                error=letters[0].fault.error,
            )

    async def _commands_apart(self, batch: Batch, care: Care) -> int:
        """The commands of one batch, each in a savepoint of its own: what fails is taken back and set aside alone."""
        payload = (await self._lane.reader.payloads([batch]))[0]
        try:
            commands = decode_commands(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError) as unreadable:
            await self._set_aside_whole(batch, care, fault_of(unreadable))
            return 1
        conn, position = self._lane.conn, 0
        answers: list[dict[str, Any]] = []
        letters: list[NewLetter] = []
        async with self._lane.transaction(batch.tenant_id):
            runner = self._lane.runner(batch.tenant_id)
            for index, command in enumerate(commands):
                try:
                    with translated(conn):
                        async with conn.transaction():
                            answers += await runner.run([command], batch.received_at)
                            position = await self._lane.journal(batch.tenant_id)
                except NOT_THE_BATCHS:
                    raise
                except Exception as error:
                    if conn.closed:
                        raise
                    fault = fault_of(error)
                    answers.append({"status": 500, "detail": f"It lies in the dead letters: {fault.error}"})
                    letters.append(_letter(index, 1, msgspec.json.encode(command), fault, care))
            result = answers[0] if len(answers) == 1 else {"answers": answers}
            mark = Loaded(
                batch_id=batch.batch_id, position=position, loaded=batch.rows - len(letters), duplicates=0, result=result
            )
            if letters:
                await set_aside(conn, batch, letters)
            await self._lane.reader.mark([mark])
            faults.reach("isolate.before_commit")
        self._committed(batch, mark, letters)
        self.went_well(batch.tenant_id, batch.batch_id)
        return 1


def _letter(first_row: int, rows: int, payload: bytes, fault: Fault, care: Care) -> NewLetter:
    return NewLetter(
        first_row=first_row, rows=rows, payload=payload, fault=fault, tries=care.tries,
        first_failed_at=care.first_failed_at, failed_at=datetime.now(UTC),
    )  # fmt: skip


def _result(batch: Batch, letters: Sequence[NewLetter]) -> dict[str, Any] | None:
    """What the mark says of a batch of which some rows were set aside: 500 for all of it, 207 for a part."""
    rows = sum(one.rows for one in letters)
    if not rows:
        return None
    return {"status": 500 if rows == batch.rows else 207, "set_aside": rows, "detail": letters[0].fault.error}
