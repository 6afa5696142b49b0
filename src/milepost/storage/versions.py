"""The versions of an activity that was corrected: who made each, when and why, and what it was.

A verb whose content has `versions = true` keeps them. The first correction stores what was there before, whole; each further version is
stored as a difference to the last whole one (zstd with that as its dictionary), until the difference is half as large, and then
whole again. So any version is read from two rows, and a correction costs two reads and one small row. Differences as people and programs
read them (RFC 6902) are made when they are asked for.

A version is all that a correction can change: `content`, `data`, `measures`, and the rest. What is read is compared with its digest:
`ObjectDamaged`, and never something else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
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

__all__ = ["Made", "Version", "blame", "difference", "forget_versions", "made_versions", "read_version", "record", "restorable"]

_queries = load_queries(__package__, "versions.sql")

LEVEL = 12
WHOLE_AGAIN = 2  # a difference is stored as long as it is this much smaller than the whole
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
    row = await (await conn.execute(_queries.last_whole, asked)).fetchone()
    if row is None:
        first = Made(version=made.version - 1, at=first_at, by=None, why=None)
        text = _encode(before)
        stored = zstd.compress(text, level=LEVEL)
        await _insert(conn, asked, first, None, stored, text)
        base, whole, whole_bytes = first.version, text, len(stored)
    else:
        base, stored = row[0], bytes(row[1])
        whole, whole_bytes = _opened(stored, None), len(stored)
    text = _encode(after)
    difference = await asyncio.to_thread(_closed, text, whole)
    if len(difference) * WHOLE_AGAIN > whole_bytes:
        alone = zstd.compress(text, level=LEVEL)
        if len(difference) * WHOLE_AGAIN > len(alone):
            await _insert(conn, asked, made, None, alone, text)
            return
    await _insert(conn, asked, made, base, difference, text)


async def _insert(conn: Connection, asked: Mapping[str, Any], made: Made, base: int | None, stored: bytes, text: bytes) -> None:
    values = {"version": made.version, "made_at": made.at, "made_by": made.by, "why": made.why, "base": base}
    await conn.execute(_queries.insert_version, {**asked, **values, "stored": stored, "digest": _digest(text)})


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
    wholes = {row[0]: bytes(row[5]) for row in rows.values() if row[4] is None}
    return await asyncio.to_thread(lambda: [_version(rows.get(version), wholes, id, version) for version in versions])


def _version(row: Any, wholes: Mapping[int, bytes], id: UUID, version: int) -> Version:
    if row is None:
        raise NotFound(f"The activity has no version {version} that was kept.")
    damaged = ObjectDamaged(f"Version {version} of activity {id} is not what was written.", path=f"{id}/versions/{version}")
    try:
        base = None if row[4] is None else _opened(wholes[row[4]], None)
        text = _opened(bytes(row[5]), base)
    except (zstd.ZstdError, KeyError) as error:
        raise damaged from error
    if _digest(text) != bytes(row[6]):
        raise damaged
    made = Made(version=version, at=row[1], by=row[2], why=row[3])
    return Version(made=made, activity=msgspec.json.decode(text))


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


def _closed(text: bytes, whole: bytes) -> bytes:
    options: dict[int, int] = {zstd.CompressionParameter.compression_level: LEVEL}
    if len(text) > 1 << 20:
        options[zstd.CompressionParameter.enable_long_distance_matching] = 1
        options[zstd.CompressionParameter.window_log] = min(WINDOW_LOG_MAX, (len(text) + len(whole)).bit_length())
    return bytes(zstd.compress(text, options=options, zstd_dict=zstd.ZstdDict(whole, is_raw=True).as_prefix))


def _opened(stored: bytes, whole: bytes | None) -> bytes:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: WINDOW_LOG_MAX}
    prefix = None if whole is None else zstd.ZstdDict(whole, is_raw=True).as_prefix
    return bytes(zstd.decompress(stored, zstd_dict=prefix, options=options))


def _digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=8).digest()
