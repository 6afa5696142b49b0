"""The spill: where batches are durable while the primary is away, in files of this machine.

Each process writes a file of its own in `data_dir/spill/`, and holds a lock on it for as long as it lives. The file of a process
that died is adopted by exactly one other, and stands in line before what that one spills itself. Requests that come while a write
is under way share the next one, as in the queue.

Promises: what `put` has answered survives the death of the process and of the machine; `first` gives batches in the order in which
they were acknowledged, and the same ones again until `drop`. Bounded: beyond `bytes_max` (of payloads, in all files that this process
has in its hands) and on a full disk `put` raises `QueueFull`, and nothing of the batch is kept. A file that is damaged is set aside
under another name, which the log tells as an error; all before the damage has been drained by then.
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from milepost import faults
from milepost.durable_file import DiskFailed, DiskFull, FileCorrupt
from milepost.errors import QueueFull, QueueUnavailable
from milepost.folder import Claim, Folder
from milepost.intake._batches import Idempotency, NewBatch
from milepost.intake._spill_file import Spilled, SpillFile
from milepost.intake.relay import receipt_id
from milepost.telemetry import count, gauge

__all__ = ["Spill", "SpillGroup"]

log = structlog.get_logger(__name__)

WRITTEN_BATCHES_MAX = 512  # in one transaction
WRITTEN_BYTES_MAX = 16 * 1024 * 1024
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})

Answer = TypeVar("Answer")


@dataclass(kw_only=True, slots=True, eq=False)
class _Held:
    """A file in our hands. taken: the number of the last batch that the primary has; what is before it need not be there any more."""

    claim: Claim
    file: SpillFile
    batches: int = 0
    size: int = 0
    taken: int = 0

    @property
    def source(self) -> str:
        return f"spill {self.claim.path.stem}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SpillGroup:
    """The oldest batches there are. source: of these, as relays know it."""

    held: _Held
    batches: list[Spilled]

    @property
    def source(self) -> str:
        return self.held.source


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    batch: NewBatch
    claim: Idempotency | None
    received_at: datetime
    size: int
    receipt_id: asyncio.Future[int]


class Spill:
    """One a process. `start` first, `stop` at the end; in between from one event loop."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self._folder = Folder(folder)
        self._own: _Held | None = None
        self._adopted: deque[_Held] = deque()
        self._finished: list[str] = []  # sources that are gone for good
        self._seq = 0
        self._waiting: deque[_Waiting] = deque()
        self._pending = 0  # put, and not answered yet
        self._pending_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        """Adopts what dead processes have left. Where the folder cannot be used, the log says so, and `put` tries again."""
        if self._thread is not None:
            return
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="milepost-spill")
        try:
            await self.adopt()
            self._own = await self._in_thread(self._new)
        except (OSError, DiskFailed) as error:
            log.error("nothing could be spilled now", folder=str(self._folder.path), error=str(error))

    async def stop(self) -> None:
        """Writes what waits. What is spilled stays for whoever adopts it. Safe twice, and unstarted."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._writing is not None:
            await self._writing
        held = [*self._adopted, *([self._own] if self._own else [])]
        self._adopted.clear()
        self._own = None

        def let_go() -> None:
            for one in held:
                one.file.close()
                if one.batches:
                    one.claim.release()
                else:
                    one.claim.discard()
                    self._finished += [one.source] if one.taken else []

        await asyncio.get_running_loop().run_in_executor(thread, let_go)
        thread.shutdown()

    # ── What it holds ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def batches(self) -> int:
        return sum(one.batches for one in self._line)

    @property
    def bytes(self) -> int:
        return sum(one.size for one in self._line)

    @property
    def empty(self) -> bool:
        """Nothing is in it, and nothing is on its way into it."""
        return not self._pending and not self.batches

    @property
    def has_room(self) -> bool:
        return self.bytes + self._pending_bytes < self.bytes_max

    @property
    def _line(self) -> list[_Held]:
        return [*self._adopted, *([self._own] if self._own is not None else [])]

    # ── In ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def put(self, batch: NewBatch, claim: Idempotency | None = None) -> int:
        """Durable when it returns. → the number of its receipt. Raises `QueueFull`, or `QueueUnavailable` if the disk fails."""
        if self._thread is None:
            raise QueueUnavailable("The queue is not open.")
        size = Spilled(seq=0, receipt_id=0, received_at=datetime.now(UTC), batch=batch, claim=claim).size
        if self.bytes + self._pending_bytes + size > self.bytes_max:
            count("spill_refused")
            raise QueueFull(limit=self.bytes_max, spilled_bytes=self.bytes)
        waiting = _Waiting(
            batch=batch, claim=claim, received_at=datetime.now(UTC), size=size,
            receipt_id=asyncio.get_running_loop().create_future(),
        )  # fmt: skip
        self._waiting.append(waiting)
        self._pending += 1
        self._pending_bytes += size
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="spill writer")
        return await waiting.receipt_id

    async def settled(self) -> None:
        """Returns when what is on its way has been written, or refused."""
        if self._writing is not None:
            await asyncio.wait({self._writing})

    async def _write(self) -> None:
        while self._waiting:
            group: list[_Waiting] = []
            size = 0
            while self._waiting and len(group) < WRITTEN_BATCHES_MAX:
                size += self._waiting[0].size
                if group and size > WRITTEN_BYTES_MAX:
                    break
                group.append(self._waiting.popleft())
            error = await self._written(group)
            self._pending -= len(group)
            self._pending_bytes -= sum(one.size for one in group)
            for one in group:
                if error is not None and not one.receipt_id.done():
                    one.receipt_id.set_exception(error)
            self._told()

    async def _written(self, group: list[_Waiting]) -> QueueFull | QueueUnavailable | None:
        """Their callers are answered here, unless it fails: → the error for all of them."""
        spilled = []
        for one in group:
            self._seq += 1
            spilled.append(
                Spilled(
                    seq=self._seq, receipt_id=receipt_id(), received_at=one.received_at, batch=one.batch, claim=one.claim
                )
            )  # fmt: skip
        try:
            try:
                own = await self._appended(spilled)
            except FileCorrupt as corrupt:
                await self._set_aside(self._own, corrupt)
                own = await self._appended(spilled)
        except (DiskFailed, FileCorrupt, OSError) as error:
            full = isinstance(error, DiskFull) or getattr(error, "errno", None) in NO_SPACE
            log.error("the spill could not be written", batches=len(group), full=full, error=str(error))
            count("spill_refused", len(group))
            failure = QueueFull("The queue is away, and the disk takes no more meanwhile.") if full else QueueUnavailable(
                "Neither the queue nor the spill could be written: nothing was acknowledged."
            )  # fmt: skip
            failure.__cause__ = error
            return failure
        faults.reach("spill.written")
        own.batches += len(spilled)
        own.size += sum(one.size for one in spilled)
        count("spilled", len(spilled))
        for waiting, written in zip(group, spilled, strict=True):
            if not waiting.receipt_id.done():
                waiting.receipt_id.set_result(written.receipt_id)
        return None

    async def _appended(self, spilled: list[Spilled]) -> _Held:
        if self._own is None:
            self._own = await self._in_thread(self._new)
        own = self._own
        await self._in_thread(partial(own.file.append, spilled))
        return own

    # ── Out ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def first(self, batches_max: int, bytes_max: int) -> SpillGroup | None:
        """The oldest batches that were not dropped, from one file; None: there are none. Raises `DiskFailed`."""
        while (held := next((one for one in self._line if one.batches), None)) is not None:
            try:
                found = await self._in_thread(partial(held.file.read, held.taken, batches_max, bytes_max))
                if not found:
                    raise FileCorrupt(f"{held.batches} batches are missing")
            except FileCorrupt as corrupt:
                await self._set_aside(held, corrupt)
                continue
            return SpillGroup(held=held, batches=found)
        return None

    async def drop(self, group: SpillGroup) -> None:
        """The primary has these. Does not fail: what could not be deleted is not given again, and the primary knows it, too."""
        held, up_to = group.held, group.batches[-1].seq
        held.taken = up_to
        held.batches -= len(group.batches)
        held.size -= sum(one.size for one in group.batches)
        try:
            await self._in_thread(partial(held.file.drop, up_to))
            if not held.batches:
                await self._emptied(held)
        except (DiskFailed, FileCorrupt, OSError) as error:
            log.warning("what was drained could not be deleted from the spill yet", file=str(held.claim.path), error=str(error))
        self._told()

    async def _emptied(self, held: _Held) -> None:
        if held is self._own:
            await self._in_thread(held.file.shrink)
            return

        def discard() -> None:
            held.file.close()
            held.claim.discard()

        # The file before its position: a file without one would be drained anew.
        await self._in_thread(discard)
        if held in self._adopted:
            self._adopted.remove(held)
        self._finished.append(held.source)

    def finished(self) -> list[str]:
        """Sources that are gone for good; each is told once."""
        found, self._finished = self._finished, []
        return found

    async def adopt(self) -> int:
        """Takes over files of processes that have died. → batches in them. Raises `OSError`."""
        found = await self._in_thread(self._orphans)
        adopted = 0
        for held in found:
            log.warning("adopted a spill file of a process that died", file=str(held.claim.path), batches=held.batches)
            self._adopted.append(held)
            adopted += held.batches
        if adopted:
            self._told()
        return adopted

    # ── In the thread ──────────────────────────────────────────────────────────────────────────────────────────────

    def _new(self) -> _Held:
        claim = self._folder.claim_new()
        try:
            return _Held(claim=claim, file=SpillFile(claim.path))
        except BaseException:
            claim.discard()
            raise

    def _orphans(self) -> list[_Held]:
        found = []
        for claim in self._folder.orphans():
            try:
                file = SpillFile(claim.path)
                batches, size = file.counted()
            except FileCorrupt as corrupt:
                _say_set_aside(claim, 0, corrupt)
                continue
            except DiskFailed as error:
                log.warning("a spill file cannot be opened now", file=str(claim.path), error=str(error))
                claim.release()
                continue
            if batches:
                found.append(_Held(claim=claim, file=file, batches=batches, size=size))
            else:
                file.close()
                claim.discard()
        return found

    async def _set_aside(self, held: _Held | None, corrupt: FileCorrupt) -> None:
        """Out of the line. What it still held is not drained: somebody has to look at the file."""
        assert held is not None
        if held is self._own:
            self._own = None
        else:
            self._adopted.remove(held)

        def rename() -> None:
            held.file.close()
            _say_set_aside(held.claim, held.batches, corrupt)

        await self._in_thread(rename)
        self._told()

    async def _in_thread(self, work: Callable[[], Answer]) -> Answer:
        if self._thread is None:
            raise DiskFailed("the spill is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _told(self) -> None:
        gauge("spill_batches", self.batches)
        gauge("spill_bytes", self.bytes)


def _say_set_aside(claim: Claim, batches: int, corrupt: FileCorrupt) -> None:
    name = claim.set_aside()
    count("spill_files_corrupt")
    log.error(
        "a spill file is damaged and was set aside: what it held is not drained",
        file=str(name),
        batches=batches,
        error=str(corrupt),
    )
