"""Large contents leave their rows before these are loaded: the object store has them when the transaction begins.

So neither the table nor its WAL ever sees them. It is done within a time; what the store does not take until then, or while it does not
answer, stays in its row, is loaded with it, and is moved by upkeep (`milepost.storage.moving`): a load does not depend on the store.
"""

from __future__ import annotations

import asyncio
import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic

import msgspec

from milepost.intake import _rows
from milepost.postgres import Connection
from milepost.storage.content import Contents
from milepost.telemetry import count

__all__ = ["ContentsOut"]

WITHIN_S = 1.0  # of a load
REST_S = 10.0  # after the store took nothing in that time

_length = struct.Struct(">i")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a row's content stands among a payload's bytes: its length, and itself behind that."""

    start: int
    end: int


class ContentsOut:
    """Of one lane's session."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._again_at = 0.0

    async def take(self, conn: Connection, tenant_id: int, payloads: Sequence[bytes]) -> list[_rows.Payload]:
        """The payloads opened, without the contents that are in the store now. conn: outside a transaction. Raises ValueError."""
        opened = await asyncio.to_thread(lambda: [_rows.open_payload(payload) for payload in payloads])
        if monotonic() < self._again_at or not any(one.header.large for one in opened):
            return opened
        places = [_places(one) for one in opened]
        contents = [
            bytes(one.rows[place.start + _length.size + 1 : place.end])  # behind jsonb's version byte
            for one, found in zip(opened, places, strict=True)
            for place in found.values()
        ]
        digests = iter(await self._contents.keep_some(conn, tenant_id, contents, within_s=WITHIN_S))
        kept = [{row: digest for row in found if (digest := next(digests)) is not None} for found in places]
        if not any(kept):
            self._again_at = monotonic() + REST_S
        count("contents_kept", sum(map(len, kept)))
        return [_without(*one) for one in zip(opened, places, kept, strict=True)]


def _places(payload: _rows.Payload) -> dict[int, Place]:
    """By row, of those whose content is large."""
    if not payload.header.large:
        return {}
    columns = payload.header.columns.split(", ")
    ends, found = payload.ends(), {}
    for row in payload.header.large:
        if not 0 <= row < len(ends) or "content" not in columns[payload.header.delta :]:
            raise ValueError("a row is said to be large that is not there, or has no content")
        at, end = ends[row] - payload.lengths[row] + payload.splits[row], ends[row]
        for column in columns[payload.header.delta :]:
            if at + _length.size > end:
                raise ValueError("a row is shorter than its columns")
            (size,) = _length.unpack_from(payload.rows, at)
            after = at + _length.size + max(size, 0)
            if after > end:
                raise ValueError("a row is shorter than its columns")
            if column == "content":
                if size < 1:
                    raise ValueError("a row without a content is said to have a large one")
                found[row] = Place(start=at, end=after)
                break
            at = after
    return found


def _without(payload: _rows.Payload, places: Mapping[int, Place], kept: Mapping[int, bytes]) -> _rows.Payload:
    """The payload with NULL where a content was that is kept."""
    if not kept:
        return payload
    pieces: list[memoryview | bytes] = []
    lengths, done = array("I", payload.lengths), 0
    for row in sorted(kept):
        place = places[row]
        pieces += [payload.rows[done : place.start], _rows.NULL]
        lengths[row] -= place.end - place.start - len(_rows.NULL)
        done = place.end
    pieces.append(payload.rows[done:])
    large = [row for row in payload.header.large if row not in kept]
    header = msgspec.structs.replace(payload.header, large=large)
    return replace(payload, header=header, lengths=lengths, rows=b"".join(pieces), kept=kept)
