"""Lane relay: moves one lane's stream into PostgreSQL's queue.

It reads on from the position that PostgreSQL has, moves what it read in one transaction (`milepost.intake.relay`), and only then
trims the stream. While one transaction is under way the next entries gather, so that the groups grow with the load.

Three things besides the position keep it exact, because a Redis may come back as another one than it was. Its identity is a key that
is born with the stream: a flushed or replaced Redis has another, and begins at its beginning. A stream that stands below the position
(its tail was lost, or its clock was set back) is raised to it, and what lies hidden below is moved after all. And nothing is moved
whose receipt PostgreSQL knows, so that looking twice is harmless, as are two relays of one lane.

How it fails: `DatabaseUnavailable`, `QueueUnavailable`; the relay is then to be closed, and opened again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from time import monotonic, perf_counter
from uuid import uuid4

import structlog

from milepost import faults
from milepost.intake import relay
from milepost.intake._claims import Claims
from milepost.intake.relay import Relayed
from milepost.intake.streams.entry import LaneKeys, deployment, id_parts, relayed_of
from milepost.intake.streams.scripts import RAISE
from milepost.intake.streams.servers import ANSWER_S, Redis, Servers, ask, reached
from milepost.postgres import Connection, Database
from milepost.settings import Settings
from milepost.telemetry import count, gauge, observe

__all__ = ["LaneRelay"]

log = structlog.get_logger(__name__)

WAIT_S_MAX = 5.0  # for new entries, in one question
# From one move to the next, unless more waits than one takes: a move of few batches costs nearly what one of many does, and so does a
# load of few rows. So under load what is moved together grows, until it comes in pieces as a loader likes them.
PACE_S, PACE_S_A_ROW, PACE_S_MAX = 0.02, 0.0001, 0.25
SETTLE_S = 5.0  # how long a Redis that came back as another one goes unnoticed
READ_BATCHES_MAX = 512
READ_BYTES = 8 * 1024 * 1024  # what one read aims at

Entry = tuple[bytes, Sequence[bytes]]


class LaneRelay:
    """`open`, then `run_once` again and again. Not reentrant: one task runs it."""

    def __init__(self, db: Database, settings: Settings, lane: int, moved: Callable[[int], None]) -> None:
        self._db = db
        self._settings = settings
        self._lane = lane
        self._moved = moved
        self._claims = Claims(db, settings)
        self._connection: Connection | None = None
        self._servers: Servers | None = None
        self._keys = LaneKeys("", lane)
        self._source = ""
        self._position = ""  # what PostgreSQL has
        self._read_to = ""  # further, where entries need no moving
        self._settle_at = 0.0
        self._read_batches = self._asked_for = 16
        self._next_move_at = 0.0

    async def open(self) -> None:
        """Connects to both. Raises `DatabaseUnavailable`, `QueueUnavailable`."""
        session = {
            "synchronous_commit": "on",  # Redis forgets what was moved
            "statement_timeout": f"{self._settings.write_timeout_s * 1000:.0f}",
        }
        self._connection = await self._db.direct(f"relay-{self._lane}", settings=session)
        name, _ = await deployment(self._connection)
        self._keys = LaneKeys(name, self._lane)
        assert self._settings.redis_url is not None
        self._servers = Servers(self._settings.redis_url, name=f"relay-{self._lane}", answer_s=WAIT_S_MAX + ANSWER_S)
        self._source = ""
        await self.settle()

    async def close(self) -> None:
        """Safe twice, and unopened."""
        connection, self._connection = self._connection, None
        servers, self._servers = self._servers, None
        if connection is not None:
            await connection.close()
        if servers is not None:
            await servers.close()

    async def run_once(self, wait_s: float = 0.0) -> int:
        """Moves what is in the stream now, or comes within `wait_s` (up to `WAIT_S_MAX`). → batches moved."""
        assert wait_s <= WAIT_S_MAX
        moved = 0
        while True:
            if monotonic() >= self._settle_at:
                await self.settle()
            if wait_s and (pause := self._next_move_at - monotonic()) > 0:
                await asyncio.sleep(pause)
            entries = await self._read(0.0 if moved else wait_s)
            if not entries:
                return moved
            began = monotonic()
            rows = await self._move(entries)
            moved += len(rows)
            self._next_move_at = 0.0
            if len(entries) < self._asked_for:
                self._next_move_at = began + min(PACE_S + PACE_S_A_ROW * sum(rows), PACE_S_MAX)
            await self._trim()

    async def settle(self) -> None:
        """Makes sure that this is the Redis whose position is known, and that nothing lies hidden below the position."""
        client = await self._client()
        await ask(client, "SET", self._keys.identity, uuid4().hex, "NX")
        identity = (await ask(client, "GET", self._keys.identity) or b"").decode()
        source = f"redis {self._lane} {identity}"
        if source != self._source:
            self._source, self._position = source, await relay.position_of(self._pg(), source)
            self._read_to = self._position
        if self._position:
            if await ask(client, "EVAL", RAISE, 1, self._keys.batches, self._position, *id_parts(self._position)):
                log.warning("the stream stood below its position: raised", lane=self._lane, position=self._position)
            await self._move_hidden(client)
        self._settle_at = monotonic() + SETTLE_S

    async def _move_hidden(self, client: Redis) -> None:
        """Moves what lies at or below the position and was never moved: it was added when the stream stood lower."""
        low = "-"
        while True:
            answer = await ask(client, "XRANGE", self._keys.batches, low, self._position, "COUNT", self._read_batches)
            if not answer:
                break
            found = await self._unmoved(client, answer)
            if found:
                log.warning("batches lay below the position: moved", lane=self._lane, batches=len(found))
                await self._enqueue([replace(one, position=self._position) for one in found])
            low = "(" + answer[-1][0].decode()
        await self._trim()

    async def _read(self, wait_s: float) -> list[Entry]:
        """What follows. Where it had to be waited for, also what has come with it."""
        self._asked_for = self._read_batches
        entries = await self._read_after(self._read_to, wait_s)
        if wait_s and 0 < len(entries) < self._read_batches:
            entries += await self._read_after(entries[-1][0].decode(), 0.0)
        if entries:
            # The next read may be as much larger or smaller as this one was off, within limits.
            size = sum(len(value) for _, fields in entries for value in fields)
            fitting = len(entries) * READ_BYTES // max(size, 1)
            self._read_batches = max(1, min(fitting, 2 * self._read_batches, READ_BATCHES_MAX))
        return entries

    async def _read_after(self, position: str, wait_s: float) -> list[Entry]:
        client = await self._client()
        block = ("BLOCK", int(wait_s * 1000)) if wait_s else ()
        stream = ("STREAMS", self._keys.batches, position or "0-0")
        answer = await ask(client, "XREAD", "COUNT", self._read_batches, *block, *stream)
        return list(answer[0][1]) if answer else []

    async def _move(self, entries: list[Entry]) -> list[int]:
        """→ the rows of each batch that was moved here."""
        began = perf_counter()
        last = entries[-1][0].decode()
        found = await self._unmoved(await self._client(), entries)
        if found:
            found[-1] = replace(found[-1], position=last)
            if not await self._enqueue(found):
                return []
        self._read_to = last
        observe("relay_seconds", perf_counter() - began, lane=self._lane)
        return [one.batch.rows for one in found]

    async def _enqueue(self, batches: list[Relayed]) -> bool:
        """In one transaction; but those that bring a claim in one each, since a claim is of one tenant."""
        for claimed, run in groupby(batches, key=lambda one: one.claim is not None):
            for together in [[one] for one in run] if claimed else [list(run)]:
                if not await self._enqueue_together(together):
                    return False
        return True

    async def _enqueue_together(self, batches: list[Relayed]) -> bool:
        faults.reach("relay.before_move")
        if batches[0].claim is not None:
            moved = await self._claims.move(self._source, self._position, batches[0])
        else:
            moved = await relay.move(self._pg(), self._source, self._position, batches)
        if not moved:
            # Another relay was faster, as after the lane went to another process.
            self._position = self._read_to = await relay.position_of(self._pg(), self._source)
            return False
        faults.reach("relay.after_move")
        self._position = batches[-1].position
        count("relayed_batches", len(batches), lane=self._lane)
        self._moved(self._lane)
        return True

    async def _unmoved(self, client: Redis, entries: Sequence[Entry]) -> list[Relayed]:
        """The batches of these entries that PostgreSQL does not have, each once. What is no batch is set aside."""
        found: dict[int, Relayed] = {}
        for entry_id, fields in entries:
            batch = relayed_of(self._lane, entry_id, fields)
            if batch is not None:
                found.setdefault(batch.receipt_id, batch)
                continue
            log.error("an entry that is no batch: set aside", lane=self._lane, entry=entry_id.decode())
            await ask(client, "XADD", self._keys.unreadable, "*", "entry", entry_id, *fields)
        known = await relay.batch_ids(self._pg(), list(found)) if found else {}
        return [batch for receipt, batch in found.items() if receipt not in known]

    async def _trim(self) -> None:
        """Drops what is moved, to the last entry and no further."""
        if not self._read_to:
            return
        client = await self._client()
        milliseconds, number = id_parts(self._read_to)
        with reached():
            async with client.pipeline(transaction=False) as pipeline:
                pipeline.execute_command("XTRIM", self._keys.batches, "MINID", "=", f"{milliseconds}-{number + 1}")
                pipeline.xlen(self._keys.batches)
                _, waiting = await pipeline.execute()
        faults.reach("relay.trimmed")
        gauge("redis_waiting", waiting, lane=self._lane)

    async def _client(self) -> Redis:
        assert self._servers is not None, "the relay is not open"
        return await self._servers.of(self._keys.batches)

    def _pg(self) -> Connection:
        assert self._connection is not None, "the relay is not open"
        return self._connection
