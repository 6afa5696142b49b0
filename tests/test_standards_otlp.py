"""OpenTelemetry logs over HTTP: both encodings, keys of records that have none, partial success, and errors as exporters read them."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from milepost.web.standards.otlp_records import from_json, from_protobuf
from web_client import Api

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/v1/logs"
PROTOBUF, JSON = "application/x-protobuf", "application/json"
TIME_NS = 1_772_349_120_250_000_001  # 2026-03-01T07:12:00.250000001Z


def record(**fields: Any) -> dict[str, Any]:
    return {
        "timeUnixNano": str(TIME_NS),
        "observedTimeUnixNano": str(TIME_NS + 5),
        "severityNumber": 9,
        "severityText": "INFO",
        "eventName": "com.example.run",
        "body": {"stringValue": "a run"},
        "traceId": "5B8EFFF798038103D269B633813FC60C",
        "spanId": "EEE19B7EC3C1B174",
        "attributes": attributes(**{"enduser.id": "ann", "distance_m": 5200, "workout.id": "w-1", "indoors": False}),
    } | fields


def attributes(**given: Any) -> list[dict[str, Any]]:
    kinds = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
    return [
        {"key": name, "value": {kinds[type(value)]: str(value) if type(value) is int else value}}
        for name, value in given.items()
    ]


def request(*records: dict[str, Any]) -> dict[str, Any]:
    scope = {"scope": {"name": "lib", "version": "1"}, "logRecords": list(records)}
    return {"resourceLogs": [{"resource": {"attributes": attributes(**{"service.name": "api"})}, "scopeLogs": [scope]}]}


def protobuf(*records: dict[str, Any]) -> bytes:
    """The same request in the other encoding, made by the official classes."""
    made = ExportLogsServiceRequest()
    of_resource = made.resource_logs.add()
    fill(of_resource.resource.attributes, attributes(**{"service.name": "api"}))
    of_scope = of_resource.scope_logs.add()
    of_scope.scope.name, of_scope.scope.version = "lib", "1"
    for one in records:
        said = of_scope.log_records.add(
            time_unix_nano=int(one.get("timeUnixNano", 0)),
            observed_time_unix_nano=int(one.get("observedTimeUnixNano", 0)),
            severity_number=one.get("severityNumber", 0),
            severity_text=one.get("severityText", ""),
            event_name=one.get("eventName", ""),
            trace_id=bytes.fromhex(one.get("traceId", "")),
            span_id=bytes.fromhex(one.get("spanId", "")),
        )
        if "body" in one:
            said.body.string_value = one["body"]["stringValue"]
        fill(said.attributes, one.get("attributes", []))
    return made.SerializeToString()


def fill(target: Any, pairs: list[dict[str, Any]]) -> None:
    for pair in pairs:
        ((kind, value),) = pair["value"].items()
        said = target.add(key=pair["key"]).value
        match kind:
            case "stringValue":
                said.string_value = value
            case "boolValue":
                said.bool_value = value
            case "intValue":
                said.int_value = int(value)
            case _:
                said.double_value = value


async def post(api: Api, body: bytes | dict[str, Any], content_type: str, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await api("POST", PATH, content=content, headers={"content-type": content_type, **headers})


async def feed(api: Api, actor: str = "ann") -> list[dict[str, Any]]:
    await api.send(
        {"actor": "nobody", "verb": "walk", "key": "last", "occurred_at": "2026-01-01T00:00:00Z"}
    )  # a lane is in order
    return await api.all_pages(f"/v1/actors/{actor}/feed")


async def test_both_encodings_are_the_same_records() -> None:
    """Times, ids, values and keys are equal, whichever way they came."""
    records = (record(), record(), record(attributes=[], timeUnixNano="0"), {"body": {"stringValue": "x"}})
    rows = from_json(json.dumps(request(*records)).encode())
    assert rows == from_protobuf(protobuf(*records))
    assert rows[0]["trace_id"] == "5b8efff798038103d269b633813fc60c"
    assert rows[0]["attributes"] == {"enduser.id": "ann", "distance_m": 5200, "workout.id": "w-1", "indoors": False}
    assert rows[1]["key"] == rows[0]["key"] + "-1"
    assert "key" not in rows[3]


async def test_a_key_is_of_what_the_record_says() -> None:
    """Another content is another key, another stamp of a collector on the way is not."""
    keys = [from_json(json.dumps(request(one)).encode())[0]["key"] for one in (
        record(), record(observedTimeUnixNano="7"), record(spanId="EEE19B7EC3C1B175"), record(timeUnixNano=str(TIME_NS + 1)),
    )]  # fmt: skip
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


async def test_values_of_all_kinds() -> None:
    """Lists, maps, bytes, numbers as text and absent values become JSON."""
    values = {
        "arrayValue": {"values": [{"intValue": 7}, {"doubleValue": 0.5}, {"doubleValue": "NaN"}, {}]},
    }
    pairs = [{"key": "a", "value": values}, {"key": "b", "value": {"kvlistValue": {"values": [{"key": "c", "value": None}]}}}]
    (row,) = from_json(json.dumps(request(record(attributes=pairs, body={"bytesValue": "aGk="}))).encode())
    assert row["attributes"]["a"][:2] == [7, 0.5]
    assert row["attributes"]["b"] == {"c": None}
    assert row["body"] == "aGk="


@pytest.mark.parametrize("encoding", [PROTOBUF, JSON])
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
async def test_records_become_activities_once(api: Api, encoding: str, compressed: bool) -> None:
    """Sent three times, compressed or not: one activity, with its trace; the answer is empty, in the encoding of the request."""
    body = json.dumps(request(record())).encode() if encoding == JSON else protobuf(record())
    headers = {"content-encoding": "gzip"} if compressed else {}
    for _ in range(3):
        answer = await post(api, gzip.compress(body) if compressed else body, encoding, **headers)
        assert (answer.status_code, answer.content) == (200, b"{}" if encoding == JSON else b"")
        assert answer.headers["content-type"] == encoding
    (found,) = await feed(api)
    assert (found["verb"], found["measures"], found["source"]) == ("run", {"distance_m": 5200}, "api")
    assert found["object"] == {"kind": "workout", "id": "w-1"}
    assert found["data"] == {
        "body": "a run",
        "severity_text": "INFO",
        "trace_id": "5b8efff798038103d269b633813fc60c",
        "span_id": "eee19b7ec3c1b174",
        "workout.id": "w-1",
        "indoors": False,
    }


async def test_identical_records_of_a_request_are_two(api: Api) -> None:
    """What was logged twice counts twice, and its retry changes nothing."""
    for _ in range(2):
        assert (await post(api, request(record(), record()), JSON)).status_code == 200
    assert len(await feed(api)) == 2


async def test_a_section_may_look_at_severity(api: Api) -> None:
    """A record without an event name becomes what the section for errors says."""
    error = record(severityNumber=18, eventName="", attributes=attributes(**{"user.id": "ann", "exception.type": "KeyError"}))
    assert (await post(api, protobuf(error), PROTOBUF)).status_code == 200
    (found,) = await feed(api)
    assert (found["verb"], found["object"]) == ("report", {"kind": "ticket", "id": "KeyError"})


@pytest.mark.parametrize("encoding", [PROTOBUF, JSON])
async def test_partial_success(api: Api, encoding: str) -> None:
    """What cannot be taken is counted, and the first are named with the rule to add; the others are taken."""
    records = (record(), record(eventName="com.example.swim"), record(attributes=[]), record(eventName=""))
    answer = await post(api, request(*records) if encoding == JSON else protobuf(*records), encoding)
    assert answer.status_code == 200
    if encoding == JSON:
        partial = answer.json()["partialSuccess"]
        rejected, message = int(partial["rejectedLogRecords"]), partial["errorMessage"]
    else:
        said = ExportLogsServiceResponse.FromString(answer.content).partial_success
        rejected, message = said.rejected_log_records, said.error_message
    assert rejected == 3
    assert message.startswith('record 1: event_name: no verb of the model is called like "com.example.swim"')
    assert "record 2: actor: is missing" in message
    assert len(await feed(api)) == 1


@pytest.mark.parametrize(
    ("body", "content_type", "headers", "status", "code"),
    [
        (b"\xff\xff", PROTOBUF, {}, 400, 3),
        (b"{", JSON, {}, 400, 3),
        (b'{"resourceLogs": 1}', JSON, {}, 400, 3),
        (json.dumps(request(record(timeUnixNano="soon"))).encode(), JSON, {}, 400, 3),
        (json.dumps(request(record(severityNumber="LOUD"))).encode(), JSON, {}, 400, 3),
        (b"", "text/plain", {}, 415, 3),
        (b"", PROTOBUF, {"content-encoding": "br"}, 415, 3),
        (b"no gzip", PROTOBUF, {"content-encoding": "gzip"}, 400, 3),
        (b"", PROTOBUF, {"authorization": "Bearer none"}, 401, 16),
    ],
)
async def test_errors_are_a_status(
    api: Api, body: bytes, content_type: str, headers: dict[str, str], status: int, code: int
) -> None:
    """A request that is refused whole is answered with a google.rpc.Status in the encoding it came in."""
    key = {"key": None} if "authorization" in headers else {}
    answer = await api("POST", PATH, content=body, headers={"content-type": content_type, **headers}, **key)
    assert answer.status_code == status, answer.text
    if content_type == PROTOBUF:
        said = Status.FromString(answer.content)
        assert (said.code, bool(said.message)) == (code, True)
    else:
        assert answer.json()["code"] == code
        assert answer.json()["message"]


@pytest.mark.parametrize("encoding", [PROTOBUF, JSON])
async def test_pressure_is_told_as_exporters_read_it(api: Api, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no more bytes can be held, the answer is 429 with Retry-After, and a status that is to be tried again."""
    monkeypatch.setattr(api.services.gate.bodies, "_unfinished_max", 10)
    answer = await post(api, request(record()) if encoding == JSON else protobuf(record()), encoding)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert (answer.json()["code"] if encoding == JSON else Status.FromString(answer.content).code) == 8
