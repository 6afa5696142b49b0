"""Activities as the binary rows that COPY takes: the only work done on every activity in Python.

A batch's payload is zstd of a JSON header line (`columns`, `low` and `high` ids, `ledger`) and then the rows, without COPY's own
header and trailer, so that several batches can follow one another in one COPY. Format: PostgreSQL documentation, COPY, "Binary
Format"; integers are big-endian, timestamps microseconds since 2000-01-01, jsonb begins with its version byte 1.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from backports import zstd

__all__ = ["COPY_HEADER", "COPY_TRAILER", "NULL", "Header", "TextCache", "int8", "jsonb", "open_payload", "seal_payload"]

COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
COPY_TRAILER = struct.pack(">h", -1)
NULL = struct.pack(">i", -1)
POSTGRES_EPOCH_US = 63_082_281_600_000_000  # 2000-01-01 in microseconds since year 1

_int8 = struct.Struct(">iq").pack
_int2 = struct.Struct(">ih").pack
_length = struct.Struct(">i").pack
_array = struct.Struct(">iiIii").pack
pack_head = struct.Struct(">hiQQiiqiq").pack  # number of columns; id; no key_hash; occurred_at; received_at
_head_with_key = struct.Struct(">hiQQi16siqiq").pack
TEXT_OID = 25
PLAIN_BYTES_MAX = 256 * 1024 * 1024
COLUMNS = re.compile(r"[a-z_][a-z0-9_]*(, [a-z_][a-z0-9_]*)*", re.ASCII)


def int8(value: int) -> bytes:
    return _int8(8, value)


def int2(value: int) -> bytes:
    return _int2(2, value)


def timestamp(since_year_one_us: int) -> bytes:
    return _int8(8, since_year_one_us - POSTGRES_EPOCH_US)


def head_with_key(columns: int, high: int, low: int, key_hash: bytes, occurred_at: int, received_at: int) -> bytes:
    """A row's beginning where the ledger must be asked; times in microseconds since 2000."""
    return _head_with_key(columns, 16, high, low, 16, key_hash, 8, occurred_at, 8, received_at)


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


def text_array(values: Sequence[str]) -> bytes:
    elements = b"".join(octets(value.encode()) for value in values)
    return octets(_array(1, 0, TEXT_OID, len(values), 1) + elements)


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


class Header(msgspec.Struct, frozen=True):
    columns: str
    low: str  # the smallest and the largest id, as hex
    high: str
    ledger: bool = False


@dataclass(frozen=True, kw_only=True)
class Payload:
    header: Header
    rows: memoryview


_header_decoder = msgspec.json.Decoder(Header)


def seal_payload(header: Header, rows: bytes) -> bytes:
    return zstd.compress(msgspec.json.encode(header) + b"\n" + rows, level=1)


def open_payload(payload: bytes) -> Payload:
    """Raises `ValueError` for what is no payload. An app may have written it (`milepost.intake.within`): its column list becomes SQL, so
    it must be names and nothing else, and it may not be more than any request can become."""
    unpacker = zstd.ZstdDecompressor()
    plain = unpacker.decompress(payload, PLAIN_BYTES_MAX)
    if not unpacker.eof:
        raise ValueError(f"the payload is not whole, or holds more than {PLAIN_BYTES_MAX} bytes")
    end = plain.index(b"\n")
    header = _header_decoder.decode(plain[:end])
    if not COLUMNS.fullmatch(header.columns):
        raise ValueError(f"the payload's columns are no names: {header.columns[:100]!r}")
    return Payload(header=header, rows=memoryview(plain)[end + 1 :])
