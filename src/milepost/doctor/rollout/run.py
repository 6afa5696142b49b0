"""One rollout: all operations are started, in order, then all completed; or all are rolled back, in reverse.

So what cannot be taken back (dropping what was replaced) comes last, when everything else is in place. `hold` stops in between: the
application runs on the new shape, and either `run` completes it or `roll_back` returns.

One at a time: the session that acts holds an advisory lock, which ends with it. A killed process leaves its backend at work (a
concurrent build goes on until it notices); the next run waits for it a while, then reads the journal and goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from milepost.doctor import promises
from milepost.doctor.rollout.file import Change
from milepost.doctor.rollout.journal import Entry, Journal, Standing, standing
from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.waits import Waits
from milepost.doctor.rollout.work import Event, Work
from milepost.doctor.target import Target
from milepost.errors import Conflict, DatabaseUnavailable, MilepostError, NotFound
from milepost.faults import reach
from milepost.postgres import Connection, advisory_lock, translated

__all__ = ["LOCK", "Outcome", "Rollout"]

LOCK = "milepost/rollout"
LOCK_WAIT_S = 30.0
# A backend whose client is gone ends within this, instead of building on for nobody.
SESSION = {"client_connection_check_interval": "2s", "idle_in_transaction_session_timeout": "60s"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Where the change is now. error: why it was rolled back; None otherwise."""

    standing: Standing
    error: MilepostError | None = None


class Rollout:
    """Made by `open`, which holds the lock."""

    def __init__(self, target: Target, connection: Connection, waits: Waits, say: Callable[[Event], None]) -> None:
        self._target = target
        self._connection = connection
        self._waits = waits
        self._say = say

    @classmethod
    @asynccontextmanager
    async def open(
        cls, target: Target, *, waits: Waits | None = None, say: Callable[[Event], None] = lambda _: None
    ) -> AsyncIterator[Rollout]:
        """Raises `Timeout` if another rollout runs on this database, `Conflict` on a standby."""
        if target.standby:
            raise Conflict("This server is a standby: run the rollout on its primary.")
        async with target.writing(settings=SESSION) as connection, advisory_lock(connection, LOCK, timeout_s=LOCK_WAIT_S):
            yield cls(target, connection, waits or Waits(), say)

    async def run(self, change: Change, *, hold: bool = False, again: bool = False) -> Outcome:
        """Goes on with this change where it is, or begins it. Completed before: nothing happens, unless it is wanted `again`.

        An operation that fails is rolled back with those before it; the outcome has the error. Raises `Conflict` if another change is
        under way, `DatabaseUnavailable` when the connection is lost: run again.
        """
        with translated(self._connection):
            newest = await standing(self._connection)
            if newest is not None and not newest.ended and newest.digest != change.digest:
                raise Conflict(
                    f"{newest.name} is under way ({newest.state}): run it to its end or roll it back first.", name=newest.name
                )
            found = await standing(self._connection, change.digest)
            if found is not None and found.state == "completed" and not again:
                return Outcome(standing=found)
            if found is None or found.ended:
                await Journal.prepare(self._connection)
                await Journal.begin(self._connection, change.name, change.digest, change.tables)
                found = await self._found(change)
            if change.promises and found.untouched:
                expect = promises.expecting(await promises.kept(self._target))
                await promises.begin(self._connection, self._target, found.rollout_id, change.promises, expect, self._note)
        if found.state == "rolling_back":
            return Outcome(standing=await self._roll_back(found))
        journal = Journal(self._connection, found.rollout_id)
        if found.state == "starting":
            try:
                await self._start(change, found)
            except MilepostError as error:
                if self._connection.closed or isinstance(error, DatabaseUnavailable):
                    raise
                return Outcome(standing=await self._roll_back(await self._found(change), str(error)), error=error)
            await journal.set("held")
            reach("rollout.step")
        if not hold:
            await self._complete(change, journal)
            await promises.finish(self._connection, self._target, found.rollout_id, self._note)
        return Outcome(standing=await self._found(change))

    async def judge(self, found: Standing) -> promises.Verdict:
        """Whether a change that is held helps, by the statements of which its promises are. Raises nothing of its own."""
        verdict = await promises.judge(self._connection, self._target, found.rollout_id, self._note)
        reach("rollout.step")
        return verdict

    async def roll_back(self, why: str | None = None) -> Outcome:
        """Takes back the change under way, or the last one. why: for the journal. Raises `NotFound` if there is none, `Conflict` if it
        cannot be taken back.
        """
        with translated(self._connection):
            found = await standing(self._connection)
        if found is None:
            raise NotFound("There was no rollout on this database.")
        if found.state == "rolled_back":
            return Outcome(standing=found)
        return Outcome(standing=await self._roll_back(found, why))

    # ── Acts ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _start(self, change: Change, found: Standing) -> None:
        for operation, entry in zip(change.operations, found.operations, strict=True):
            work = self._work(found.rollout_id, entry)
            if entry.state == "pending":
                self._tell("validating", operation)
                await operation.validate(work)
                await self._mark(found, entry, "starting")
            if entry.state in ("pending", "starting"):
                self._tell("starting", operation)
                await operation.start(work)
                await self._mark(found, entry, "started")

    async def _complete(self, change: Change, journal: Journal) -> None:
        found = await self._found(change)
        with translated(self._connection):
            await journal.set("completing")
        for operation, entry in zip(change.operations, found.operations, strict=True):
            if entry.state == "completed":
                continue
            self._tell("completing", operation)
            await self._mark(found, entry, "completing")
            await operation.complete(self._work(found.rollout_id, entry))
            await self._mark(found, entry, "completed")
        with translated(self._connection):
            await journal.set("completed")

    async def _roll_back(self, found: Standing, why: str | None = None) -> Standing:
        change = Change.of(found.name, [entry.operation for entry in found.operations])
        journal = Journal(self._connection, found.rollout_id)
        touched = [
            (operation, entry)
            for operation, entry in zip(change.operations, found.operations, strict=True)
            if entry.state not in ("pending", "rolled_back")
        ]
        for operation, entry in touched:
            operation.check_reversible(entry.state)
        with translated(self._connection):
            await journal.set("rolling_back", why or found.error)
        for operation, entry in reversed(touched):
            self._tell("rolling back", operation)
            await self._mark(found, entry, "rolling_back")
            await operation.roll_back(self._work(found.rollout_id, entry))
            await self._mark(found, entry, "rolled_back")
        with translated(self._connection):
            await journal.set("rolled_back", why or found.error)
        return await self._found(change)

    # ── Parts ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _work(self, rollout_id: int, entry: Entry) -> Work:
        journal = Journal(self._connection, rollout_id)
        return Work(self._connection, self._target, self._waits, journal, entry.position, entry.memory, self._say)

    def _note(self, text: str) -> None:
        self._say(Event(text=text))

    def _tell(self, act: str, operation: Operation) -> None:
        self._say(Event(text=f"{act}: {operation.describe()}"))

    async def _mark(self, found: Standing, entry: Entry, state: str) -> None:
        with translated(self._connection):
            await Journal(self._connection, found.rollout_id).set_operation(entry.position, state)  # type: ignore[arg-type]

    async def _found(self, change: Change) -> Standing:
        with translated(self._connection):
            found = await standing(self._connection, change.digest)
        assert found is not None
        return found
