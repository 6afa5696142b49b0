"""Cutting a payload of activities at the borders of its rows."""

from __future__ import annotations

import struct

from milepost.intake import _rows

__all__ = ["fields_of", "piece"]

_count = struct.Struct(">h").unpack_from
_length = struct.Struct(">i").unpack_from


def piece(payload: _rows.Payload, first: int, last: int) -> bytes:
    """The rows from `first` up to, and without, `last`, as a payload of their own."""
    ends = [0, *payload.ends()]
    header = _rows.Header(
        columns=payload.header.columns,
        delta=payload.header.delta,
        actors=payload.header.actors,
        groups=payload.header.groups,
        keys={row - first: key for row, key in payload.header.keys.items() if first <= row < last},
        large=[row - first for row in payload.header.large if first <= row < last],
        files={row - first: named for row, named in payload.header.files.items() if first <= row < last},
    )
    return _rows.seal_payload(
        _rows.Payload(
            header=header,
            lengths=payload.lengths[first:last],
            splits=payload.splits[first:last],
            rows=payload.rows[ends[first] : ends[last]],
        )
    )


def fields_of(row: memoryview | bytes) -> list[bytes | None]:
    """The fields of one row, as their bytes; None for NULL."""
    (count,) = _count(row, 0)
    fields: list[bytes | None] = []
    at = 2
    for _ in range(count):
        (length,) = _length(row, at)
        at += 4
        fields.append(None if length < 0 else bytes(row[at : at + length]))
        at += max(length, 0)
    return fields
