"""Run an import: read, map, send, remember; resumable after SIGKILL at any instant.

Each batch goes the way of an HTTP request: it is checked against the model, and durable before the next is
remembered. A run that was killed goes on after the last batch that it remembered; what it sends twice has the
ids it had before and counts once. At most `pending_batches_max` batches are on their way to be loaded, so that
an import never fills the queue.

What cannot be mapped or is refused goes to the rejects file with its line and reason, and the rest goes on.
Raises `MapError`, `ImportRefused`, `FileDamaged` (what was read before is in), and what the sink raises.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final

import msgspec

from ._types import Map, Tables
from .batches import Batch, Reject, encode, own_columns, read_batches
from .plan import ImportRefused, Plan, Step, load_lookups, plan_import
from .record import Counts, Progress, ProgressFile, RejectsFile
from .sink import Refused, Sink

__all__ = ["Summary", "Watch", "run_import"]

COMMANDS_PER_BATCH: Final = 500  # one transaction

# Called after each batch: the step's name, how much of all files is read (0 to 1), rows so far, and the counts.
Watch = Callable[[str, float, int, Counts], None]


class Summary(msgspec.Struct, kw_only=True):
    """What came of an import; also what `--json` prints."""

    file: str
    tenant: str
    resumed: bool  # an earlier run had begun it
    seconds: float
    rows_s: int
    counts: Counts
    rejects: str | None  # the file, where there are any
    left_out: tuple[str, ...]

    def flat(self) -> dict[str, Any]:
        own: dict[str, Any] = msgspec.to_builtins(self)
        return {**own.pop("counts"), **own}


async def run_import(
    target: Path,
    whole: Map,
    sink: Sink,
    *,
    tenant: str,
    progress_folder: Path,
    rejects_path: Path,
    restart: bool = False,
    batch_rows: int = 5_000,
    pending_batches_max: int = 8,
    watch: Watch | None = None,
) -> Summary:
    plan = plan_import(target, whole)
    file = ProgressFile(progress_folder, fingerprint=plan.fingerprint, tenant=tenant, database=sink.identity)
    found = None if restart else file.load()
    progress = found or Progress()
    rejects = RejectsFile(rejects_path, keep_bytes=progress.rejects_bytes)
    run = _Run(
        plan=plan,
        whole=whole,
        tables=load_lookups(whole, plan),
        sink=sink,
        progress=progress,
        file=file,
        rejects=rejects,
        batch_rows=batch_rows,
        pending_batches_max=pending_batches_max,
        watch=watch,
        started=monotonic() - progress.seconds,
    )
    try:
        await run.all_steps()
    finally:
        rejects.close()
    file.remove()
    seconds = monotonic() - run.started
    return Summary(
        file=str(target),
        tenant=tenant,
        resumed=found is not None,
        seconds=round(seconds, 3),
        rows_s=round(progress.counts.read / seconds) if seconds > 0 else 0,
        counts=progress.counts,
        rejects=str(rejects_path) if progress.counts.rejected else None,
        left_out=plan.left_out,
    )


@dataclass(kw_only=True)
class _Run:
    plan: Plan
    whole: Map
    tables: Tables
    sink: Sink
    progress: Progress
    file: ProgressFile
    rejects: RejectsFile
    batch_rows: int
    pending_batches_max: int
    watch: Watch | None
    started: float

    async def all_steps(self) -> None:
        groups = [step for step in self.plan.steps if step.kind == "groups"]
        if self.progress.step < len(groups):
            await self._groups(groups)
        for number, step in enumerate(self.plan.steps):
            if number < self.progress.step:
                continue
            if step.kind == "activities":
                await self._activities(step)
            else:
                await self._commands(step)
            self.progress.step, self.progress.rows = number + 1, 0
            self._save()

    async def _groups(self, steps: list[Step]) -> None:
        """All groups at once, parents first: a table of teams may name a parent that it describes later.

        Several rows of one group make one command, in which the later row wins field by field.
        """
        found: dict[str, dict[str, Any]] = {}
        for step in steps:
            async with aclosing(self._batches(step, skip=0)) as batches:
                async for batch in batches:
                    for item in batch.items:
                        _merge(found, msgspec.json.decode(item))
                    self._note(batch.rejects)
        ordered = [encode(command) for command in _parents_first(found)]
        for start in range(0, len(ordered), COMMANDS_PER_BATCH):
            self.progress.counts.groups += await self._command(ordered[start : start + COMMANDS_PER_BATCH], "groups")
        self.progress.step, self.progress.rows = len(steps), 0
        self._save()

    async def _commands(self, step: Step) -> None:
        counts = self.progress.counts
        async with aclosing(self._batches(step, skip=self.progress.rows)) as batches:
            async for batch in batches:
                self._note(batch.rejects)
                done = 0
                for start in range(0, len(batch.items), COMMANDS_PER_BATCH):
                    done += await self._command(batch.items[start : start + COMMANDS_PER_BATCH], step.kind)
                if step.kind == "actors":
                    counts.actors += done
                else:
                    counts.members += done
                self.progress.rows = batch.rows
                self._save()

    async def _command(self, commands: Sequence[bytes], section: str) -> int:
        """How many were done. Waits: what a command answers is part of what is remembered."""
        sent = await self.sink.command(commands)
        outcome = await self.sink.wait(sent)
        self.progress.counts.dead_letters += outcome.dead
        for refused in outcome.refused:
            self._note(
                [
                    Reject(
                        file=self.whole.name,
                        line=0,
                        section=section,
                        pointer=refused.pointer,
                        reason=refused.detail,
                        row=msgspec.Raw(commands[refused.index]),
                    )
                ]
            )
        return 0 if outcome.dead else len(commands) - len({refused.index for refused in outcome.refused})

    async def _activities(self, step: Step) -> None:
        counts = self.progress.counts
        pending: deque[int] = deque()
        async with aclosing(self._batches(step, skip=self.progress.rows)) as batches:
            async for batch in batches:
                if batch.items:
                    sent = await self.sink.send(batch.items)
                    counts.accepted += sent.accepted
                    self._note(_refusals(step, sent.refused, batch, self.whole))
                    if sent.receipt is not None:
                        pending.append(sent.receipt)
                self._note(batch.rejects)
                counts.read += batch.rows - self.progress.rows
                counts.skipped += batch.skipped
                self.progress.rows = batch.rows
                self._save()
                while len(pending) >= self.pending_batches_max:
                    await self._loaded(pending.popleft())
        while pending:
            await self._loaded(pending.popleft())

    async def _loaded(self, receipt: int) -> None:
        outcome = await self.sink.wait(receipt)
        self.progress.counts.loaded += outcome.loaded
        self.progress.counts.duplicates += outcome.duplicates
        self.progress.counts.dead_letters += outcome.dead

    async def _batches(self, step: Step, *, skip: int) -> AsyncGenerator[Batch, None]:
        """The step's batches, one being made in a thread while the one before is sent."""
        batches = read_batches(step, self.whole, self.tables, skip=skip, batch_rows=self.batch_rows)
        before = sum(one.bytes() for one in self.plan.steps[: self.plan.steps.index(step)])
        every = sum(one.bytes() for one in self.plan.steps) or 1
        coming = asyncio.create_task(asyncio.to_thread(_next, batches))
        try:
            while (batch := await coming) is not None:
                coming = asyncio.create_task(asyncio.to_thread(_next, batches))
                yield batch
                if self.watch is not None:
                    share = batch.done / batch.total if batch.total else 1.0
                    self.watch(step.name, (before + share * step.bytes()) / every, batch.rows, self.progress.counts)
        finally:
            # A generator cannot be closed while a thread is inside it.
            await asyncio.gather(coming, return_exceptions=True)
            batches.close()  # type: ignore[attr-defined]

    def _note(self, rejects: Sequence[Reject]) -> None:
        for reject in rejects:
            where = " ".join(part for part in (reject.section, reject.pointer) if part)
            self.progress.counts.reject(f"{where}: {reject.reason}" if where else reject.reason)
        self.rejects.write(rejects)

    def _save(self) -> None:
        self.progress.rejects_bytes = self.rejects.bytes
        self.progress.seconds = monotonic() - self.started
        self.file.save(self.progress)


def _merge(groups: dict[str, dict[str, Any]], command: dict[str, Any]) -> None:
    known = groups.setdefault(command["id"], {})
    attributes = {**known.get("attributes", {}), **command.get("attributes", {})}
    known |= command
    if attributes:
        known["attributes"] = attributes


def _next(batches: Iterator[Batch]) -> Batch | None:
    return next(batches, None)


def _refusals(step: Step, refused: Sequence[Refused], batch: Batch, whole: Map) -> list[Reject]:
    """One reject for each activity that was refused, whatever the number of its mistakes."""
    by_index: dict[int, list[Refused]] = {}
    for one in refused:
        by_index.setdefault(one.index, []).append(one)
    rejects = []
    for index, mistakes in by_index.items():
        line, section, row = batch.origins[index]
        rejects.append(
            Reject(
                file=step.path.name if step.path else whole.name,
                line=line,
                section=section,
                pointer=mistakes[0].pointer,
                reason=mistakes[0].detail,
                detail="; ".join(f"{one.pointer} {one.detail}" for one in mistakes[1:]),
                row=own_columns(row, frozenset(whole.lookups)),
            )
        )
    return rejects


def _parents_first(groups: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    ordered: list[dict[str, Any]] = []
    state: dict[str, bool] = {}  # False: being placed, True: placed
    for name in groups:
        chain = []
        own: str | None = name
        while own in groups and own not in state:
            state[own] = False
            chain.append(own)
            own = groups[own].get("parent")
        if own in state and not state[own]:
            raise ImportRefused(f"group {own!r} is among its own ancestors", group=own)
        for placed in reversed(chain):
            state[placed] = True
            ordered.append(groups[placed])
    return ordered
