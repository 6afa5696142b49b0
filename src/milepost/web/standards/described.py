"""The doors in the API's description: what they take is each standard's own, so it is named rather than spelt out."""

from __future__ import annotations

from typing import Any

__all__ = ["described"]

SEGMENT = {
    "/v1/batch": (
        "SegmentBatch",
        "Segment: several messages",
        {"batch": {"type": "array", "items": {"type": "object"}}},
        ["batch"],
    ),
    "/v1/import": ("SegmentImport", "Segment: several messages, by the older name", {"batch": {"type": "array"}}, ["batch"]),
    "/v1/track": ("SegmentTrack", "Segment: somebody did something", {"event": {"type": "string"}}, ["event"]),
    "/v1/identify": ("SegmentIdentify", "Segment: who somebody is", {"traits": {"type": "object"}}, []),
    "/v1/group": ("SegmentGroup", "Segment: which group somebody is in", {"groupId": {"type": "string"}}, ["groupId"]),
    "/v1/page": ("SegmentPage", "Segment: somebody saw a page", {"name": {"type": "string"}}, []),
    "/v1/screen": ("SegmentScreen", "Segment: somebody saw a screen", {"name": {"type": "string"}}, []),
    "/v1/alias": ("SegmentAlias", "Segment: two ids are one person", {"previousId": {"type": "string"}}, ["previousId"]),
}
ENCODINGS = "gzip and zstd are accepted."
REFUSED = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"index": {"type": "integer"}, "pointer": {"type": "string"}, "detail": {"type": "string"}},
        "required": ["index", "pointer", "detail"],
    },
}


def described(problem: dict[str, Any]) -> dict[str, Any]:
    """The paths by name. problem: how an answer that is a problem is described."""
    return {path: {"post": _segment(*said, problem)} for path, said in SEGMENT.items()} | {
        "/v1/cloudevents": {"post": _cloudevents(problem)},
        "/v1/logs": {"post": _logs()},
    }


def _segment(operation: str, summary: str, properties: Any, required: list[str], problem: dict[str, Any]) -> dict[str, Any]:
    answer = {"type": "object", "properties": {"success": {"const": True}, "rejected": REFUSED}, "required": ["success"]}
    return {
        "tags": ["Standards"],
        "summary": summary,
        "operationId": operation,
        "description": "As Segment's SDKs send it. `success` says that all is durable: what is in `rejected` could not be mapped, "
        f"and is kept as dead letters. {ENCODINGS}",
        "security": [{"key": []}, {"writeKey": []}],
        "requestBody": _body({"application/json": {"type": "object", "properties": properties, "required": required}}),
        "responses": {"200": _answer("Durable.", {"application/json": answer}), "default": problem},
    }


def _cloudevents(problem: dict[str, Any]) -> dict[str, Any]:
    event = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in ("id", "source", "type", "specversion", "subject", "time")},
        "required": ["id", "source", "type", "specversion"],
    }
    answer = {
        "type": "object",
        "properties": {"accepted": {"type": "integer"}, "rejected": REFUSED, "receipt": {"type": ["string", "null"]}},
        "required": ["accepted", "rejected", "receipt"],
    }
    return {
        "tags": ["Standards"],
        "summary": "CloudEvents 1.0",
        "operationId": "CloudEvents",
        "description": "Structured, as a batch, or binary, with attributes in `ce-` headers and any body. A single event that cannot "
        f"be taken is a problem (422); of a batch, each is named. {ENCODINGS}",
        "requestBody": _body(
            {
                "application/cloudevents+json": event,
                "application/cloudevents-batch+json": {"type": "array", "items": event},
                "*/*": {"description": "The data of an event in binary mode."},
            }
        ),
        "responses": {"202": _answer("Durable: they will be loaded.", {"application/json": answer}), "default": problem},
    }


def _logs() -> dict[str, Any]:
    request = {"description": "opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest"}
    answer = {"description": "opentelemetry.proto.collector.logs.v1.ExportLogsServiceResponse"}
    status = {"description": "google.rpc.Status"}
    return {
        "tags": ["Standards"],
        "summary": "OpenTelemetry logs",
        "operationId": "OtlpLogs",
        "description": "OTLP over HTTP, as the official exporters send it. Records that could not be taken are counted in the partial "
        f"success. 429 and 503 are to be tried again after Retry-After. {ENCODINGS}",
        "requestBody": _body({"application/x-protobuf": request, "application/json": {"type": "object"}}),
        "responses": {
            "200": _answer("Durable.", {"application/x-protobuf": answer, "application/json": {"type": "object"}}),
            "default": _answer("What went wrong.", {"application/x-protobuf": status, "application/json": {"type": "object"}}),
        },
    }


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {media_type: {"schema": schema} for media_type, schema in content.items()}}


def _answer(description: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema} for media_type, schema in content.items()}}
