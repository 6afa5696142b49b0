"""Contents that lie in the object store: each once a tenant, whole or by part, and never anything but what was written.

A load writes an activity's large content before its row (`keep_some`). What the store does not take in time comes in with the row, and
upkeep moves it (`milepost.storage.moving`): the object is written before the row lets go of it. What is where stands in PostgreSQL (`milepost.content`), with the digest of the object's index, which has those of its
frames: so a part is fetched, checked and read without the rest.

How it fails: `StoreUnavailable` while the store does not answer; `ObjectDamaged` or `ObjectMissing` with the object's path.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import UUID

from milepost.errors import ObjectDamaged, StoreUnavailable
from milepost.postgres import Connection, load_queries
from milepost.storage._frames import Index, Packed, open_index, pack, part_of
from milepost.storage.objects import ObjectStore

__all__ = ["LIE_THERE", "WAIT", "Contents", "Kept", "follow", "kept_of", "part_of", "path_of", "release"]

_queries = load_queries(__package__, "content.sql")

WAIT, LIE_THERE = _queries.wait, _queries.lie_there  # of a load, in its pipeline
INDEXES_KEPT_MAX = 256
PUTS_AT_ONCE_MAX = 16
FETCHED_BYTES_MAX = 512 * 1024  # in one request to the store
ATTRIBUTES = {"Content-Type": "application/json", "Content-Encoding": "zstd"}


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A content in the store. digest: of its text, 32 bytes; text_bytes, object_bytes: how long it is as JSON, and as it lies there."""

    tenant_id: int
    digest: bytes
    text_bytes: int
    object_bytes: int
    index_bytes: int
    index_digest: bytes

    @classmethod
    def of(cls, tenant_id: int, row: Sequence[Any]) -> Kept:
        """row: the rest, in this order, as PostgreSQL has it."""
        digest, text_bytes, object_bytes, index_bytes, index_digest = row
        return cls(
            tenant_id=tenant_id,
            digest=bytes(digest),
            text_bytes=text_bytes,
            object_bytes=object_bytes,
            index_bytes=index_bytes,
            index_digest=bytes(index_digest),
        )

    @property
    def path(self) -> str:
        return path_of(self.tenant_id, self.digest)


def path_of(tenant_id: int, digest: bytes) -> str:
    name = digest.hex()
    return f"content/{tenant_id}/{name[:2]}/{name}"


async def kept_of(conn: Connection, tenant_id: int, ids: Sequence[UUID]) -> dict[UUID, Kept]:
    """The contents of activities, by their current ids; without those whose content is in the row, or that have none."""
    rows = await (await conn.execute(_queries.kept_of, {"tenant_id": tenant_id, "ids": list(ids)})).fetchall()
    return {id_: Kept.of(tenant_id, row) for id_, *row in rows}


async def follow(
    conn: Connection,
    tenant_id: int,
    old_ids: Sequence[UUID],
    corrected: Mapping[UUID, UUID],
    kept: Mapping[UUID, UUID],
    large: Sequence[UUID],
) -> None:
    """Corrected or retracted activities, in the load's transaction, with their contents and files. corrected: by old id, the new ones of
    those that were not retracted; kept: of those whose content is the same. large: new ids of those that have a large one in their row now."""
    asked = {"tenant_id": tenant_id, "old_ids": list(old_ids), "kept_ids": list(kept), "new_ids": list(kept.values())}
    await conn.execute(_queries.follow, {**asked, "corrected_ids": list(corrected), "corrected_to": list(corrected.values())})
    if large:
        await conn.execute(WAIT, {"tenant_id": tenant_id, "ids": list(large)})


async def release(conn: Connection, tenant_id: int, ids: Sequence[UUID], *, erased: bool) -> int:
    """Activities that are about to be removed for good, by their current ids: their contents, versions and files with them. erased: their
    contents may be collected from now on, unless others have them, and not only when a backup under way may miss them. → how many files
    they named."""
    given = {"tenant_id": tenant_id, "ids": list(ids), "erased": erased}
    row = await (await conn.execute(_queries.release, given)).fetchone()
    return row[0] if row else 0


class Contents:
    """One a process; indexes that were read are remembered."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self._indexes: OrderedDict[bytes, Index] = OrderedDict()

    async def whole(self, kept: Kept) -> bytes:
        return b"".join([piece async for piece in self.texts(kept, 0, kept.text_bytes)])

    async def part(self, kept: Kept, pointer: str) -> bytes:
        """The JSON of what a pointer points to. Raises `InvalidInput`, `NotFound`."""
        place = (await self._index(kept)).find(pointer)
        text = b"".join([piece async for piece in self.texts(kept, place.start, place.end)])
        return await asyncio.to_thread(place.value, text)

    async def texts(self, kept: Kept, start: int, end: int) -> AsyncIterator[bytes]:
        """These bytes of the text, in pieces, each checked."""
        index = await self._index(kept)
        if end > index.text_bytes:
            raise ObjectDamaged(f"The object {kept.path} is shorter than what was written.", path=kept.path)
        frames = index.frames(start, end)
        while frames:
            some = 1
            while some < len(frames) and index.offsets[frames[some] + 1] - index.offsets[frames[0]] <= FETCHED_BYTES_MAX:
                some += 1
            first = index.offsets[frames[0]]
            data = await self.store.range(kept.path, first, index.offsets[frames[some - 1] + 1])
            for frame in frames[:some]:
                with _named(kept):
                    text = index.text(frame, data[index.offsets[frame] - first : index.offsets[frame + 1] - first])
                begin = index.begins[frame]
                yield text[max(0, start - begin) : end - begin]
            frames = frames[some:]

    async def keep(self, conn: Connection, tenant_id: int, content: bytes) -> bytes:
        """Write a content, unless it is there: → its digest. conn: outside a transaction, since the object must not be there unknown."""
        packed = await asyncio.to_thread(pack, content)
        if packed.digest not in await self._claim(conn, tenant_id, [packed.digest]):
            await self._put(tenant_id, packed)
            await self._note(conn, tenant_id, [packed])
        return packed.digest

    async def keep_some(
        self, conn: Connection, tenant_id: int, contents: Sequence[bytes], *, within_s: float
    ) -> list[bytes | None]:
        """As many of them as can be written in that time → their digests. None: it was not, since the store is slow or does not answer."""
        until = monotonic() + within_s
        packed = await asyncio.to_thread(_pack_until, contents, until)
        wanted = {one.digest: one for one in packed}
        there = await self._claim(conn, tenant_id, sorted(wanted))
        turns = asyncio.Semaphore(PUTS_AT_ONCE_MAX)

        async def put(one: Packed) -> Packed:
            async with turns:
                await self._put(tenant_id, one)
            return one

        puts = [asyncio.create_task(put(one)) for digest, one in wanted.items() if digest not in there]
        if puts:
            _, late = await asyncio.wait(puts, timeout=max(0.0, until - monotonic()))
            for task in late:
                task.cancel()
            ended = await asyncio.gather(*puts, return_exceptions=True)
            written = [one for one in ended if isinstance(one, Packed)]
            if written:
                await self._note(conn, tenant_id, written)
            there |= {one.digest for one in written}
            for failure in ended:
                if not isinstance(failure, Packed | StoreUnavailable | asyncio.CancelledError):
                    raise failure
        digests: list[bytes | None] = [one.digest if one.digest in there else None for one in packed]
        return digests + [None] * (len(contents) - len(packed))

    async def _claim(self, conn: Connection, tenant_id: int, digests: Sequence[bytes]) -> set[bytes]:
        """They are about to be written, or are wanted once more: none is collected for a while. → those that are there already."""
        values = {"tenant_id": tenant_id, "digests": list(digests)}
        async with conn.transaction():
            await conn.execute(_queries.begin, values)
            rows = await (await conn.execute(_queries.claim, values)).fetchall()
        return {bytes(digest) for digest, there in rows if there}

    async def _put(self, tenant_id: int, packed: Packed) -> None:
        path = path_of(tenant_id, packed.digest)
        if not await self.store.put_if_absent(path, packed.data, attributes=ATTRIBUTES):
            # Of a writer that died before it could say so. What it wrote may have another form than ours, or be damaged.
            await self.store.put(path, packed.data, attributes=ATTRIBUTES)

    async def _note(self, conn: Connection, tenant_id: int, packed: Sequence[Packed]) -> None:
        """Their objects are there, in this form."""
        values = {
            "tenant_id": tenant_id,
            "digests": [one.digest for one in packed],
            "text_bytes": [one.text_bytes for one in packed],
            "object_bytes": [len(one.data) for one in packed],
            "index_bytes": [one.index_bytes for one in packed],
            "index_digests": [one.index_digest for one in packed],
        }
        async with conn.transaction():
            await conn.execute(_queries.begin, values)
            await conn.execute(_queries.written, values)

    async def _index(self, kept: Kept) -> Index:
        found = self._indexes.pop(kept.index_digest, None)
        if found is None:
            data = await self.store.range(kept.path, 0, kept.index_bytes)
            with _named(kept):
                found = open_index(data, kept.index_digest)
            if len(self._indexes) >= INDEXES_KEPT_MAX:
                self._indexes.popitem(last=False)
        self._indexes[kept.index_digest] = found
        return found


def _pack_until(contents: Sequence[bytes], until: float) -> list[Packed]:
    """Those that can be packed until then, at least one."""
    packed: list[Packed] = []
    for content in contents:
        if packed and monotonic() > until:
            break
        packed.append(pack(content))
    return packed


@contextmanager
def _named(kept: Kept) -> Iterator[None]:
    try:
        yield
    except ObjectDamaged as error:
        raise ObjectDamaged(f"The object {kept.path} is not what was written.", path=kept.path) from error
