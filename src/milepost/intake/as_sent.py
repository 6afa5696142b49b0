"""As sent: the activities of a payload as the JSON that a person would have sent, to read them, to mend them, or to accept them
anew under another model.

What the server added is beside them: the id that each was given, and when it was received. Measures come back in the user's
units, exactly; `data` and `content` are the bytes that came.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec
from backports import zstd

from milepost.activity import AUDIENCES, YEAR_ONE
from milepost.intake import _rows
from milepost.intake._cut import fields_of
from milepost.storage.activities import rfc3339

__all__ = ["Sent", "activities_of"]

_int8 = struct.Struct(">q").unpack
_int2 = struct.Struct(">h").unpack


@dataclass(frozen=True, kw_only=True)
class Sent:
    """key_hash: where the client gave a key and no time, so that the load asks the ledger for the id."""

    id: UUID
    received_at: datetime
    key_hash: bytes | None
    activity: dict[str, Any]


def activities_of(payload: bytes, scales: Mapping[str, int], first: int = 0, last: int | None = None) -> list[Sent]:
    """The rows from `first` up to `last`. scales: decimal places by measure. Raises ValueError for what cannot be read."""
    try:
        opened = _rows.open_payload(payload)
        header, names = opened.header, opened.header.columns.split(", ")
        ends = opened.ends()
        starts = [0, *ends]
        return [
            _sent(dict(zip(names, fields_of(opened.rows[start:end]), strict=True)), header, row, scales)
            for row, (start, end) in islice(enumerate(zip(starts, ends, strict=False)), first, last)
        ]
    except (struct.error, KeyError, IndexError, OverflowError, msgspec.MsgspecError, zstd.ZstdError) as error:
        raise ValueError(f"its rows cannot be read: {error}") from error


def _sent(row: Mapping[str, bytes | None], header: _rows.Header, number: int, scales: Mapping[str, int]) -> Sent:
    key_hash = header.keys.get(number)
    activity: dict[str, Any] = {}
    key, kind = _text(row["key"]), _text(row["object_kind"])
    if key is not None:
        activity["key"] = key
    actor = header.actors[_place(row["actor_id"])]
    activity |= {"occurred_at": rfc3339(_time(row["occurred_at"])), "actor": actor, "verb": _text(row["verb"])}
    if kind is not None:
        activity["object"] = {"kind": kind, "id": _text(row["object_id"])}
    if row["group_id"] is not None:
        group, *more = (header.groups[place] for place in (_place(row["group_id"]), *_places(row["more_groups"])))
        activity |= {"groups": [group, *more]} if more else {"group": group}
    measures = {
        name[2:]: Decimal(_int8(value)[0]).scaleb(-scales[name[2:]]) if scales[name[2:]] else _int8(value)[0]
        for name, value in row.items()
        if name.startswith("m_") and value is not None
    }
    if measures:
        activity["measures"] = measures
    for name in ("data", "content"):
        value = row[name]
        if value is not None:
            activity[name] = msgspec.Raw(value[1:])  # after jsonb's version
    if number in header.files:
        activity["files"] = {name: [str(UUID(hex=file)) for file in files] for name, files in header.files[number].items()}
    activity["visibility"] = AUDIENCES[_int2(_there(row["audience"]))[0]]
    activity |= {name: text for name in ("source", "status") if (text := _text(row[name]))}
    return Sent(
        id=UUID(bytes=_there(row["id"])),
        received_at=_time(row["received_at"]),
        key_hash=None if key_hash is None else bytes.fromhex(key_hash),
        activity=activity,
    )


def _there(value: bytes | None) -> bytes:
    if value is None:
        raise ValueError("a value is missing that each row has")
    return value


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _time(value: bytes | None) -> datetime:
    return YEAR_ONE + timedelta(microseconds=_int8(_there(value))[0] + _rows.POSTGRES_EPOCH_US)


def _place(value: bytes | None) -> int:
    """In a list of names."""
    place: int = _int8(_there(value))[0]
    if place < 0:
        raise ValueError("a name's place is below 0")
    return place


def _places(value: bytes | None) -> list[int]:
    """A one-dimensional bigint[]: dimensions, flags, type, length, lower bound; then each element with its length."""
    if value is None:
        return []
    return [_place(value[at + 4 : at + 12]) for at in range(20, len(value), 12)]
