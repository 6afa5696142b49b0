"""JSON that is already text goes into `jsonb` as it is.

In a binary COPY the driver picks how to write a value by the column's type alone, and for `jsonb` it encodes whatever
it gets: a `str` or `bytes` that already is JSON would silently be stored as one JSON string. Here `str` and `bytes`
in a `jsonb` column of a binary COPY are JSON text; any other value (dict, list, number) is encoded. To store a JSON
string from a Python `str` there, wrap it: `Jsonb("text")`. As the parameter of a statement, `JsonText(b'{"a": 1}')`
says the same of one value.

What is read is decoded by msgspec, in a tenth of the time.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Dumper
from psycopg.pq import Format
from psycopg.types.json import JsonbBinaryDumper, set_json_loads

__all__ = ["JsonText", "adapters"]

JSONB_OID = 3802
VERSION = b"\x01"  # of jsonb's binary form


class JsonText:
    """JSON as text, to be stored in `jsonb` without being decoded and encoded again. PostgreSQL checks it."""

    __slots__ = ("data",)

    def __init__(self, data: bytes | str) -> None:
        self.data = data.encode() if isinstance(data, str) else data


class JsonTextDumper(Dumper):
    """For parameters sent as text."""

    oid = JSONB_OID

    def dump(self, obj: JsonText) -> Buffer | None:
        return obj.data


class JsonTextBinaryDumper(JsonbBinaryDumper):
    """For parameters sent in binary, and for every value of a `jsonb` column of a binary COPY."""

    format = Format.BINARY
    oid = JSONB_OID

    def dump(self, obj: object) -> Buffer | None:
        if isinstance(obj, JsonText):
            return VERSION + obj.data
        if isinstance(obj, bytes):
            return VERSION + obj
        if isinstance(obj, str):
            return VERSION + obj.encode()
        return super().dump(obj)


# The last dumper registered for a type is the one that a COPY takes for columns of that type.
adapters = AdaptersMap(psycopg.adapters)
adapters.register_dumper(JsonText, JsonTextDumper)
adapters.register_dumper(JsonText, JsonTextBinaryDumper)


def _loads(text: str | bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return json.loads(text)  # a number that is too large for a float is infinite there


set_json_loads(_loads, adapters)
