"""Cutting a payload of activities at the borders of its rows.

The rows stand one after the other in PostgreSQL's binary COPY format: a count of fields, and each field with its length before
it. So a border is found without knowing what a field means; the first field is the id.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from milepost.intake import _rows

__all__ = ["fields_of", "piece", "row_ends"]

_count = struct.Struct(">h").unpack_from
_length = struct.Struct(">i").unpack_from
_ID = slice(6, 22)  # of a row: after the count of fields and the id's length


def row_ends(rows: memoryview) -> list[int]:
    """Where each row ends. Raises ValueError where the bytes are no rows."""
    ends, at, size = [], 0, len(rows)
    try:
        while at < size:
            (fields,) = _count(rows, at)
            at += 2
            for _ in range(fields):
                (length,) = _length(rows, at)
                at += 4 + max(length, 0)
            ends.append(at)
    except struct.error as error:
        raise ValueError(f"row {len(ends)} is cut off") from error
    if at != size:
        raise ValueError(f"row {len(ends) - 1} is cut off")
    return ends


def piece(payload: _rows.Payload, ends: Sequence[int], first: int, last: int) -> bytes:
    """The rows from `first` up to, and without, `last`, as a payload of their own."""
    starts = [ends[first - 1] if first else 0, *ends[first : last - 1]]
    ids = [bytes(payload.rows[start:][_ID]) for start in starts]
    header = _rows.Header(columns=payload.header.columns, low=min(ids).hex(), high=max(ids).hex(), ledger=payload.header.ledger)
    return _rows.seal_payload(header, bytes(payload.rows[starts[0] : ends[last - 1]]))


def fields_of(row: memoryview) -> list[bytes | None]:
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
