"""Accept: what is right becomes rows, what is wrong is named, and one mistake costs one activity."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import examples
from milepost.activity import activity_id, id_from, microseconds, occurred_at_of
from milepost.errors import InvalidInput, TooLarge
from milepost.intake._rows import open_payload
from milepost.intake.accept import Accepted, Acceptor
from milepost.model import parse_model

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MODEL = parse_model(
    """
name = "accept"
[verbs.run]
object = "workout"
measures.distance_m = { type = "decimal(1)", min = 0, max = 500_000 }
measures.duration_s = "integer"
data.device = { type = "text", filter = true }
data.due = { type = "time", filter = true }
[verbs.walk]
"""
)
GOOD: dict[str, Any] = {"actor": "ana", "verb": "run", "key": "k", "occurred_at": "2026-03-01T07:12:00Z"}


def accept(*activities: Any, now: datetime = NOW) -> Accepted:
    return Acceptor(MODEL, 1).accept(1, json.dumps({"activities": activities}).encode(), now)


def accept_raw(body: bytes, *, ndjson: bool = False) -> Accepted:
    return Acceptor(MODEL, 1).accept(1, body, NOW, ndjson=ndjson)


BAD = [
    ({"actor": None}, "/actor", "Expected str, got null"),
    ({"actor": ""}, "/actor", "Expected str of length >= 1"),
    ({"actor": "x" * 257}, "/actor", "Expected str of length <= 256"),
    ({"verb": "runn"}, "/verb", "'runn' is not a verb of the model; did you mean run?"),
    ({"measures": {"distance_m": -1}}, "/measures/distance_m", "Expected float >= 0.0"),
    ({"measures": {"distance_m": "5"}}, "/measures/distance_m", "Expected float, got str"),
    ({"measures": {"distance_m": 500_001}}, "/measures/distance_m", "Expected float <= 500000.0"),
    ({"measures": {"duration_s": 1.5}}, "/measures/duration_s", "expected an integer, got 1.5"),
    ({"measures": {"pace": 1}}, "/measures/pace", "is not declared in the model"),
    ({"object": {"kind": "car", "id": "1"}}, "/object/kind", "this verb is done to objects of kind workout, not car"),
    ({"object": {"kind": "workout"}}, "/object/id", "is required"),
    ({"data": [1]}, "/data", "expected an object"),
    ({"data": {"device": 7}}, "/data/device", "Expected str, got int"),
    ({"data": {"due": "tomorrow"}}, "/data/due", "Invalid RFC3339 encoded datetime"),
    ({"data": {"due": "0001-01-01T00:00:00+01:00"}}, "/data/due", "must be between the years 1 and 9999 in UTC"),
    ({"data": {"due": "9999-12-31T23:59:59-01:00"}}, "/data/due", "must be between the years 1 and 9999 in UTC"),
    ({"data": {"note": "a\0b"}}, "/data/note", "contains the character NUL (\\u0000), which cannot be stored"),
    ({"actor": "a\0"}, "/actor", "contains the character NUL (\\u0000), which cannot be stored"),
    ({"occurred_at": "2026-03-02T12:00:01Z"}, "/occurred_at", "more than 24 hours in the future"),
    ({"occurred_at": "0001-12-31T23:59:59Z"}, "/occurred_at", "before the year 2"),
    ({"occurred_at": "2026-03-01T07:12:00"}, "/occurred_at", "Expected datetime with a timezone component"),
    ({"occurred_at": 5}, "/occurred_at", "Expected datetime, got int"),
    ({"visibility": "secret"}, "/visibility", "'secret' is not one of public, group, private"),
    ({"colour": "red"}, "/colour", "is not a field of an activity"),
    ({"groups": [1]}, "/groups/0", "Expected str, got int"),
]


@pytest.mark.parametrize(("change", "pointer", "detail"), BAD)
def test_a_mistake_names_its_field_and_costs_one_activity(change: dict[str, Any], pointer: str, detail: str) -> None:
    """The wrong one is answered with index, pointer and sentence; its neighbours are accepted."""
    outcome = accept(GOOD, {**GOOD, **change}, {**GOOD, "key": "other"})
    assert outcome.rows == 2
    assert [(item.index, item.pointer, item.detail) for item in outcome.rejected] == [(1, pointer, detail)]


@pytest.mark.parametrize("missing", ["actor", "verb"])
def test_what_is_required(missing: str) -> None:
    """An activity without actor or verb is refused with the field's pointer."""
    outcome = accept({name: value for name, value in GOOD.items() if name != missing})
    assert [(item.pointer, item.detail) for item in outcome.rejected] == [(f"/{missing}", "is required")]
    assert outcome.rows == 0
    assert outcome.payload == b""


@pytest.mark.parametrize(
    "body",
    [
        b"nope",
        b'{"activities": [{"actor": NaN, "verb": "run"}]}',
        b'{"activities": [{"actor": "ana", "verb": "run", "measures": {"distance_m": NaN}}]}',
        b"",
        b"\xff",
        b'{"activities": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
    ],
)
def test_a_body_that_is_not_json_is_refused_whole(body: bytes) -> None:
    """NaN is not JSON either."""
    with pytest.raises(InvalidInput):
        accept_raw(body)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"activities": 3}', b'{"activities": [], "more": 1}'])
def test_a_body_of_another_shape_is_refused_whole(body: bytes) -> None:
    """What is not {"activities": […]} has no activities to accept."""
    with pytest.raises(InvalidInput) as caught:
        accept_raw(body)
    assert caught.value.errors


def test_ten_thousand_fit_and_one_more_does_not() -> None:
    """The limit is a limit of the request."""
    walks = [{"actor": "ana", "verb": "walk"}] * 10_000
    assert accept(*walks).rows == 10_000
    with pytest.raises(TooLarge):
        accept(*walks, walks[0])


@pytest.mark.parametrize("number", ["1e400000", "1" * 200_000, "-" + "9" * 5_000, "1E+999999", "-1.5e-20000"])
def test_numbers_that_postgresql_cannot_hold(number: str) -> None:
    """A number of thousands of digits is its activity's mistake, not the batch's end."""
    body = '{"activities": [{"actor": "a", "verb": "walk", "data": {"n": NUMBER}}, {"actor": "b", "verb": "walk"}]}'.replace(
        "NUMBER", number
    )
    outcome = accept_raw(body.encode())
    assert outcome.rows == 1
    assert [(item.index, item.pointer) for item in outcome.rejected] == [(0, "/data/n")]


def test_texts_that_look_like_such_numbers() -> None:
    """Hexadecimal, and prose, are full of what looks like an exponent."""
    data = {"commit": "Merge 2e1234567 into 1e-999999", "hash": "5e000000", "list": ["1e9999999"]}
    assert accept({**GOOD, "data": data}).rejected == ()


@pytest.mark.parametrize("half", [b"\\ud800", b"\\uDC00 x", b"\\ud800\\ud800"])
def test_half_a_surrogate_pair_costs_its_own_activity(half: bytes) -> None:
    """PostgreSQL and UTF-8 know no such character."""
    body = b'{"activities": [{"actor": "a", "verb": "walk", "data": {"n": "%b"}}, {"actor": "b", "verb": "walk"}]}' % half
    outcome = accept_raw(body)
    assert outcome.rows == 1
    assert [(item.index, item.pointer) for item in outcome.rejected] == [(0, "/data/n")]


def in_pieces(body: bytes, *, ndjson: bool = False) -> tuple[Accepted, int]:
    """→ what is accepted, and in how many steps."""
    pieces, steps = Acceptor(MODEL, 1).in_pieces(1, body, NOW, ndjson=ndjson), 0
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            return end.value(), steps
        steps += 1


@pytest.mark.parametrize("ndjson", [False, True])
def test_pieces_come_to_the_same(ndjson: bool) -> None:
    """Names, keys without a time and mistakes have their places in the whole, not in a piece."""
    made: list[dict[str, Any]] = [
        {**GOOD, "key": f"k-{n}", "actor": f"user-{n % 7}", "group": f"team-{n % 3}", "measures": {"duration_s": n}}
        for n in range(250)
    ]
    del made[130]["occurred_at"]
    made[120]["measures"], made[249]["actor"] = {"duration_s": "long"}, ""
    lines = [json.dumps(one).encode() for one in made]
    body = b"\n".join(lines) if ndjson else b'{"activities":[' + b",".join(lines) + b"]}"
    found, steps = in_pieces(body, ndjson=ndjson)
    assert found == accept_raw(body, ndjson=ndjson)
    assert ([one.index for one in found.rejected], found.rows, steps) == ([120, 249], 248, 4)
    with pytest.raises(TooLarge):
        in_pieces(
            b"\n".join([lines[0]] * 10_001) if ndjson else b'{"activities":[' + b",".join([lines[0]] * 10_001) + b"]}",
            ndjson=ndjson,
        )
    if not ndjson:
        with pytest.raises(InvalidInput):
            in_pieces(b'{"activities": 7}')


def test_lines() -> None:
    """NDJSON: one activity a line; an empty line is none, a broken one costs itself."""
    body = b'{"actor":"a","verb":"walk"}\n\n{"actor":"b","verb":"wal"}\n{"actor":\n{"actor":"c","verb":"walk"}'
    outcome = accept_raw(body, ndjson=True)
    assert outcome.rows == 2
    assert [(item.index, item.pointer) for item in outcome.rejected] == [(1, "/verb"), (2, "")]


def test_key_and_time_make_the_id() -> None:
    """A retry makes the same id; another source, tenant or time makes another."""
    first = accept(GOOD).ids
    assert accept(GOOD, now=NOW + timedelta(hours=1)).ids == first
    assert accept({**GOOD, "source": "strava"}).ids != first
    assert Acceptor(MODEL, 1).accept(2, json.dumps({"activities": [GOOD]}).encode(), NOW).ids != first
    assert accept({**GOOD, "occurred_at": "2026-03-01T07:12:00.000001Z"}).ids != first


def test_only_a_key_without_a_time_needs_the_ledger() -> None:
    """The load asks the ledger only where the server had to supply the time."""
    assert not open_payload(accept(GOOD).payload).header.keys
    assert not open_payload(accept({"actor": "a", "verb": "walk"}).payload).header.keys
    assert open_payload(accept({"actor": "a", "verb": "walk", "key": "k"}).payload).header.keys


@given(
    moment=st.datetimes(datetime(2, 1, 1), datetime(8900, 1, 1), timezones=st.just(UTC)),
    other=st.datetimes(datetime(2, 1, 1), datetime(8900, 1, 1), timezones=st.just(UTC)),
    hashes=st.tuples(st.integers(0, 2**62 - 1), st.integers(0, 2**62 - 1)),
)
def test_ids_sort_by_time_and_give_it_back(moment: datetime, other: datetime, hashes: tuple[int, int]) -> None:
    """To the microsecond, for all of history."""
    from uuid import UUID

    one, two = (UUID(int=activity_id(microseconds(when), own)) for when, own in zip((moment, other), hashes, strict=True))
    assert occurred_at_of(one) == moment
    assert one.version == 8
    assert id_from(moment) <= one
    if moment != other:
        assert (one < two) == (moment < other)


@settings(max_examples=examples(80, 300))
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_no_json_is_an_error_of_ours(value: Any) -> None:
    """Whatever is sent, the answer is acceptance, a rejection or InvalidInput."""
    for body in ({"activities": [value]}, {"activities": [{**GOOD, "data": value}]}, value):
        raw = json.dumps(body).encode()
        try:
            outcome = accept_raw(raw)
        except InvalidInput:
            continue
        assert outcome.rows + len(outcome.rejected) == 1 or body == value
