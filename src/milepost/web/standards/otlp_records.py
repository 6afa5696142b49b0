"""OpenTelemetry log records as messages, out of protobuf and out of OTLP's JSON: one row a record, the same from both.

    {"key": …, "time": …, "observed_time": …, "time_unix_nano": …, "severity_number": 9, "severity_text": "INFO",
     "event_name": "…", "body": …, "attributes": {…}, "trace_id": "hex", "span_id": "hex",
     "resource": {…attributes}, "scope": {"name", "version", "attributes"}}

A log record has no id. Its key is a hash of all that it says, with its number among the identical ones of its request: an exporter
that sends the same request again makes the same keys. `observed_time` is left out of it where there is a `time`, because a collector
on the way may stamp it anew. A record without any time has no key: nothing would tell a second one from a retry.

Raises `InvalidInput` where the body is not what its Content-Type says.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber

from milepost.errors import FieldError, InvalidInput

__all__ = ["from_json", "from_protobuf"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NANOSECONDS_MAX = 2**64 - 1

Row = dict[str, Any]
_encode = msgspec.json.Encoder(order="sorted").encode


def from_protobuf(body: bytes) -> list[Row]:
    try:
        request = ExportLogsServiceRequest.FromString(body)
    except DecodeError as error:
        raise InvalidInput("The body is not an ExportLogsServiceRequest.", errors=(FieldError("", str(error)),)) from error
    return _keyed(_of_request(request))


def _of_request(request: Any) -> Iterator[Row]:
    for of_resource in request.resource_logs:
        resource = _attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_logs:
            scope = _scope(of_scope.scope.name, of_scope.scope.version, _attributes(of_scope.scope.attributes))
            for record in of_scope.log_records:
                yield _row(
                    time_ns=record.time_unix_nano,
                    observed_ns=record.observed_time_unix_nano,
                    severity_number=record.severity_number,
                    severity_text=record.severity_text,
                    event_name=record.event_name,
                    body=_value(record.body),
                    attributes=_attributes(record.attributes),
                    trace_id=record.trace_id.hex(),
                    span_id=record.span_id.hex(),
                    resource=resource,
                    scope=scope,
                )


def _attributes(pairs: Iterable[Any]) -> Row:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [_value(one) for one in value.array_value.values]
        case "kvlist_value":
            return _attributes(value.kvlist_value.values)
        case "bytes_value":
            return b64encode(value.bytes_value).decode()
        case kind:
            return getattr(value, kind)


# ── JSON ───────────────────────────────────────────────────────────────────────────────────────────────────────────
# Names are in lowerCamelCase; 64-bit integers are texts or numbers; ids are hexadecimal, unlike in protobuf's own JSON; null is the
# same as absent; what is not known is ignored.


class _Any(msgspec.Struct, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    array_value: _Array | None = None
    kvlist_value: _Pairs | None = None
    bytes_value: str | None = None


class _Array(msgspec.Struct):
    values: list[_Any] | None = None


class _Pair(msgspec.Struct):
    key: str = ""
    value: _Any | None = None


class _Pairs(msgspec.Struct):
    values: list[_Pair] | None = None


class _Record(msgspec.Struct, rename="camel"):
    time_unix_nano: int | str | None = None
    observed_time_unix_nano: int | str | None = None
    severity_number: int | str | None = None
    severity_text: str | None = None
    event_name: str | None = None
    body: _Any | None = None
    attributes: list[_Pair] | None = None
    trace_id: str | None = None
    span_id: str | None = None


class _Scope(msgspec.Struct):
    name: str | None = None
    version: str | None = None
    attributes: list[_Pair] | None = None


class _Resource(msgspec.Struct):
    attributes: list[_Pair] | None = None


class _OfScope(msgspec.Struct, rename="camel"):
    scope: _Scope | None = None
    log_records: list[_Record] | None = None


class _OfResource(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_logs: list[_OfScope] | None = None


class _Request(msgspec.Struct, rename="camel"):
    resource_logs: list[_OfResource] | None = None


_decode = msgspec.json.Decoder(_Request).decode


def from_json(body: bytes) -> list[Row]:
    try:
        return _keyed(_of_json(_decode(body)))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError is one, too
        raise InvalidInput("The body is not an ExportLogsServiceRequest.", errors=(FieldError("", str(error)),)) from error


def _of_json(request: _Request) -> Iterator[Row]:
    for of_resource in request.resource_logs or ():
        resource = _json_attributes(of_resource.resource.attributes if of_resource.resource else None)
        for of_scope in of_resource.scope_logs or ():
            said = of_scope.scope or _Scope()
            scope = _scope(said.name or "", said.version or "", _json_attributes(said.attributes))
            for record in of_scope.log_records or ():
                yield _row(
                    time_ns=_nanoseconds("timeUnixNano", record.time_unix_nano),
                    observed_ns=_nanoseconds("observedTimeUnixNano", record.observed_time_unix_nano),
                    severity_number=_severity(record.severity_number),
                    severity_text=record.severity_text or "",
                    event_name=record.event_name or "",
                    body=_json_value(record.body),
                    attributes=_json_attributes(record.attributes),
                    trace_id=(record.trace_id or "").lower(),
                    span_id=(record.span_id or "").lower(),
                    resource=resource,
                    scope=scope,
                )


def _json_attributes(pairs: list[_Pair] | None) -> Row:
    return {pair.key: _json_value(pair.value) for pair in pairs or ()}


def _json_value(value: _Any | None) -> Any:
    if value is None:
        return None
    if value.array_value is not None:
        return [_json_value(one) for one in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return _json_attributes(value.kvlist_value.values)
    if value.int_value is not None:
        return _integer("intValue", value.int_value, -(2**63), 2**63 - 1)
    if value.double_value is not None:
        return _double(value.double_value)
    if value.bytes_value is not None:
        try:
            return b64encode(b64decode(value.bytes_value, validate=True)).decode()
        except (NotBase64, ValueError) as error:
            raise _wrong("bytesValue", "is not base64") from error
    return value.bool_value if value.string_value is None else value.string_value


def _double(value: float | str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise _wrong("doubleValue", "is not a number") from error


def _nanoseconds(name: str, value: int | str | None) -> int:
    return 0 if value is None else _integer(name, value, 0, NANOSECONDS_MAX)


def _integer(name: str, value: int | str, low: int, high: int) -> int:
    try:
        found = int(value)
    except ValueError as error:
        raise _wrong(name, "is not an integer") from error
    if not low <= found <= high:
        raise _wrong(name, "is not an integer of 64 bits")
    return found


def _severity(value: int | str | None) -> int:
    if isinstance(value, str):
        number: int | None = dict(SeverityNumber.items()).get(value)
        if number is None:
            raise _wrong("severityNumber", "is not one of SeverityNumber")
        return number
    return 0 if value is None else value


def _wrong(name: str, detail: str) -> InvalidInput:
    return InvalidInput("The body is not an ExportLogsServiceRequest.", errors=(FieldError(f"/{name}", detail),))


# ── Both ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _scope(name: str, version: str, attributes: Row) -> Row:
    given = {"name": name, "version": version, "attributes": attributes}
    return {key: value for key, value in given.items() if value}


def _row(*, time_ns: int, observed_ns: int, **said: Any) -> Row:
    """What is absent or empty is not there."""
    row = {name: value for name, value in said.items() if value not in ("", 0, None, {}) or name == "body"}
    if row.get("body") is None:
        row.pop("body", None)
    if time_ns:
        row |= {"time_unix_nano": time_ns, "time": _time(time_ns)}
    if observed_ns:
        row["observed_time"] = _time(observed_ns)
    return row


def _time(nanoseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=nanoseconds // 1000)


def _keyed(rows: Iterable[Row]) -> list[Row]:
    seen: Counter[bytes] = Counter()
    keyed = []
    for row in rows:
        if "time" in row or "observed_time" in row:
            said = {name: value for name, value in row.items() if name != "observed_time"} if "time" in row else row
            digest = blake2b(_encode(said), digest_size=16).digest()
            row["key"] = f"{digest.hex()}-{seen[digest]}" if seen[digest] else digest.hex()
            seen[digest] += 1
        keyed.append(row)
    return keyed
