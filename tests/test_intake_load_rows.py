"""The rows of a load: what accept wrote comes out as COPY wants it, and what is no row is refused."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milepost.intake import _rows
from milepost.intake._cut import fields_of, piece
from milepost.intake._load_rows import InOrder, LoadRows, joined
from milepost.intake.accept import Acceptor
from milepost.intake.as_sent import activities_of
from milepost.intake.unnamed import without
from milepost.model import parse_model
from payloads import payload_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCEPTOR = Acceptor(
    parse_model(
        """
name = "rows"
[verbs.run]
measures.distance_m = "decimal(1)"
measures.climb_m = "integer"
data.device = { type = "text", filter = true }
[verbs.walk]
[verbs.grade]
files.scan = {}
[rollups.total]
of = ["run"]
by = ["actor"]
values = ["sum(distance_m)"]
"""
    ),
    1,
)
ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
activities = st.fixed_dictionaries(
    {"actor": ids, "verb": st.sampled_from(["run", "walk"])},
    optional={
        "key": ids,
        "occurred_at": st.datetimes(datetime(2026, 1, 1), datetime(2026, 2, 28)).map(lambda moment: moment.isoformat() + "Z"),
        "group": ids,
        "groups": st.lists(ids, max_size=4),
        "object": st.fixed_dictionaries({"kind": ids, "id": ids}),
        "data": st.dictionaries(ids, ids, max_size=2).filter(lambda data: "device" not in data),
        "visibility": st.sampled_from(["public", "group", "private"]),
        "source": ids,
    },
)


def accepted(batch: list[dict[str, Any]]) -> _rows.Payload:
    outcome = ACCEPTOR.accept(1, json.dumps({"activities": batch}).encode(), NOW)
    assert not outcome.rejected
    return _rows.open_payload(outcome.payload)


def as_dicts(rows: bytes, columns: str) -> list[dict[str, bytes | None]]:
    """COPY's bytes, taken apart."""
    assert rows.startswith(_rows.COPY_HEADER)
    assert rows.endswith(_rows.COPY_TRAILER)
    at, found = len(_rows.COPY_HEADER), []
    names = columns.split(", ")
    while at < len(rows) - len(_rows.COPY_TRAILER):
        fields = fields_of(rows[at:])
        found.append(dict(zip(names, fields, strict=True)))
        at += 2 + sum(4 + len(field or b"") for field in fields)
    return found


def number(value: bytes | None) -> int | None:
    return None if value is None else int.from_bytes(value, "big")


def groups_of(one: dict[str, Any]) -> list[str]:
    """As accept has them: the first, and the others."""
    first = [one["group"]] if "group" in one else []
    return list(dict.fromkeys([*first, *one.get("groups", [])]))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(activities, min_size=1, max_size=5), min_size=1, max_size=4))
def test_each_row_gets_its_own_numbers(batches: list[list[dict[str, Any]]]) -> None:
    """Whatever the batches: tenant, actor, groups and the rest of each row are what was sent, in the order of ids; and the delta's
    rows are what each row begins with."""
    rows = LoadRows([accepted(batch) for batch in batches])
    sent = [one for batch in batches for one in batch]
    assert sorted(rows.actors) == sorted({one["actor"] for one in sent})
    assert sorted(rows.groups) == sorted({group for one in sent for group in groups_of(one)})
    assert rows.verbs() == {one["verb"] for one in sent}
    actors = {name: 1_000 + place for place, name in enumerate(rows.actors)}
    groups = {name: 2_000 + place for place, name in enumerate(rows.groups)}
    rows.resolve(7, actors, groups)
    whole = as_dicts(_rows.COPY_HEADER + rows.as_they_came() + _rows.COPY_TRAILER, rows.columns)
    for one, row in zip(sent, whole, strict=True):
        assert number(row["tenant_id"]) == 7
        assert number(row["actor_id"]) == actors[one["actor"]]
        assert row["verb"] == one["verb"].encode()
        assert row["object_id"] == (one["object"]["id"].encode() if "object" in one else None)
        assert row["key"] == (one["key"].encode() if "key" in one else None)
        numbers: list[int | None] = [groups[name] for name in groups_of(one)]
        first, *more = numbers or [None]
        assert number(row["group_id"]) == first
        listed = row["more_groups"]
        assert ([] if listed is None else [number(listed[at + 4 : at + 12]) for at in range(20, len(listed), 12)]) == more
    ordered = InOrder(rows)
    in_order = as_dicts(ordered.rows(0, len(ordered)), rows.columns)
    assert in_order == sorted(whole, key=lambda row: row["id"] or b"")
    assert ordered.repeated == (len({row["id"] for row in whole}) < len(whole))
    delta = as_dicts(ordered.delta(), ", ".join(("tenant_id", *rows.delta_columns)))
    assert delta == [{name: row[name] for name in ("tenant_id", *rows.delta_columns)} for row in in_order]
    assert "m_distance_m" in rows.delta_columns  # which the rollup reads
    assert "m_climb_m" not in rows.delta_columns
    low, high = rows.span()
    assert (low.bytes, high.bytes) == (in_order[0]["id"], in_order[-1]["id"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(activities, min_size=1, max_size=4), min_size=1, max_size=3))
def test_joined_and_cut(batches: list[list[dict[str, Any]]]) -> None:
    """Payloads joined into one, and one cut into pieces, say of each activity what was sent of it."""
    payloads = [accepted(batch) for batch in batches]
    scales = {"distance_m": 1, "climb_m": 0}
    each = [one for payload in payloads for one in activities_of(_rows.seal_payload(payload), scales)]
    whole = _rows.seal_payload(joined(payloads, 1))
    assert activities_of(whole, scales) == each
    opened = _rows.open_payload(whole)
    for place in range(len(each)):
        cut = piece(opened, place, place + 1)
        assert activities_of(cut, scales) == each[place : place + 1]
        assert LoadRows([_rows.open_payload(cut)]).actors == [
            each[place].activity["actor"]
        ]  # names of other rows are not named


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_mangled_rows_are_refused_or_read(data: st.DataObject) -> None:
    """Bytes that anybody may have made raise ValueError, or are rows: nothing else is raised, and nothing else is overwritten."""
    payload = accepted([{"actor": "a", "verb": "run", "groups": ["g", "h", "i"]}, {"actor": "b", "verb": "walk"}])
    rows = bytearray(payload.rows)
    for _ in range(data.draw(st.integers(1, 4))):
        rows[data.draw(st.integers(0, len(rows) - 1))] = data.draw(st.sampled_from([0, 1, 8, 16, 127, 255]))
    mangled = _rows.Payload(header=payload.header, lengths=payload.lengths, splits=payload.splits, rows=bytes(rows))
    try:
        load = LoadRows([mangled])
        load.resolve(1, {"a": 1, "b": 2}, {"g": 1, "h": 2, "i": 3})
        load.verbs()
    except ValueError:
        return
    assert len(load.as_they_came()) == len(rows)


@pytest.mark.parametrize("change", [{"actors": []}, {"groups": ["g", "h"]}, {"delta": 0}, {"delta": 99}, {"columns": "id"}])
def test_a_header_that_does_not_fit(change: dict[str, Any]) -> None:
    """Names that are not there, columns that the rows have not."""
    payload = accepted([{"actor": "a", "verb": "run", "groups": ["g", "h", "i"]}])
    header = _rows.Header(**{name: getattr(payload.header, name) for name in payload.header.__struct_fields__} | change)
    with pytest.raises(ValueError, match="row"):
        LoadRows([_rows.Payload(header=header, lengths=payload.lengths, splits=payload.splits, rows=payload.rows)])


def test_lengths_that_do_not_fit() -> None:
    """A payload whose rows are longer or shorter than it says is none."""
    payload = payload_of([b"x" * 100, b"y" * 90])
    payload.lengths[0] = 99
    with pytest.raises(ValueError, match="not as long"):
        _rows.open_payload(_rows.seal_payload(payload))
    with pytest.raises(ValueError, match="shorter"):
        LoadRows([payload_of([b"short"])])


def test_an_id_of_the_ledgers() -> None:
    """What the ledger decides is written with the numbers."""
    rows = LoadRows([accepted([{"actor": "a", "verb": "walk", "key": "k"}, {"actor": "a", "verb": "walk"}])])
    ((row, digest),) = rows.hashes()
    assert (row, len(digest)) == (0, 16)
    rows.set_id(row, UUID(int=5))
    rows.resolve(1, {"a": 1}, {})
    assert as_dicts(_rows.COPY_HEADER + rows.as_they_came() + _rows.COPY_TRAILER, rows.columns)[0]["id"] == UUID(int=5).bytes


def test_a_day_of_rows_is_in_order() -> None:
    """Ids of one load, also those before 1970, come as PostgreSQL sorts them."""
    times = [NOW - timedelta(days=30_000 * (n % 2), seconds=n * 7 % 100) for n in range(100)]
    rows = LoadRows([accepted([{"actor": "a", "verb": "walk", "occurred_at": when.isoformat()} for when in times])])
    rows.resolve(1, {"a": 1}, {})
    ordered = InOrder(rows)
    found = [UUID(bytes=struct.pack("16s", row["id"])) for row in as_dicts(ordered.rows(0, 100), rows.columns)]
    assert found == sorted(found)
    assert [ordered.place(one) for one in found] == list(range(100))


def test_files_and_large_contents_stay_with_their_rows() -> None:
    """Cut, joined and without an actor's rows, each row names what it named; as it was sent, by ids."""
    large = {"text": "x" * 9000}
    batch: list[dict[str, Any]] = [
        {"actor": f"a{n % 2}", "verb": "grade" if n % 3 else "walk"}
        | ({"files": {"scan": [str(UUID(int=n)), str(UUID(int=100 + n))]}} if n % 3 else {})
        | ({"content": large} if n % 4 == 0 else {})
        for n in range(9)
    ]

    def kept(payload: bytes | _rows.Payload) -> list[dict[str, Any]]:
        opened = _rows.open_payload(payload) if isinstance(payload, bytes) else payload
        rows = activities_of(_rows.seal_payload(opened), {"distance_m": 1, "climb_m": 0})
        named = LoadRows([opened]).files()
        for sent in rows:
            files = [str(file) for id, name, _, file in named if (id, name) == (sent.id, "scan")]
            assert files == sent.activity.get("files", {}).get("scan", [])
        assert opened.header.large == [n for n, sent in enumerate(rows) if "content" in sent.activity]
        wanted = ("actor", "verb", "files")
        return [{name: sent.activity[name] for name in wanted if name in sent.activity} for sent in rows]

    plain = [{name: one[name] for name in ("actor", "verb", "files") if name in one} for one in batch]
    whole = accepted(batch)
    assert kept(whole) == plain
    assert kept(piece(whole, 2, 7)) == plain[2:7]
    assert kept(joined([accepted(batch[:4]), accepted(batch[4:])], 1)) == plain
    left = without(0, _rows.seal_payload(whole), lambda name: name == "a0")
    assert left is not None and kept(left.payload) == [one for one in plain if one["actor"] == "a1"]
