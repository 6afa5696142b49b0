"""Stored versions: each is a difference to the one before it, and any one is read from few of them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from milepost.errors import NotFound, ObjectDamaged
from milepost.postgres import Connection, Database
from milepost.storage import versions
from milepost.storage.versions import Made, read_version, record

ID = UUID(int=7)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
async def owner(template_url: str) -> AsyncIterator[Connection]:
    async with await Database.connect_owner(template_url) as connection:
        yield connection


def edits(count: int) -> list[dict[str, Any]]:
    """Of a text of a hundred lines, one reworded each time."""
    draw = random.Random(1)
    lines = [f"{n} {draw.random()}" for n in range(100)]
    made = []
    for _ in range(count):
        lines = list(lines)
        lines[draw.randrange(100)] = f"again {draw.random()}"
        made.append({"content": {"lines": lines}})
    return made


async def keep(owner: Connection, every: list[dict[str, Any]], first: int = 1) -> None:
    """every: what versions first, first + 1 … are. The corrections that made them, from the second on."""
    for number, (before, after) in enumerate(pairwise(every), first + 1):
        made = Made(version=number, at=NOW, by="me", why=None)
        await record(owner, 1, ID, before=before, first_at=NOW, after=after, made=made)


async def stored(owner: Connection) -> list[tuple[int, int | None]]:
    """(version, base)"""
    return await (await owner.execute(b"SELECT version, base FROM milepost.activity_version ORDER BY version")).fetchall()


async def test_each_is_a_difference_to_the_one_before(owner: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many in a row as are read at once; then one is whole again."""
    monkeypatch.setattr(versions, "DEPTH_MAX", 4)
    every = edits(12)
    await keep(owner, every)
    assert await stored(owner) == [(n, None if n in (1, 6, 11) else n - 1) for n in range(1, 13)]
    for number, was in enumerate(every, 1):
        assert (await read_version(owner, 1, ID, number)).activity == was
    with pytest.raises(NotFound):
        await read_version(owner, 1, ID, 13)


async def test_long_ones_are_read_from_fewer(owner: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one version is read from has a bound in bytes."""
    every = edits(9)
    monkeypatch.setattr(versions, "READ_BYTES_MAX", 3 * len(str(every[0])))
    await keep(owner, every)
    assert [number for number, base in await stored(owner) if base is None] == [1, 5, 9]


async def test_something_else_is_stored_whole(owner: Connection) -> None:
    """A version that has nothing of the one before."""
    one = edits(3)
    other: list[dict[str, Any]] = [{"content": {"number": f"{random.Random(2).getrandbits(12_000)}{n}"}} for n in range(3)]
    await keep(owner, [*one, *other])
    assert [number for number, base in await stored(owner) if base is None] == [1, 4]
    assert (await read_version(owner, 1, ID, 6)).activity == other[-1]


async def test_after_versions_that_were_not_kept(owner: Connection) -> None:
    """A verb that kept none for a while: what was there before the next correction is kept, whole."""
    every = edits(9)
    await keep(owner, every[:3])
    await keep(owner, every[5:], first=6)
    assert await stored(owner) == [(1, None), (2, 1), (3, 2), (6, None), (7, 6), (8, 7), (9, 8)]
    for number in (3, 6, 9):
        assert (await read_version(owner, 1, ID, number)).activity == every[number - 1]


async def test_those_of_another_form_are_read(owner: Connection) -> None:
    """All differences to one whole version, as they were stored at first, and then one to the version before it."""
    every = edits(4)
    await keep(owner, every[:1] + every[1:2])
    first = versions._encode(every[0])
    text = versions._encode(every[2])
    values = {"version": 3, "made_at": NOW, "made_by": None, "why": None, "base": 1}
    values |= {"stored": versions._closed(text, first), "digest": versions._digest(text)}
    await owner.execute(versions._queries.insert_version, {"tenant_id": 1, "id": ID, **values})
    await keep(owner, every[2:], first=3)
    assert await stored(owner) == [(1, None), (2, 1), (3, 1), (4, 3)]
    assert [(await read_version(owner, 1, ID, n)).activity for n in (2, 3, 4)] == every[1:]


async def test_one_that_is_damaged_costs_those_after_it(owner: Connection) -> None:
    """Up to the next whole one; each is named, and never shown as something else."""
    await keep(owner, edits(4))
    await owner.execute(
        b"UPDATE milepost.activity_version SET stored = overlay(stored PLACING '\\xffff' FROM 12) WHERE version = 2"
    )
    assert (await read_version(owner, 1, ID, 1)).activity == edits(1)[0]
    for number in (2, 3, 4):
        with pytest.raises(ObjectDamaged, match=f"Version {number}"):
            await read_version(owner, 1, ID, number)


async def test_what_was_before_may_read_otherwise(owner: Connection) -> None:
    """1 and 1.0 are one value in two words: a difference is to what is stored."""
    every = edits(3)
    await keep(owner, every[:2])
    otherwise = {"content": {**every[1]["content"], "more": 1.0}}
    await record(owner, 1, ID, before=otherwise, first_at=NOW, after=every[2], made=Made(version=3, at=NOW, by=None, why=None))
    assert (await read_version(owner, 1, ID, 3)).activity == every[2]
    assert (await read_version(owner, 1, ID, 2)).activity == every[1]
