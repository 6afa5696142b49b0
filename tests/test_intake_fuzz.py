"""Bodies of activities that nobody meant: each is accepted, or refused with a pointer; what is accepted can be loaded; none costs much."""

from __future__ import annotations

import gc
import gzip
import json
import os
import time
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from milepost.errors import InvalidInput, TooLarge
from milepost.intake._rows import TextCache, open_payload
from milepost.intake.accept import Accepted, Acceptor
from milepost.limits import BODY_BYTES_MAX
from milepost.model import parse_model
from milepost.web.bodies import decompress
from web_client import Api

pytest_plugins = ["fix_web"]

SCALE = max(1, int(os.environ.get("MILEPOST_TEST_FUZZ", "12"))) / 12
MODEL = parse_model((Path(__file__).parent / "models" / "spine.toml").read_text())
ACCEPTOR = Acceptor(MODEL, 1)
NOW = datetime(2026, 11, 21, tzinfo=UTC)
SLOWEST_S = 4.0  # of this thread's own processor time: others may have the cores meanwhile
GROWTH_BYTES_MAX = 256 * 1024
MIB = 2**20

ACTIVITY: dict[str, Any] = {
    "actor": "user-1",
    "verb": "run",
    "key": "k-1",
    "occurred_at": "2026-03-01T07:12:00Z",
    "object": {"kind": "workout", "id": "w-1"},
    "group": "team-1",
    "groups": ["team-1", "team-2"],
    "measures": {"distance_m": 5200.5, "duration_s": 1710},
    "data": {
        "device": "fenix",
        "effort": 3,
        "slope": 1.25,
        "indoors": False,
        "planned": "2026-03-01T07:00:00+01:00",
        "more": [1],
    },
    "content": {"laps": [1, 2]},
    "visibility": "public",
    "source": "strava",
    "status": "ok",
}
LINES = b"\n".join(json.dumps(ACTIVITY | {"key": f"k-{number}"}).encode() for number in range(3))
BODY = json.dumps({"activities": [ACTIVITY, ACTIVITY | {"verb": "walk", "measures": None, "data": None}]}).encode()

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(10**400), 10**400), st.floats(), st.text(max_size=20),
    st.sampled_from(
        ["2026-03-01T07:12:00Z", "0001-01-01T00:00:00+14:00", "0002-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "2026-11-22T00:00:00Z",
         "2026-11-21T00:00:00.999999999Z", "\ud800", "\0", "9" * 5000, "x" * 256, "x" * 257, 2**53, 2**53 - 1, -(2**63), 1e15, 0.1, "run",
         "public", "workout", [], {}]
    ),
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=8
)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """The valid activity with some members, at some depth, replaced by anything, left out, or beside one that nobody knows."""
    found = json.loads(json.dumps(ACTIVITY))
    for _ in range(draw(st.integers(1, 3))):
        target = found
        while target:
            name = draw(st.sampled_from(sorted(target)))
            if isinstance(target[name], dict) and target[name] and draw(st.booleans()):
                target = target[name]
                continue
            match draw(st.integers(0, 5)):
                case 0:
                    del target[name]
                case 1:
                    target[draw(st.text(max_size=8))] = draw(values)
                case _:
                    target[name] = draw(values)
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


def fuzzing(examples: int) -> settings:
    return settings(
        max_examples=round(examples * SCALE),
        deadline=None,
        database=None,
        derandomize=SCALE == 1,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


def accepted_or_refused(body: bytes, ndjson: bool) -> Accepted | None:
    """Nothing but a refusal is raised, and what is answered is of what was sent."""
    began = time.thread_time()
    try:
        accepted = ACCEPTOR.accept(1, body, NOW, ndjson=ndjson)
    except (InvalidInput, TooLarge):
        return None
    finally:
        assert time.thread_time() - began < SLOWEST_S, body[:200]
    assert len(accepted.ids) == accepted.rows
    assert [one.index for one in accepted.rejected] == sorted({one.index for one in accepted.rejected})
    assert all(one.detail and one.pointer[:1] in ("", "/") for one in accepted.rejected)
    if accepted.rows:
        open_payload(accepted.payload)
    return accepted


@fuzzing(500)
@given(st.one_of(st.binary(max_size=200), mangled(BODY), mangled(LINES)), st.booleans())
def test_any_bytes_are_accepted_or_refused(body: bytes, ndjson: bool) -> None:
    """Random bytes, and valid bodies that were damaged, as JSON and as lines."""
    accepted_or_refused(body, ndjson)


@fuzzing(500)
@given(st.lists(st.one_of(mutated(), values), max_size=4), st.booleans())
def test_any_json_is_accepted_or_refused(items: list[Any], ndjson: bool) -> None:
    """Each item stands alone: it is in, or named; however wrong its neighbours are."""
    texts = [json.dumps(item) for item in items]
    body = "\n".join(texts) if ndjson else f'{{"activities": [{", ".join(texts)}]}}'
    accepted = accepted_or_refused(body.encode(), ndjson)
    if accepted is not None:
        assert accepted.rows + len({one.index for one in accepted.rejected}) == len(items)


COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("encoding", COMPRESS)
def test_any_compressed_bytes_are_read_or_refused(encoding: str) -> None:
    """Damaged or cut off, it is refused or something comes out, and nothing else is raised."""
    whole = COMPRESS[encoding](BODY)
    cut_off = st.integers(0, len(whole)).map(lambda end: whole[:end])

    @fuzzing(300)
    @given(st.one_of(st.binary(max_size=100), mangled(whole), cut_off))
    def check(body: bytes) -> None:
        try:
            decompress(body, encoding.encode())
        except (InvalidInput, TooLarge):
            return

    check()


@pytest.mark.parametrize("encoding", COMPRESS)
def test_what_was_compressed_comes_back(encoding: str) -> None:
    """Also in several members or frames, one after the other."""

    @fuzzing(50)
    @given(st.lists(st.binary(max_size=300), min_size=1, max_size=4))
    def check(parts: list[bytes]) -> None:
        assert decompress(b"".join(map(COMPRESS[encoding], parts)), encoding.encode()) == b"".join(parts)

    check()


def piece_by_piece(compressor: Any, mebibytes: int) -> bytes:
    return b"".join([*(compressor.compress(b"\0" * MIB) for _ in range(mebibytes)), compressor.flush()])


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_bomb_costs_its_limit(encoding: str) -> None:
    """What would be 200 MiB is refused when it has reached the bound of a body, and takes no more memory than twice that."""
    made = zlib.compressobj(9, wbits=31) if encoding == "gzip" else zstd.ZstdCompressor()
    bomb = piece_by_piece(made, 200)
    tracemalloc.start()
    try:
        began = time.thread_time()
        with pytest.raises(TooLarge):
            decompress(bomb, encoding.encode())
        took, (_, peak) = time.thread_time() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert took < SLOWEST_S
    assert peak < 2 * BODY_BYTES_MAX, peak


COSTLY = {
    "a deep array": b'{"activities":' + b"[" * 1_000_000,
    "deep objects": b'{"activities":[' + b'{"a":' * 500_000 + b"1" + b"}" * 500_000 + b"]}",
    "deep data": json.dumps({"activities": [ACTIVITY | {"data": "@"}]})
    .encode()
    .replace(b'"@"', b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "deep data with half a surrogate pair": json.dumps({"activities": [ACTIVITY | {"data": "@"}]})
    .encode()
    .replace(b'"@"', b'{"a":' * 900 + b'"\\ud800"' + b"}" * 900),
    "a wide one": b'{"activities":[' + b",".join([b"1"] * 1_000_000) + b"]}",
    "long names": json.dumps({"activities": [ACTIVITY | {"verb": "x." * 200_000}] * 20}).encode(),
    "a long number": json.dumps({"activities": [ACTIVITY | {"measures": {"distance_m": "@"}}]})
    .encode()
    .replace(b'"@"', b"9" * 1_000_000),
    "many exponents": json.dumps({"activities": [ACTIVITY | {"data": {"x": "1e000000 " * 100_000}}] * 10}).encode(),
    "many numbers": b'{"activities":[{"actor":"a","verb":"run","data":{"a":[' + b",".join([b"1e-000000"] * 500_000) + b"]}}]}",
    "escapes": json.dumps({"activities": [ACTIVITY | {"data": {"note": "\\ud8" * 100_000}}] * 10}).encode(),
}


@pytest.mark.parametrize("name", COSTLY)
@pytest.mark.parametrize("ndjson", [False, True])
def test_a_costly_body_ends_soon(name: str, ndjson: bool) -> None:
    """A body made to cost much is accepted or refused within seconds."""
    accepted_or_refused(COSTLY[name], ndjson)


@pytest.mark.parametrize("line", [b"1", json.dumps(ACTIVITY).encode()])
def test_too_many_are_refused_before_they_are_read(line: bytes) -> None:
    """As JSON and as lines, right or wrong: a request of 10,001 is too large, one of 10,000 is not, and blank lines do not count."""

    def joined(count: int, ndjson: bool) -> bytes:
        return b"\n \n".join([line] * count) if ndjson else b'{"activities":[' + b",".join([line] * count) + b"]}"

    for ndjson in (False, True):
        with pytest.raises(TooLarge):
            ACCEPTOR.accept(1, joined(10_001, ndjson), NOW, ndjson=ndjson)
        accepted = ACCEPTOR.accept(1, joined(10_000, ndjson), NOW, ndjson=ndjson)
        assert accepted.rows + len(accepted.rejected) == 10_000


def test_memory_does_not_grow() -> None:
    """The same bodies, right and wrong, again and again: what is kept of them after the first time does not grow."""
    bodies: list[tuple[bytes, bool]] = []

    @fuzzing(200)
    @given(st.lists(mutated(), max_size=3), st.booleans(), mangled(BODY))
    def collect(items: list[Any], ndjson: bool, damaged: bytes) -> None:
        bodies.extend([(json.dumps({"activities": items}).encode(), ndjson), (damaged, ndjson)])

    collect()
    for body, ndjson in bodies * 2:
        accepted_or_refused(body, ndjson)
    tracemalloc.start()
    try:
        sizes = []
        for _ in range(3):
            for body, ndjson in bodies:
                accepted_or_refused(body, ndjson)
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert sizes[-1] - sizes[0] < GROWTH_BYTES_MAX, sizes


def test_long_texts_do_not_fill_memory() -> None:
    """The cache of encoded texts is bounded by its bytes, too: ids that are all different and long leave it small."""
    cache = TextCache(bytes_max=MIB)
    for number in range(20_000):
        cache[f"{number:0250}"]
        assert sum(map(len, cache.values())) <= MIB + 300 if number % 1000 == 0 else True


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_accepted_can_be_loaded(api: Api) -> None:
    """Nothing that got a receipt becomes a dead letter."""
    sent: list[dict[str, Any]] = []

    @fuzzing(400)
    @given(mutated())
    def collect(item: Any) -> None:
        sent.append(item)

    collect()
    accepted = 0
    for number in range(0, len(sent), 50):
        body = json.dumps({"activities": sent[number : number + 50]})
        answer = await api("POST", "/v1/activities", content=body.encode(), headers={"prefer": "wait=30"})
        assert answer.status_code == 200, answer.text
        taken = answer.json()
        assert not taken.get("set_aside"), taken
        assert taken["loaded"] + taken["duplicates"] == taken["accepted"]
        accepted += taken["accepted"]
    assert accepted > len(sent) / 20
