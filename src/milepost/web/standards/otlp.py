"""OpenTelemetry logs over HTTP (OTLP 1.x): `POST /v1/logs`, protobuf or JSON, as the official exporters and the collector send them.

200 once the records are durable. Those that were refused are counted in `partialSuccess`, with a message that names the first of
them; as OTLP asks, they are not to be sent again. A request that failed as a whole is answered with a `google.rpc.Status` in the
encoding it came in: 400, 413 and 415 are final, 429 and 503 are to be tried again after `Retry-After`.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsPartialSuccess, ExportLogsServiceResponse

from milepost.access.keys import Principal
from milepost.mapping.standards import STANDARDS
from milepost.web.problems import Problem, UnsupportedEncoding
from milepost.web.standards.door import Answer, Door, Headers, Rows
from milepost.web.standards.otlp_records import from_json, from_protobuf
from milepost.web.standards.taking import Taken

__all__ = ["OtlpLogs"]

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
NAMED_MAX = 3  # refused records in the message

# google.rpc.Code of a status; what is not here is UNKNOWN. Exporters decide by the HTTP status, people read the code.
CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 413: 3, 415: 3, 422: 3, 429: 8, 500: 13, 503: 14}


class OtlpLogs(Door):
    standard = STANDARDS["otlp"]

    def check(self, headers: Headers) -> None:
        if _media_type(headers) not in (PROTOBUF, JSON):
            raise UnsupportedEncoding(f"The Content-Type of OTLP is {PROTOBUF} or {JSON}.")

    def read(self, headers: Headers, body: bytes) -> Rows:
        return from_json(body) if _media_type(headers) == JSON else from_protobuf(body)

    def done(self, headers: Headers, taken: Taken, receipt: str | None) -> Answer:
        refused = list({one.index: one for one in reversed(taken.refused)}.values())[::-1]
        message = "; ".join(
            f"record {one.index}: {one.pointer.removeprefix('/') or 'the record'}: {one.detail}" for one in refused[:NAMED_MAX]
        )
        if _media_type(headers) == JSON:
            partial = {"partialSuccess": {"rejectedLogRecords": str(len(refused)), "errorMessage": message}}
            return Answer(status=200, body=msgspec.json.encode(partial if refused else {}))
        answer = ExportLogsServiceResponse()
        if refused:
            partial_success = ExportLogsPartialSuccess(rejected_log_records=len(refused), error_message=message)
            answer.partial_success.CopyFrom(partial_success)
        return Answer(status=200, body=answer.SerializeToString(), media_type=PROTOBUF)

    async def keep(self, principal: Principal, rows: Rows, taken: Taken, now: datetime) -> None:
        """Its sender is told."""

    def failed(self, headers: Headers, problem: Problem) -> Answer:
        code, message = CODES.get(problem.status, 2), problem.detail
        if _media_type(headers) == PROTOBUF:
            return Answer(status=problem.status, body=_status(code, message), media_type=PROTOBUF, headers=problem.headers)
        body = msgspec.json.encode({"code": code, "message": message})
        return Answer(status=problem.status, body=body, headers=problem.headers)


def _media_type(headers: Headers) -> str:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")


def _status(code: int, message: str) -> bytes:
    """google.rpc.Status in protobuf: `code` is field 1, `message` field 2. (Its package is one more dependency for two fields.)"""
    text = message.encode()
    size, length = b"", len(text)
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([0x08, code, 0x12]) + size + bytes([length]) + text
