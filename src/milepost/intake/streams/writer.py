"""Writer: puts the batches of one lane into its stream, what waits together in one step, and acknowledges them.

A group is one transaction in Redis, followed where the setting `redis_replicas` asks for it by a wait for replicas; then Redis is asked
whether it keeps what it took, and how much waits in the stream. One group of a lane is under way at a time: a lone caller is written
at once, under load the groups grow by themselves.

How it fails: `QueueUnavailable` for each caller of the group; nothing was acknowledged, but all of it may be there. A stream that holds more than `redis_lane_mb` takes nothing until it is relayed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic, perf_counter
from typing import Any

import structlog
from redis.exceptions import MovedError

from milepost import faults
from milepost.errors import MilepostError, QueueUnavailable, SettingsError
from milepost.intake._batches import Idempotency, NewBatch
from milepost.intake.relay import receipt_id
from milepost.intake.streams.entry import LaneKeys, fields_of
from milepost.intake.streams.persistence import LOOK_S, REPLICAS_MS, Persistence, require_kept
from milepost.intake.streams.servers import Redis, Servers, reached
from milepost.settings import Settings
from milepost.telemetry import count, gauge, observe

__all__ = ["LaneWriter"]

GROUP_BATCHES_MAX = 512
GROUP_BYTES_MAX = 8 * 1024 * 1024  # a larger payload goes alone
MOVES_MAX = 1
MB = 1024 * 1024

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    batch: NewBatch
    fields: Sequence[Any]
    receipt_id: int
    taken: asyncio.Future[None]


class LaneWriter:
    """`await put(batch)` answers with the receipt's number once the batch is in the stream. `stop` writes what waits, then ends.

    entries, bytes: what waited in the stream as last seen. persistence: of its server; None before it was asked.
    proven: it has kept what was written, and not failed since.
    """

    def __init__(self, servers: Servers, keys: LaneKeys, settings: Settings) -> None:
        self._servers = servers
        self._keys = keys
        self._settings = settings
        self._waiting: deque[_Waiting] = deque()
        self._work = asyncio.Event()
        self._open = True
        self._task = asyncio.create_task(self._write(), name=f"redis writer {keys.lane}")
        self._looked_at = float("-inf")
        self.persistence: Persistence | None = None
        self.proven = False
        self.entries = 0
        self.bytes = 0

    async def stop(self) -> None:
        """Takes nothing more; returns when all that was put is answered. Safe twice."""
        self._open = False
        self._work.set()
        await self._task

    async def put(self, batch: NewBatch, claim: Idempotency | None = None) -> int:
        """claim: to be claimed when the batch is moved. Raises `QueueUnavailable`: the batch is not acknowledged."""
        if not self._open:
            raise QueueUnavailable("The queue is not open.")
        number = receipt_id()
        waiting = _Waiting(
            batch=batch,
            fields=fields_of(batch, number, datetime.now(UTC), claim),
            receipt_id=number,
            taken=asyncio.get_running_loop().create_future(),
        )
        self._waiting.append(waiting)
        self._work.set()
        await waiting.taken
        return number

    async def look(self) -> Redis:
        """Asks the server what it does with what it acknowledges. Raises `SettingsError` where that is not enough."""
        try:
            client = await self._servers.of(self._keys.batches)
            persistence = await Persistence.of(client)
        except QueueUnavailable:
            self._servers.look_again()
            raise
        if persistence != self.persistence:
            log.info(persistence.promise(self._settings.redis_replicas), lane=self._keys.lane)
        self.persistence = persistence
        persistence.require(self._settings)
        self._looked_at = monotonic()
        return client

    async def require_room(self) -> Redis:
        """Asks how much waits. Raises `QueueUnavailable` for too much, and what `look` raises."""
        client = await self._client()
        with reached():
            async with client.pipeline(transaction=False) as pipeline:
                _ask_size(pipeline, self._keys)
                self._seen(await pipeline.execute(raise_on_error=False))
        if self._full:
            limit = self._settings.redis_lane_mb
            raise QueueUnavailable(f"More than {limit} MB wait in Redis for lane {self._keys.lane}.", limit=limit)
        return client

    @property
    def _full(self) -> bool:
        return self.bytes > self._settings.redis_lane_mb * MB

    async def _write(self) -> None:
        while True:
            await self._work.wait()
            if group := self._take():
                await self._answer(group)
            elif self._open:
                self._work.clear()
            else:
                return

    def _take(self) -> list[_Waiting]:
        """What waits, up to the bounds of a group; without those whose caller has gone."""
        group: list[_Waiting] = []
        size = 0
        while self._waiting and len(group) < GROUP_BATCHES_MAX:
            first = self._waiting[0]
            if first.taken.done():
                self._waiting.popleft()
                continue
            size += len(first.batch.payload)
            if group and size > GROUP_BYTES_MAX:
                break
            group.append(self._waiting.popleft())
        return group

    async def _answer(self, group: list[_Waiting]) -> None:
        began = perf_counter()
        failed: Exception | None = None
        try:
            await self._add([waiting.fields for waiting in group])
        except Exception as error:
            failed = error
            if isinstance(error, MilepostError):
                log.warning("the stream could not be written", lane=self._keys.lane, batches=len(group), error=str(error))
            else:
                log.exception("the stream could not be written", lane=self._keys.lane, batches=len(group))
            self._looked_at, self.proven = float("-inf"), False  # whatever answers next may be another server
            self._servers.look_again()
        for waiting in group:
            if waiting.taken.done():
                continue
            if failed is None:
                waiting.taken.set_result(None)
            else:
                failure = QueueUnavailable(f"The queue could not be written: {failed}")
                failure.__cause__ = failed
                waiting.taken.set_exception(failure)
        observe("redis_write_seconds", perf_counter() - began)
        if failed is None:
            count("redis_batches", len(group))

    async def _add(self, entries: list[Sequence[Any]]) -> None:
        """Raises where nothing may be acknowledged; it may have been added all the same."""
        faults.reach("redis.before_add")
        client = await (self.require_room() if self._full else self._client())
        for moves in range(MOVES_MAX + 1):
            answers = await self._written(client, entries)
            if not _is_elsewhere(answers[1]) or moves == MOVES_MAX:
                break
            self._servers.look_again()
            client = await self._client()
        added = answers[len(entries) + 1]
        for answer in [*answers, *(added if isinstance(added, list) else ())]:
            if isinstance(answer, Exception):
                raise QueueUnavailable(f"Redis: {answer}") from answer
        # A question of its own: what Redis knows of its file while it takes a group is from before it wrote that group.
        with reached():
            async with client.pipeline(transaction=False) as pipeline:
                _ask_size(pipeline, self._keys)
                pipeline.info("persistence")
                size_and_info = await pipeline.execute(raise_on_error=False)
        require_kept(
            size_and_info[-1], answers[-1] if self._settings.redis_replicas else None, self._settings, proven=self.proven
        )
        self.proven = True
        self._seen(size_and_info[:-1])
        faults.reach("redis.after_add")

    async def _written(self, client: Redis, entries: list[Sequence[Any]]) -> list[Any]:
        """What Redis said, in turn: to MULTI, to each entry, and to EXEC; and how many replicas have them, where that was asked.

        In a transaction, because Redis syncs its file after each 16 kB that it reads otherwise: six times for 16 batches.
        """
        with reached():
            async with client.pipeline(transaction=False) as pipeline:
                pipeline.execute_command("MULTI")
                for fields in entries:
                    pipeline.execute_command("XADD", self._keys.batches, "*", *fields)
                pipeline.execute_command("EXEC")
                if self._settings.redis_replicas:
                    pipeline.wait(self._settings.redis_replicas, REPLICAS_MS)
                answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers

    async def _client(self) -> Redis:
        if monotonic() - self._looked_at <= LOOK_S:
            return await self._servers.of(self._keys.batches)
        try:
            return await self.look()
        except SettingsError as error:
            raise QueueUnavailable(str(error)) from error

    def _seen(self, size: list[Any]) -> None:
        entries, memory = size
        if isinstance(entries, Exception):
            raise QueueUnavailable(f"Redis: {entries}") from entries
        self.entries = entries
        if memory is None:  # there is no stream yet
            self.bytes = 0
        elif isinstance(memory, int):
            self.bytes = memory
        else:  # hosted servers may not allow it: an entry is taken to be as large as those of a full group
            self.bytes = self.entries * GROUP_BYTES_MAX // GROUP_BATCHES_MAX
        gauge("redis_waiting", self.entries, lane=self._keys.lane)
        gauge("redis_waiting_bytes", self.bytes, lane=self._keys.lane)


def _is_elsewhere(answer: Any) -> bool:
    """The lane's slot has gone to another server of the Cluster. Older drivers know that error only within their own Cluster client."""
    return isinstance(answer, MovedError) or (isinstance(answer, Exception) and str(answer).startswith("MOVED "))


def _ask_size(pipeline: Any, keys: LaneKeys) -> None:
    """Two answers: entries, and bytes in memory, which Redis estimates from a few of them."""
    pipeline.xlen(keys.batches)
    pipeline.memory_usage(keys.batches)
