"""CloudEvents 1.0 over HTTP: binary (`ce-` headers), structured and batch, told apart by Content-Type.

A batch is answered 202 with its rejected events by index, as `POST /v1/activities` is. A single event that is rejected is a
problem (422), since a sender that reads only the status must not take it for delivered. An event is recognised when it comes
again by `source` and `id`, which the standard makes unique together.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from datetime import datetime
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from milepost.access.keys import Principal
from milepost.errors import FieldError, InvalidInput
from milepost.mapping.standards import STANDARDS
from milepost.web.bodies import decode_object
from milepost.web.problems import KINDS, MEDIA_TYPE, Problem, UnsupportedEncoding
from milepost.web.standards.door import Answer, Door, Headers, Rows
from milepost.web.standards.taking import Refused, Taken

__all__ = ["CloudEvents"]

STRUCTURED = b"application/cloudevents+json"
BATCH = b"application/cloudevents-batch+json"
SPEC = "1.0"
REQUIRED = ("id", "source", "type", "specversion")

_JSON = re.compile(r"(application|text)/([\w.+-]+\+)?json\s*(;.*)?", re.IGNORECASE | re.DOTALL)


class CloudEvents(Door):
    standard = STANDARDS["cloudevents"]

    def check(self, headers: Headers) -> None:
        if _media_type(headers) not in (STRUCTURED, BATCH) and b"ce-specversion" not in headers:
            raise UnsupportedEncoding(
                "This is no CloudEvent: send application/cloudevents+json, application/cloudevents-batch+json, or ce- headers."
            )

    def read(self, headers: Headers, body: bytes) -> Rows:
        match _media_type(headers):
            case media_type if media_type == BATCH:
                return [_read_one(one) for one in _array(body)]
            case media_type if media_type == STRUCTURED:
                found = _read_one(decode_object(body, each_alone=True))
            case _:
                found = _faults(_binary(headers, body))
        if isinstance(found, Refused):
            raise InvalidInput(errors=(FieldError(found.pointer, found.detail),))
        return [found]

    def done(self, headers: Headers, taken: Taken, receipt: str | None) -> Answer:
        if taken.refused and _media_type(headers) != BATCH:
            errors = tuple(FieldError(one.pointer, one.detail) for one in taken.refused)
            detail = "; ".join(f"{one.pointer.removeprefix('/') or 'the event'}: {one.detail}" for one in errors)
            return self.failed(headers, Problem(kind=KINDS["unprocessable"], detail=detail, errors=errors))
        refused = len({one.index for one in taken.refused})
        shown = {"accepted": taken.messages - refused - taken.dropped, "rejected": taken.refused, "receipt": receipt}
        return Answer(status=202, body=msgspec.json.encode(shown))

    async def keep(self, principal: Principal, rows: Rows, taken: Taken, now: datetime) -> None:
        """Its sender is told."""

    def failed(self, headers: Headers, problem: Problem) -> Answer:
        return Answer(status=problem.status, body=problem.body(), media_type=MEDIA_TYPE.decode(), headers=problem.headers)


def _media_type(headers: Headers) -> bytes:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def _array(body: bytes) -> list[Any]:
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("The body is not JSON.", errors=(FieldError("", str(error)),)) from error
    if not isinstance(decoded, list):
        raise InvalidInput("The body is not a batch of events.", errors=(FieldError("", "expected an array"),))
    return decoded


def _read_one(event: Any) -> dict[str, Any] | Refused:
    """A structured event, with `data` as what it is: parsed where it came as base64 of JSON."""
    if not isinstance(event, dict):
        return Refused(0, "", "expected an object")
    if "data_base64" in event:
        try:
            data = b64decode(event["data_base64"], validate=True)
            event = {**event, "data": _parsed(data, str(event.get("datacontenttype") or "application/octet-stream"))}
        except (NotBase64, ValueError, TypeError) as error:
            detail = error.errors[0].detail if isinstance(error, InvalidInput) else "is not base64"
            return Refused(0, "/data_base64", detail)
        except InvalidInput as error:
            return Refused(0, "/data_base64", str(error))
        del event["data_base64"]
    return _faults(event)


def _binary(headers: Headers, body: bytes) -> dict[str, Any]:
    event: dict[str, Any] = {
        name[3:].decode("latin-1"): unquote_to_bytes(value).decode("utf-8", "replace")
        for name, value in headers.items()
        if name.startswith(b"ce-")
    }
    content_type = headers.get(b"content-type")
    if content_type is not None:
        event["datacontenttype"] = content_type.decode("latin-1")
    if body:
        event["data"] = _parsed(body, event.get("datacontenttype", "application/json"))
    return event


def _parsed(data: bytes, content_type: str) -> Any:
    """Data as a JSON value: JSON itself, text, or base64 of anything else. Raises `InvalidInput`."""
    if _JSON.fullmatch(content_type.strip()):
        try:
            return msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput("The event's data is not JSON.", errors=(FieldError("/data", str(error)),)) from error
    if content_type.lower().startswith("text/"):
        return data.decode("utf-8", "replace")
    return b64encode(data).decode()


def _faults(event: dict[str, Any]) -> dict[str, Any] | Refused:
    """The event, or the first thing that makes it none."""
    for name in REQUIRED:
        value = event.get(name)
        if not isinstance(value, str) or not value:
            return Refused(0, f"/{name}", "is required" if value is None else "must be text that is not empty")
    if event["specversion"] != SPEC:
        return Refused(0, "/specversion", f"is {event['specversion'][:20]!r}, and only {SPEC} is understood")
    return event
