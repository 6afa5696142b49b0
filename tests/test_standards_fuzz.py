"""Bodies that nobody meant: random bytes, mutated valid ones, JSON of any shape. None is answered 500, none takes long or much memory."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from milepost.errors import MilepostError
from milepost.intake.accept import Acceptor
from milepost.intake.mapped import Mapped
from milepost.mapping.standards import STANDARDS
from milepost.model import parse_model
from milepost.web.standards.otlp_records import from_json, from_protobuf
from milepost.web.standards.taking import raw_of, take
from test_standards_cloudevents import EVENT
from test_standards_otlp import protobuf, record, request
from test_standards_segment import MESSAGE
from web_client import Api

pytest_plugins = ["fix_web"]

MODEL = parse_model((Path(__file__).parent / "models" / "spine.toml").read_text())
MAPPED = {name: Mapped(standard, MODEL) for name, standard in STANDARDS.items()}
ACCEPTOR = Acceptor(MODEL, 1)
NOW = datetime(2026, 11, 21, tzinfo=UTC)

SLOWEST_S = 2.0
MEMORY_BYTES_MAX = 64 * 1024 * 1024

VALID = {
    "segment": json.dumps({"batch": [MESSAGE, MESSAGE | {"type": "identify", "traits": {"age": 4}}]}).encode(),
    "cloudevents": json.dumps([EVENT, EVENT]).encode(),
    "otlp json": json.dumps(request(record(), record())).encode(),
    "otlp": protobuf(record(), record(attributes=[])),
}
DECODE = {"otlp json": from_json, "otlp": from_protobuf}

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(10**400), 10**400), st.floats(), st.text(),
    st.sampled_from(["2026-03-01T07:12:00Z", "-0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "1e999999", "\ud800", "\0", "9" * 5000]),
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


@st.composite
def mutated(draw: st.DrawFn, base: Any) -> Any:
    """The valid message with some members, at some depth, replaced by anything or left out."""
    found = json.loads(json.dumps(base))
    for _ in range(draw(st.integers(1, 4))):
        target = found
        while True:
            name = draw(st.sampled_from(sorted(target)))
            if isinstance(target[name], dict) and target[name] and draw(st.booleans()):
                target = target[name]
                continue
            if draw(st.integers(0, 9)):
                target[name] = draw(values)
            elif len(target) > 1:
                del target[name]
            break
    return found


@st.composite
def mangled(draw: st.DrawFn, base: bytes) -> bytes:
    """The valid bytes with some overwritten, cut out or put in."""
    found = bytearray(base)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(found)))
        found[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(found)


def rows_of(standard: str, message: dict[str, Any]) -> list[Any]:
    return [message | {"receivedAt": NOW.isoformat()} if standard == "segment" else message]


OTLP_ROW = from_json(VALID["otlp json"])[0] | {"time": "2026-03-01T07:12:00Z", "observed_time": "2026-03-01T07:12:00Z"}


@pytest.mark.parametrize(("standard", "base"), [("segment", MESSAGE), ("cloudevents", EVENT), ("otlp", OTLP_ROW)])
def test_any_message_is_taken_or_refused(standard: str, base: dict[str, Any]) -> None:
    """Whatever a message holds, it becomes an activity or commands, or is refused with a pointer; and it can be kept."""

    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(mutated(base), values))
    def check(message: Any) -> None:
        rows = rows_of(standard, message) if isinstance(message, dict) else [message]
        taken = take(MAPPED[standard], ACCEPTOR, 1, rows, NOW)
        assert taken.activities + len(taken.commands) + len(taken.refused) + taken.dropped >= 1
        json.loads(raw_of(rows[0]))

    check()


@pytest.mark.parametrize("encoding", DECODE)
def test_any_bytes_are_records_or_refused(encoding: str) -> None:
    """The decoders of log records raise nothing but what is a problem's."""
    decode = DECODE[encoding]

    @settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(st.binary(max_size=200), mangled(VALID[encoding])))
    def check(body: bytes) -> None:
        try:
            rows = decode(body)
        except MilepostError:
            return
        take(MAPPED["otlp"], ACCEPTOR, 1, rows, NOW)

    check()


BOMBS = {
    "zeros": gzip.compress(b"\0" * (200 << 20)),
    "a deep array": b'{"batch":' + b"[" * 1_000_000,
    "deep objects": b'{"batch":[' + b'{"a":' * 500_000 + b"1" + b"}" * 500_000 + b"]}",
    "a wide one": b'{"batch":[' + b",".join([b"1"] * 1_000_000) + b"]}",
    "long names": json.dumps({"batch": [MESSAGE | {"event": "x." * 200_000}] * 20}).encode(),
    "a long number": b'{"batch":[{"type":"track","event":"Walk","userId":"u","properties":{"distance_m":'
    + b"9" * 1_000_000
    + b"}}]}",
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", BOMBS)
async def test_bombs_end_soon(api: Api, name: str) -> None:
    """A body made to cost much is refused, or its messages are kept, in little time and memory."""
    headers = {"content-type": "application/json"} | ({"content-encoding": "gzip"} if name == "zeros" else {})
    tracemalloc.start()
    began = time.perf_counter()
    try:
        answer = await api("POST", "/v1/batch", content=BOMBS[name], headers=headers)
        took, (_, peak) = time.perf_counter() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status_code in (200, 400, 413), answer.text
    assert took < 10 * SLOWEST_S, took  # tracing makes it several times slower
    assert peak < 4 * MEMORY_BYTES_MAX, peak


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("path", "content_type", "base"),
    [
        ("/v1/batch", "application/json", "segment"),
        ("/v1/track", "application/json", "segment"),
        ("/v1/cloudevents", "application/cloudevents-batch+json", "cloudevents"),
        ("/v1/cloudevents", "application/cloudevents+json", "cloudevents"),
        ("/v1/logs", "application/json", "otlp json"),
        ("/v1/logs", "application/x-protobuf", "otlp"),
    ],
)
async def test_no_body_is_our_mistake(api: Api, path: str, content_type: str, base: str) -> None:
    """Over HTTP, a mangled body is answered 2xx or 4xx."""
    bodies: list[tuple[bytes, bool]] = []

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.one_of(st.binary(max_size=64), mangled(VALID[base])), st.booleans())
    def collect(body: bytes, compressed: bool) -> None:
        bodies.append((body, compressed))

    collect()
    for body, compressed in bodies:
        headers = {"content-type": content_type} | ({"content-encoding": "gzip"} if compressed else {})
        began = time.perf_counter()
        answer = await api("POST", path, content=gzip.compress(body)[: len(body) + 20] if compressed else body, headers=headers)
        assert answer.status_code < 500, (body, answer.text)
        assert time.perf_counter() - began < SLOWEST_S, body
