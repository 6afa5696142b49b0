"""`Target`: any PostgreSQL, read only."""

from __future__ import annotations

import pytest

from milepost.doctor import Target
from milepost.errors import DatabaseUnavailable, MilepostError


async def test_a_target_knows_its_server(database_url: str) -> None:
    """Version, database, rights and extensions are known after one round trip."""
    target = await Target.open(database_url)
    assert target.major >= 15
    assert database_url.partition("?")[0].endswith(target.dbname)
    assert target.superuser and target.monitor and not target.standby
    assert "plpgsql" in target.extensions and "pg_stat_statements" in target.available


async def test_reading_cannot_write(database_url: str) -> None:
    """What looks is refused by the server itself if it tries to write; what was asked to act may."""
    target = await Target.open(database_url)
    with pytest.raises(MilepostError, match="read-only"):
        async with target.reading() as connection:
            await connection.execute("CREATE TABLE t (a int)")
    async with target.writing() as connection:
        await connection.execute("CREATE TABLE t (a int)")


async def test_nobody_there() -> None:
    """A server that is not there is named in one error."""
    with pytest.raises(DatabaseUnavailable):
        await Target.open("postgresql://nobody@127.0.0.1:1/none")
