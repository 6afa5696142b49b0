"""Activities as the binary rows that COPY takes: the only work done on every activity in Python.

A batch's payload is zstd of a JSON header line, the rows' lengths, and the rows, without COPY's own header and trailer, so that several
batches can follow one another in one COPY. A row has the activity table's columns (`milepost.schema.compile.RowColumns`), but where the
table has the numbers of an actor or group, it has a name's place in the header's lists: which number a name has, the load knows
(`milepost.intake._load_rows`). Format: PostgreSQL documentation, COPY, "Binary Format"; integers are big-endian, timestamps
microseconds since 2000-01-01, jsonb begins with its version byte 1.
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import msgspec
from backports import zstd

__all__ = [
    "COPY_HEADER",
    "COPY_TRAILER",
    "NULL",
    "Header",
    "Payload",
    "TextCache",
    "int8",
    "jsonb",
    "open_payload",
    "seal_payload",
]

COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
COPY_TRAILER = struct.pack(">h", -1)
NULL = struct.pack(">i", -1)
POSTGRES_EPOCH_US = 63_082_281_600_000_000  # 2000-01-01 in microseconds since year 1

_int8 = struct.Struct(">iq").pack
_int2 = struct.Struct(">ih").pack
_length = struct.Struct(">i").pack
_array = struct.Struct(">iiIii").pack
# A row's beginning: number of columns; tenant; id; occurred_at; place of the actor's name; of the group's. HEAD_BYTES_MIN of these
# are there in every row; a group is NULL instead where there is none.
pack_head = struct.Struct(">hiiiQQiqiqiq").pack
pack_head_without_group = struct.Struct(">hiiiQQiqiqi").pack
INT8_OID = 20
PLAIN_BYTES_MAX = 256 * 1024 * 1024
COLUMNS = re.compile(r"[a-z_][a-z0-9_]*(, [a-z_][a-z0-9_]*)*", re.ASCII)


def int8(value: int) -> bytes:
    return _int8(8, value)


def int2(value: int) -> bytes:
    return _int2(2, value)


def timestamp(since_year_one_us: int) -> bytes:
    return _int8(8, since_year_one_us - POSTGRES_EPOCH_US)


def boolean(value: bool) -> bytes:
    return b"\0\0\0\1\1" if value else b"\0\0\0\1\0"


def octets(value: bytes) -> bytes:
    return _length(len(value)) + value


def text(value: str) -> bytes:
    """A text that does not repeat; the others go through a TextCache."""
    raw = value.encode()
    return _length(len(raw)) + raw


def jsonb(raw: bytes) -> bytes:
    return b"%b\x01%b" % (_length(len(raw) + 1), raw)


def int8_array(values: Sequence[int]) -> bytes:
    return octets(_array(1, 0, INT8_OID, len(values), 1) + b"".join(map(int8, values)))


class TextCache(dict[str, bytes]):
    """Encoded texts by text. Verbs, sources, groups and active actors repeat: a look-up costs a fifth of an encoding.

    Emptied when it is full, by entries or by bytes of text: long ids that never come again must not fill memory.
    """

    def __init__(self, entries_max: int = 200_000, bytes_max: int = 16 * 1024 * 1024) -> None:
        super().__init__()
        self.entries_max = entries_max
        self.bytes_max = bytes_max
        self._bytes = 0

    def __missing__(self, text: str) -> bytes:
        raw = text.encode()
        if len(self) >= self.entries_max or self._bytes + len(raw) > self.bytes_max:
            self.clear()
            self._bytes = 0
        self._bytes += len(raw)
        encoded = self[text] = _length(len(raw)) + raw
        return encoded


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """delta: how many columns, from the first on, a row of the delta has, too.
    keys: by row, the hash, as hex, of a key that came without a time: the ledger decides on its id.
    large: the rows whose content is to be in the object store.
    files: by row and name, the files that it names, as hexadecimal digits.
    """

    columns: str
    delta: int
    actors: list[str]
    groups: list[str]
    keys: dict[int, str] = {}
    large: list[int] = []
    files: dict[int, dict[str, list[str]]] = {}


@dataclass(frozen=True, kw_only=True)
class Payload:
    """lengths: of each row, and of as much of it as is a row of the delta, in bytes. kept: by row, the digest of a content that is in the
    object store, and not in the row; never in a sealed payload."""

    header: Header
    lengths: array[int]
    splits: array[int]
    rows: memoryview | bytes
    kept: Mapping[int, bytes] = field(default_factory=dict)

    def ends(self) -> list[int]:
        return list(accumulate(self.lengths))


_header_decoder = msgspec.json.Decoder(Header)
_count = struct.Struct(">I")


def seal_payload(payload: Payload) -> bytes:
    lengths = array("I", payload.lengths)
    lengths.extend(payload.splits)
    if sys.byteorder == "big":
        lengths.byteswap()
    parts = (msgspec.json.encode(payload.header), b"\n", _count.pack(len(payload.lengths)), lengths.tobytes(), payload.rows)
    return zstd.compress(b"".join(parts), level=1)


def open_payload(payload: bytes) -> Payload:
    """Raises `ValueError` for what is no payload. An app may have written it (`milepost.intake.within`): its column list becomes SQL, so
    it must be names and nothing else, and it may not be more than any request can become. What is in its rows, `LoadRows` looks at."""
    unpacker = zstd.ZstdDecompressor()
    plain = unpacker.decompress(payload, PLAIN_BYTES_MAX)
    if not unpacker.eof:
        raise ValueError(f"the payload is not whole, or holds more than {PLAIN_BYTES_MAX} bytes")
    end = plain.index(b"\n") + 1
    header = _header_decoder.decode(plain[:end])
    if not COLUMNS.fullmatch(header.columns):
        raise ValueError(f"the payload's columns are no names: {header.columns[:100]!r}")
    if len(plain) < end + _count.size:
        raise ValueError("the payload has no rows")
    (rows,) = _count.unpack_from(plain, end)
    begin = end + _count.size + 8 * rows
    numbers = array("I")
    numbers.frombytes(plain[end + _count.size : begin])
    if sys.byteorder == "big":
        numbers.byteswap()
    lengths, splits = numbers[:rows], numbers[rows:]
    if len(numbers) != 2 * rows or begin + sum(lengths) != len(plain):
        raise ValueError("the payload is cut off, or its rows are not as long as it says")
    return Payload(header=header, lengths=lengths, splits=splits, rows=memoryview(plain)[begin:])
