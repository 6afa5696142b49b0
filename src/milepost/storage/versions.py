"""The versions of an activity that was corrected: who made each, when and why, and what it was.

A verb whose content has `versions = true` keeps them. The first correction stores what was there before, whole; each further version is
stored as a difference to the one before it (zstd with that as its dictionary), and whole again after `DEPTH_MAX` of these, fewer where
versions are long, or where a difference would hardly be shorter. So any version is read from a bounded number of rows, and a
correction, which has the version before it at hand, costs one read and one small row. Differences as people and programs read them
(RFC 6902) are made when they are asked for.

A version is all that a correction can change: `content`, `data`, `measures`, and the rest. What is read is compared with its digest:
`ObjectDamaged`, and never something else. Whose an activity was before a correction made it somebody else's is kept beside
(`milepost.actor_was`), so that an erasure finds these versions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID

import jsonpatch
import msgspec
from backports import zstd

from milepost.errors import NotFound, ObjectDamaged
from milepost.postgres import Connection, load_queries
from milepost.storage._frames import part_of

__all__ = [
    "Made",
    "Version",
    "blame",
    "difference",
    "forget_actor",
    "forget_versions",
    "made_versions",
    "read_version",
    "record",
    "restorable",
    "texts_of",
]

_queries = load_queries(__package__, "versions.sql")

LEVEL, LEVEL_LONG = 17, 12  # of zstd
LONG_BYTES = 128 * 1024  # a text from here on would take 17 several times as long, and is hardly shorter by it
WORTH = 0.9  # of a whole one, that a difference is at most
LARGE = 2  # a difference of more than the whole by this may be longer than a new whole one
DEPTH_MAX = 32  # differences in a row
READ_BYTES_MAX = 8 * 1024 * 1024  # of texts that one version is read from, unless these are two
WINDOW_LOG_MAX = 27  # of what zstd looks back over: 128 MiB, more than any activity
BLAMED_MAX = 500  # versions that one question looks at
_encode = msgspec.json.Encoder(decimal_format="number", order="sorted").encode


@dataclass(frozen=True, kw_only=True)
class Made:
    """A version without what it was. by: an actor or a key's id; None: nobody said."""

    version: int
    at: datetime
    by: str | None
    why: str | None


@dataclass(frozen=True, kw_only=True)
class Version:
    made: Made
    activity: dict[str, Any]


async def record(
    conn: Connection,
    tenant_id: int,
    id: UUID,
    *,
    before: Mapping[str, Any],
    first_at: datetime,
    after: Mapping[str, Any],
    made: Made,
) -> None:
    """A correction, in its transaction. id: the public one. before: what version `made.version - 1` was, received at first_at."""
    asked = {"tenant_id": tenant_id, "id": id}
    row = await (await conn.execute(_queries.last, asked)).fetchone()
    version, digest, depth, whole_bytes = row or (0, b"", 0, 0)
    base = _encode(before)
    if version < made.version - 1:  # there was none yet, or none was kept in between
        first = Made(version=made.version - 1, at=first_at, by=None, why=None)
        last = await _append(conn, asked, first, base, None)
    else:
        if _digest(base) != bytes(digest):
            base = _encode((await read_version(conn, tenant_id, id, version)).activity)
        last = _Last(version=version, text=base, depth=depth, whole_bytes=whole_bytes)
    await _append(conn, asked, made, _encode(after), last)
    if before.get("actor") != after.get("actor"):
        await conn.execute(_queries.was, {**asked, "actor": before["actor"]})


@dataclass(frozen=True, kw_only=True)
class _Last:
    """The newest version so far. depth: differences in a row that lead to it; whole_bytes: stored, of the whole one before these."""

    version: int
    text: bytes
    depth: int
    whole_bytes: int


async def _append(conn: Connection, asked: Mapping[str, Any], made: Made, text: bytes, last: _Last | None) -> _Last:
    stored, base = b"", None
    if last is not None and last.depth < min(DEPTH_MAX, max(1, READ_BYTES_MAX // (len(text) or 1))):
        stored, base = await asyncio.to_thread(_closed, text, last.text), last
    if base is None or len(stored) * LARGE > base.whole_bytes:
        alone = await asyncio.to_thread(_closed, text, None)
        if base is None or len(stored) > WORTH * len(alone):
            stored, base = alone, None
    values = {"version": made.version, "made_at": made.at, "made_by": made.by, "why": made.why}
    values |= {"base": base and base.version, "stored": stored, "digest": _digest(text)}
    await conn.execute(_queries.insert_version, {**asked, **values})
    depth, whole_bytes = (0, len(stored)) if base is None else (base.depth + 1, base.whole_bytes)
    return _Last(version=made.version, text=text, depth=depth, whole_bytes=whole_bytes)


async def made_versions(
    conn: Connection, tenant_id: int, id: UUID, *, below: int | None = None, limit: int = BLAMED_MAX
) -> list[Made]:
    """The newest first; below: only those before this version."""
    asked = {"tenant_id": tenant_id, "id": id, "below": below, "limit": limit}
    rows = await (await conn.execute(_queries.made, asked)).fetchall()
    return [Made(version=row[0], at=row[1], by=row[2], why=row[3]) for row in rows]


async def read_version(conn: Connection, tenant_id: int, id: UUID, version: int) -> Version:
    """Raises `NotFound`, `ObjectDamaged`."""
    return (await _read(conn, tenant_id, id, [version]))[0]


async def _read(conn: Connection, tenant_id: int, id: UUID, versions: Sequence[int]) -> list[Version]:
    asked = {"tenant_id": tenant_id, "id": id, "versions": list(versions)}
    rows = {row[0]: row for row in await (await conn.execute(_queries.read, asked)).fetchall()}
    return await asyncio.to_thread(lambda: _opened_all(rows, id, versions))


def _opened_all(rows: Mapping[int, Any], id: UUID, versions: Sequence[int]) -> list[Version]:
    """rows: by version, with those that they are differences to."""
    wanted, found = set(versions), dict[int, Version]()
    for made, text in texts_of(rows[version] for version in sorted(rows)):
        if made.version in wanted:
            if text is None:
                path = f"{id}/versions/{made.version}"
                raise ObjectDamaged(f"Version {made.version} of activity {id} is not what was written.", path=path)
            found[made.version] = Version(made=made, activity=msgspec.json.decode(text))
    for version in versions:
        if version not in found:
            raise NotFound(f"The activity has no version {version} that was kept.")
    return [found[version] for version in versions]


def texts_of(rows: Iterable[Any]) -> Iterator[tuple[Made, bytes | None]]:
    """rows: an activity's versions as they are stored, in their order, from a whole one on. → each with its JSON; None: it is not what
    was written."""
    texts: dict[int, bytes] = {}
    for version, at, by, why, base, stored, digest in rows:
        made = Made(version=version, at=at, by=by, why=why)
        if base is None:
            texts.clear()  # no later one is a difference to what is before a whole one
        try:
            texts[version] = text = _opened(bytes(stored), None if base is None else texts[base])
        except (zstd.ZstdError, KeyError):
            yield made, None
            continue
        yield made, text if _digest(text) == bytes(digest) else None


async def restorable(conn: Connection, tenant_id: int, id: UUID, version: int) -> bytes:
    """What a version was, as JSON, to become one anew."""
    return _encode((await read_version(conn, tenant_id, id, version)).activity)


async def difference(conn: Connection, tenant_id: int, id: UUID, version: int, to: int) -> list[dict[str, Any]]:
    """What leads from one version to another (RFC 6902)."""
    one, other = await _read(conn, tenant_id, id, [version, to])
    return await asyncio.to_thread(lambda: list(jsonpatch.make_patch(one.activity, other.activity)))


async def blame(conn: Connection, tenant_id: int, id: UUID, pointer: str) -> list[tuple[str, Made]]:
    """Which version last changed what a pointer points to, and each of its members: (pointer, version), itself first. Of the last
    `BLAMED_MAX` versions. Raises `InvalidInput`, `NotFound`."""
    versions = sorted(made.version for made in await made_versions(conn, tenant_id, id))
    if not versions:
        raise NotFound("The activity has no versions that were kept.")
    read = await _read(conn, tenant_id, id, versions)
    return await asyncio.to_thread(_blamed, read, pointer)


def _blamed(versions: Sequence[Version], pointer: str) -> list[tuple[str, Made]]:
    part_of(versions[-1].activity, pointer)
    last: dict[str, Made] = {}
    values: dict[str, Any] = {}
    for version in versions:
        try:
            parts = _members(part_of(version.activity, pointer), pointer)
        except NotFound:
            parts = {}
        changed = [at for at, value in parts.items() if at not in values or values[at] != value]
        last = {at: last[at] for at in parts if at in last} | dict.fromkeys(changed, version.made)
        values = parts
    return list(last.items())


def _members(value: Any, pointer: str) -> dict[str, Any]:
    if isinstance(value, dict):
        named = [(name.replace("~", "~0").replace("/", "~1"), one) for name, one in value.items()]
    elif isinstance(value, list):
        named = [(str(place), one) for place, one in enumerate(value)]
    else:
        named = []
    return {pointer: value} | {f"{pointer}/{name}": one for name, one in named}


async def forget_versions(conn: Connection, tenant_id: int, ids: Sequence[UUID]) -> int:
    """Of activities that are retracted or erased. ids: public ones. → how many versions are gone."""
    return (await conn.execute(_queries.forget_versions, {"tenant_id": tenant_id, "ids": list(ids)})).rowcount


async def forget_actor(conn: Connection, tenant_id: int, actor: int, name: str) -> int:
    """An actor that is erased, by its number and name: what activities were as long as they were its own, and as who made a version of others.
    What cannot be read any more may be its own, and goes. → how many versions are gone or have lost their maker."""
    whose = {"tenant_id": tenant_id, "actor": actor, "name": name}
    gone = 0
    for (id,) in await (await conn.execute(_queries.were, whose)).fetchall():
        asked = {"tenant_id": tenant_id, "id": id}
        rows = await (await conn.execute(_queries.every, asked)).fetchall()
        kept = [(made, text) for made, text in texts_of(rows) if text and msgspec.json.decode(text)["actor"] != name]
        await conn.execute(_queries.clear, asked)
        last = None
        for made, text in kept:
            last = await _append(conn, asked, made, text, last)
        gone += len(rows) - len(kept)
    await conn.execute(_queries.was_nobody, whose)
    return gone + (await conn.execute(_queries.made_by_nobody, whose)).rowcount


def _closed(text: bytes, base: bytes | None) -> bytes:
    level = LEVEL if len(text) < LONG_BYTES else LEVEL_LONG
    if base is None:
        return zstd.compress(text, level=level)
    options: dict[int, int] = {zstd.CompressionParameter.compression_level: level}
    if len(text) > 1 << 20:
        options[zstd.CompressionParameter.enable_long_distance_matching] = 1
        options[zstd.CompressionParameter.window_log] = min(WINDOW_LOG_MAX, (len(text) + len(base)).bit_length())
    return bytes(zstd.compress(text, options=options, zstd_dict=zstd.ZstdDict(base, is_raw=True).as_prefix))


def _opened(stored: bytes, base: bytes | None) -> bytes:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: WINDOW_LOG_MAX}
    prefix = None if base is None else zstd.ZstdDict(base, is_raw=True).as_prefix
    return bytes(zstd.decompress(stored, zstd_dict=prefix, options=options))


def _digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=8).digest()
