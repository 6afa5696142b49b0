"""JSON on its way into jsonb."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from milepost.errors import DatabaseError
from milepost.postgres import Connection, Database, Jsonb, JsonText, translated


@pytest.fixture
async def table(database_url: str) -> AsyncIterator[Connection]:
    """A session with a temporary table `stage (j jsonb)`."""
    async with await Database.connect_owner(database_url) as connection:
        await connection.execute("CREATE TEMP TABLE stage (j jsonb)")
        yield connection


async def stored(connection: Connection) -> list[Any]:
    return [value for (value,) in await (await connection.execute("SELECT j FROM stage")).fetchall()]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ('{"a": 1}', {"a": 1}),
        (b'{"a": 1}', {"a": 1}),
        (JsonText('{"a": "é"}'), {"a": "é"}),
        ({"a": 1}, {"a": 1}),
        ([1, 2], [1, 2]),
        (Jsonb("text"), "text"),
        (b"null", None),
        (None, None),
    ],
)
async def test_json_text_goes_through_a_binary_copy_as_it_is(table: Connection, given: Any, kept: Any) -> None:
    """In a jsonb column of a binary COPY, text is JSON already, and other values are encoded."""
    async with table.cursor() as cursor, cursor.copy("COPY stage FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["jsonb"])
        await copy.write_row([given])
    assert await stored(table) == [kept]


async def test_json_text_as_a_parameter(table: Connection) -> None:
    """`JsonText` is stored without being encoded again, sent as text or in binary; `Jsonb` encodes."""
    for given in (JsonText(b'{"a": 1}'), Jsonb({"a": 1})):
        await table.execute("INSERT INTO stage VALUES (%s), (%b), (%t)", [given, given, given])
    assert await stored(table) == [{"a": 1}] * 6


async def test_text_that_is_no_json_is_refused(table: Connection) -> None:
    """PostgreSQL checks what claims to be JSON."""
    with pytest.raises(DatabaseError) as caught, translated(table):
        await table.execute("INSERT INTO stage VALUES (%b)", [JsonText("{oops")])
    assert caught.value.sqlstate == "22P02"
