"""Redis as the primary: a writer for each server, and what was spilled put in behind it, once.

See `milepost.intake.primary.Primary` for what is asked of it. The keys' name is the deployment's and read from PostgreSQL, once; from
then on PostgreSQL may be away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from milepost import faults
from milepost.errors import QueueUnavailable
from milepost.intake._batches import Idempotency, NewBatch
from milepost.intake.relay import Relayed
from milepost.intake.streams.entry import FIELDS, LaneKeys, deployment, fields_of
from milepost.intake.streams.persistence import REPLICAS_MS, require_kept
from milepost.intake.streams.scripts import TAKE
from milepost.intake.streams.servers import Servers, ask, reached
from milepost.intake.streams.writer import StreamWriter
from milepost.postgres import Database
from milepost.settings import Settings

__all__ = ["RedisPrimary"]

log = structlog.get_logger(__name__)


class RedisPrimary:
    """See `milepost.intake.primary.Primary`."""

    name = "redis"
    takes_claims = True

    def __init__(self, db: Database, settings: Settings) -> None:
        assert settings.redis_url is not None
        self._db = db
        self._settings = settings
        self._servers = Servers(settings.redis_url, name="queue")
        self._name = ""
        self._lanes: tuple[int, ...] = ()
        self._writers: dict[int, StreamWriter] = {}  # by lane; where one server has all lanes, one of all
        self._naming = asyncio.Lock()

    async def start(self) -> None:
        """Raises `SettingsError` where Redis is set up so that it would lose batches. One that is away may come back: then it is
        not acknowledged until it does. Safe twice."""
        await self._named()
        for writer in {self._writer(lane) for lane in self._lanes}:
            try:
                await writer.look()
            except QueueUnavailable as error:
                log.warning("the streams cannot be written yet", error=str(error))

    async def stop(self) -> None:
        writers, self._writers = set(self._writers.values()), {}
        for writer in writers:
            await writer.stop()
        await self._servers.close()

    async def put(self, batch: NewBatch, claim: Idempotency | None = None) -> int:
        await self._named()
        return await self._writer(batch.lane).put(batch, claim)

    async def put_again(self, source: str, batches: Sequence[Relayed]) -> None:
        await self._named()
        if not batches:
            for lane in self._lanes:
                await self._writer(lane).require_room([lane])
        by_lane: dict[int, list[Relayed]] = {}
        for one in batches:
            by_lane.setdefault(one.batch.lane, []).append(one)
        for lane, own in by_lane.items():
            await self._take(self._keys(lane), source, own)

    async def forget(self, source: str) -> None:
        await self._named()
        for lane in self._lanes:
            keys = self._keys(lane)
            client = await self._servers.of(keys.batches)
            await ask(client, "DEL", keys.taken_from(source))

    def state(self) -> dict[str, Any]:
        """What each lane's server promised when it was last asked, and what waited there for PostgreSQL."""
        lanes = {}
        for lane, writer in sorted(self._writers.items()):
            kept, waiting = writer.persistence, writer.waiting(lane)
            lanes[str(lane)] = {
                "promise": kept.promise(self._settings.redis_replicas) if kept is not None else None,
                "waiting_batches": waiting.batches,
                "waiting_bytes": waiting.bytes,
            }
        return {"lanes": lanes}

    async def _take(self, keys: LaneKeys, source: str, batches: list[Relayed]) -> None:
        """A lane's part of what was spilled, in one step with how far that is."""
        writer = self._writer(keys.lane)
        client = await writer.require_room([keys.lane])
        taken_from = keys.taken_from(source)
        taken = (await ask(client, "GET", taken_from) or b"").decode()
        left = [one for one in batches if one.position > taken]
        values: list[Any] = [taken, left[-1].position if left else taken, FIELDS]
        for one in left:
            values += fields_of(one.batch, one.receipt_id, one.received_at, one.claim)
        wanted = self._settings.redis_replicas
        with reached():
            async with client.pipeline(transaction=False) as pipeline:
                pipeline.eval(TAKE, 2, keys.batches, taken_from, *values)
                if wanted:
                    pipeline.wait(wanted, REPLICAS_MS)
                faults.reach("redis.before_take")
                answers = await pipeline.execute(raise_on_error=False)
                faults.reach("redis.after_take")
        for answer in answers:
            if isinstance(answer, Exception):
                self._servers.look_again()  # it may be that the lane has moved
                raise QueueUnavailable(f"Redis: {answer}") from answer
        info = await ask(client, "INFO", "persistence")
        require_kept(info, answers[1] if wanted else None, self._settings, proven=writer.proven)
        if not answers[0]:
            raise QueueUnavailable(f"Another process is moving {source}.", source=source)

    def _keys(self, lane: int) -> LaneKeys:
        return LaneKeys(self._name, lane)

    def _writer(self, lane: int) -> StreamWriter:
        if lane not in self._writers:
            others = () if self._servers.are_many else self._writers.values()
            self._writers[lane] = next(iter(others), None) or StreamWriter(self._servers, self._name, lane, self._settings)
        return self._writers[lane]

    async def _named(self) -> None:
        """Learns the deployment's name, at the first use. Raises `DatabaseUnavailable`."""
        if self._name:
            return
        async with self._naming:
            if not self._name:
                async with self._db.transaction("point") as connection:
                    self._name, self._lanes = await deployment(connection)
