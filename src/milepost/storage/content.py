"""Contents that lie in the object store: each once a tenant, whole or by part, and never anything but what was written.

An activity's large content comes in with its row, and upkeep moves it (`milepost.storage.moving`): the object is written before the
row lets go of it. What is where stands in PostgreSQL (`milepost.content`), with the digest of the object's index, which has those of its
frames: so a part is fetched, checked and read without the rest.

How it fails: `StoreUnavailable` while the store does not answer; `ObjectDamaged` or `ObjectMissing` with the object's path.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from milepost.errors import ObjectDamaged
from milepost.postgres import Connection, load_queries
from milepost.storage._frames import Index, open_index, pack, part_of
from milepost.storage.objects import ObjectStore

__all__ = ["WAIT", "Contents", "Kept", "follow", "kept_of", "part_of", "path_of", "release"]

_queries = load_queries(__package__, "content.sql")

WAIT = _queries.wait  # of a load, in its pipeline
INDEXES_KEPT_MAX = 256
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

    @property
    def path(self) -> str:
        return path_of(self.tenant_id, self.digest)


def path_of(tenant_id: int, digest: bytes) -> str:
    name = digest.hex()
    return f"content/{tenant_id}/{name[:2]}/{name}"


async def kept_of(conn: Connection, tenant_id: int, ids: Sequence[UUID]) -> dict[UUID, Kept]:
    """The contents of activities, by their current ids; without those whose content is in the row, or that have none."""
    rows = await (await conn.execute(_queries.kept_of, {"tenant_id": tenant_id, "ids": list(ids)})).fetchall()
    return {
        row[0]: Kept(
            tenant_id=tenant_id,
            digest=bytes(row[1]),
            text_bytes=row[2],
            object_bytes=row[3],
            index_bytes=row[4],
            index_digest=bytes(row[5]),
        )
        for row in rows
    }


async def follow(
    conn: Connection, tenant_id: int, old_ids: Sequence[UUID], kept: Mapping[UUID, UUID], large: Sequence[UUID]
) -> None:
    """Corrected or retracted activities, in the load's transaction. kept: by old id, the new ones of those whose content is the same.
    large: new ids of those that have a large one in their row now."""
    asked = {"tenant_id": tenant_id, "old_ids": list(old_ids)}
    await conn.execute(_queries.follow, {**asked, "kept_ids": list(kept), "new_ids": list(kept.values())})
    if large:
        await conn.execute(WAIT, {"tenant_id": tenant_id, "ids": list(large)})


async def release(conn: Connection, tenant_id: int, ids: Sequence[UUID]) -> None:
    """Activities that are about to be removed for good, by their current ids: their contents and versions with them. Objects that
    nobody else has are collected within the hour."""
    await conn.execute(_queries.release, {"tenant_id": tenant_id, "ids": list(ids)})


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
        """Write a content, unless it is there: → its digest. conn: commits by itself, since the object must not be there unknown."""
        packed = await asyncio.to_thread(pack, content)
        digest = packed.digest
        values = {"tenant_id": tenant_id, "digest": digest}
        row = await (await conn.execute(_queries.claim, values)).fetchone()
        if row is not None and row[0]:
            return digest
        path = path_of(tenant_id, digest)
        if not await self.store.put_if_absent(path, packed.data, attributes=ATTRIBUTES):
            # Of a writer that died before it could say so. What it wrote may have another form than ours, or be damaged.
            await self.store.put(path, packed.data, attributes=ATTRIBUTES)
        await conn.execute(
            _queries.written,
            {
                **values,
                "text_bytes": packed.text_bytes,
                "object_bytes": len(packed.data),
                "index_bytes": packed.index_bytes,
                "index_digest": packed.index_digest,
            },
        )
        return digest

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


@contextmanager
def _named(kept: Kept) -> Iterator[None]:
    try:
        yield
    except ObjectDamaged as error:
        raise ObjectDamaged(f"The object {kept.path} is not what was written.", path=kept.path) from error
