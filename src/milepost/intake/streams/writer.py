"""Writer: puts batches into the streams of the lanes that one server has, what waits together in one step, and acknowledges them.

A group is one transaction in Redis, followed where the setting `redis_replicas` asks for it by a wait for replicas; then Redis is asked
whether it keeps what it took, and how much waits in the streams. One group is under way at a time: a lone caller is written
at once, under load the groups grow by themselves. They are not of one lane, because Redis syncs its file for each group, and does
nothing else meanwhile: a group of each lane would wait for those of all others.

How it fails: `QueueUnavailable` for each caller of the group; nothing was acknowledged, but all of it may be there. A stream that holds
more than `redis_lane_mb` takes nothing until it is relayed, nor does what waits together with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
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

__all__ = ["StreamWriter", "Waiting"]

GROUP_BATCHES_MAX = 512
GROUP_BYTES_MAX = 8 * 1024 * 1024  # a larger payload goes alone
MOVES_MAX = 1
MB = 1024 * 1024

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """What waited in a lane's stream for PostgreSQL, as last seen."""

    batches: int = 0
    bytes: int = 0


NOTHING = Waiting()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Put:
    batch: NewBatch
    fields: Sequence[Any]
    taken: asyncio.Future[None]


class StreamWriter:
    """`await put(batch)` answers with the receipt's number once the batch is in its lane's stream. `stop` writes what waits, then ends.

    lane: one of those that are written to, whose server is that of all of them.
    persistence: of the server; None before it was asked. proven: it has kept what was written, and not failed since.
    """

    def __init__(self, servers: Servers, name: str, lane: int, settings: Settings) -> None:
        self._servers = servers
        self._name = name
        self._at = LaneKeys(name, lane).batches
        self._settings = settings
        self._queue: deque[_Put] = deque()
        self._work = asyncio.Event()
        self._open = True
        self._task = asyncio.create_task(self._write(), name=f"redis writer {lane}")
        self._looked_at = float("-inf")
        self._waiting: dict[int, Waiting] = {}
        self.persistence: Persistence | None = None
        self.proven = False

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
        put = _Put(
            batch=batch,
            fields=fields_of(batch, number, datetime.now(UTC), claim),
            taken=asyncio.get_running_loop().create_future(),
        )
        self._queue.append(put)
        self._work.set()
        await put.taken
        return number

    def waiting(self, lane: int) -> Waiting:
        return self._waiting.get(lane, NOTHING)

    async def look(self) -> Redis:
        """Asks the server what it does with what it acknowledges. Raises `SettingsError` where that is not enough."""
        try:
            client = await self._servers.of(self._at)
            persistence = await Persistence.of(client)
        except QueueUnavailable:
            self._servers.look_again()
            raise
        if persistence != self.persistence:
            log.info(persistence.promise(self._settings.redis_replicas))
        self.persistence = persistence
        persistence.require(self._settings)
        self._looked_at = monotonic()
        return client

    async def require_room(self, lanes: Collection[int]) -> Redis:
        """Asks how much waits. Raises `QueueUnavailable` for too much, and what `look` raises."""
        client = await self._client()
        with reached():
            async with client.pipeline(transaction=False) as pipeline:
                self._ask_sizes(pipeline, lanes)
                self._seen(lanes, await pipeline.execute(raise_on_error=False))
        if full := self._full(lanes):
            limit = self._settings.redis_lane_mb
            raise QueueUnavailable(f"More than {limit} MB wait in Redis for lane {full[0]}.", limit=limit)
        return client

    def _full(self, lanes: Collection[int]) -> list[int]:
        return [lane for lane in lanes if self.waiting(lane).bytes > self._settings.redis_lane_mb * MB]

    async def _write(self) -> None:
        while True:
            await self._work.wait()
            if group := self._take():
                await self._answer(group)
            elif self._open:
                self._work.clear()
            else:
                return

    def _take(self) -> list[_Put]:
        """What waits, up to the bounds of a group; without those whose caller has gone."""
        group: list[_Put] = []
        size = 0
        while self._queue and len(group) < GROUP_BATCHES_MAX:
            first = self._queue[0]
            if first.taken.done():
                self._queue.popleft()
                continue
            size += len(first.batch.payload)
            if group and size > GROUP_BYTES_MAX:
                break
            group.append(self._queue.popleft())
        return group

    async def _answer(self, group: list[_Put]) -> None:
        began = perf_counter()
        failed: Exception | None = None
        try:
            await self._add(group)
        except Exception as error:
            failed = error
            if isinstance(error, MilepostError):
                log.warning("the streams could not be written", batches=len(group), error=str(error))
            else:
                log.exception("the streams could not be written", batches=len(group))
            self._looked_at, self.proven = float("-inf"), False  # whatever answers next may be another server
            self._servers.look_again()
        for put in group:
            if put.taken.done():
                continue
            if failed is None:
                put.taken.set_result(None)
            else:
                failure = QueueUnavailable(f"The queue could not be written: {failed}")
                failure.__cause__ = failed
                put.taken.set_exception(failure)
        observe("redis_write_seconds", perf_counter() - began)
        if failed is None:
            count("redis_batches", len(group))

    async def _add(self, group: list[_Put]) -> None:
        """Raises where nothing may be acknowledged; it may have been added all the same."""
        faults.reach("redis.before_add")
        lanes = sorted({put.batch.lane for put in group})
        client = await (self.require_room(lanes) if self._full(lanes) else self._client())
        for moves in range(MOVES_MAX + 1):
            answers = await self._written(client, group)
            if not _is_elsewhere(answers[1]) or moves == MOVES_MAX:
                break
            self._servers.look_again()
            client = await self._client()
        added = answers[len(group) + 1]
        for answer in [*answers, *(added if isinstance(added, list) else ())]:
            if isinstance(answer, Exception):
                raise QueueUnavailable(f"Redis: {answer}") from answer
        # A question of its own: what Redis knows of its file while it takes a group is from before it wrote that group.
        with reached():
            async with client.pipeline(transaction=False) as pipeline:
                self._ask_sizes(pipeline, lanes)
                pipeline.info("persistence")
                *sizes, info = await pipeline.execute(raise_on_error=False)
        require_kept(info, answers[-1] if self._settings.redis_replicas else None, self._settings, proven=self.proven)
        self.proven = True
        self._seen(lanes, sizes)
        faults.reach("redis.after_add")

    async def _written(self, client: Redis, group: list[_Put]) -> list[Any]:
        """What Redis said, in turn: to MULTI, to each entry, and to EXEC; and how many replicas have them, where that was asked.

        In a transaction, because Redis syncs its file after each 16 kB that it reads otherwise: six times for 16 batches.
        """
        with reached():
            async with client.pipeline(transaction=False) as pipeline:
                pipeline.execute_command("MULTI")
                for put in group:
                    pipeline.execute_command("XADD", self._stream(put.batch.lane), "*", *put.fields)
                pipeline.execute_command("EXEC")
                if self._settings.redis_replicas:
                    pipeline.wait(self._settings.redis_replicas, REPLICAS_MS)
                answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers

    async def _client(self) -> Redis:
        if monotonic() - self._looked_at <= LOOK_S:
            return await self._servers.of(self._at)
        try:
            return await self.look()
        except SettingsError as error:
            raise QueueUnavailable(str(error)) from error

    def _stream(self, lane: int) -> bytes:
        return LaneKeys(self._name, lane).batches

    def _ask_sizes(self, pipeline: Any, lanes: Collection[int]) -> None:
        """Two answers for each: entries, and bytes in memory, which Redis estimates from a few of them."""
        for lane in lanes:
            pipeline.xlen(self._stream(lane))
            pipeline.memory_usage(self._stream(lane))

    def _seen(self, lanes: Collection[int], sizes: Sequence[Any]) -> None:
        for lane, entries, memory in zip(lanes, sizes[::2], sizes[1::2], strict=True):
            if isinstance(entries, Exception):
                raise QueueUnavailable(f"Redis: {entries}") from entries
            if memory is None:  # there is no stream yet
                memory = 0
            elif not isinstance(memory, int):
                # Hosted servers may not allow it: an entry is taken to be as large as those of a full group.
                memory = entries * GROUP_BYTES_MAX // GROUP_BATCHES_MAX
            self._waiting[lane] = Waiting(batches=entries, bytes=memory)
            gauge("redis_waiting", entries, lane=lane)
            gauge("redis_waiting_bytes", memory, lane=lane)


def _is_elsewhere(answer: Any) -> bool:
    """The lane's slot has gone to another server of the Cluster. Older drivers know that error only within their own Cluster client."""
    return isinstance(answer, MovedError) or (isinstance(answer, Exception) and str(answer).startswith("MOVED "))
