"""The PostgreSQL that is looked at: a connection that reads only, and what the server has.

Every session says who it is (`application_name` milepost/doctor), gives up on a lock after 1 s and on a statement after
`statement_timeout_ms`, and is read-only unless `writing` asks for one that is not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from milepost.errors import InvalidInput
from milepost.postgres import Connection, Database, dict_row, load_queries, translated

__all__ = ["VERSION_MIN", "Target"]

VERSION_MIN = 150_000  # server_version_num

queries = load_queries(__package__, "target.sql")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A database to be looked at. version: `server_version_num`. extensions: installed here, with their versions. available:
    names that `CREATE EXTENSION` would take. monitor: whether others' sessions and statements can be seen.
    """

    url: str
    version: int
    dbname: str
    superuser: bool
    monitor: bool
    standby: bool
    extensions: Mapping[str, str]
    available: frozenset[str]

    @property
    def major(self) -> int:
        return self.version // 10_000

    @classmethod
    async def open(cls, url: str) -> Target:
        """Raises `DatabaseUnavailable` if nobody answers there, `InvalidInput` if the server is older than 15."""
        async with await _connect(url, {"default_transaction_read_only": "on"}) as connection:
            with translated(connection):
                cursor = connection.cursor(row_factory=dict_row)
                row = await (await cursor.execute(queries.facts)).fetchone()
        assert row is not None
        if row["version"] < VERSION_MIN:
            raise InvalidInput(f"The doctor needs PostgreSQL 15 or later; this is {row['version'] // 10_000}.")
        return cls(url=url, **{**row, "extensions": row["extensions"] or {}, "available": frozenset(row["available"] or ())})

    @asynccontextmanager
    async def reading(self, *, statement_timeout_ms: int = 30_000) -> AsyncIterator[Connection]:
        """A connection (autocommit) in which nothing can be written."""
        session = {"default_transaction_read_only": "on", "statement_timeout": f"{statement_timeout_ms}ms"}
        async with await _connect(self.url, session) as connection:
            with translated(connection):
                yield connection

    @asynccontextmanager
    async def writing(self, *, settings: Mapping[str, str] | None = None) -> AsyncIterator[Connection]:
        """A connection (autocommit) for what was asked for. settings: over `lock_timeout` 1s and no statement timeout."""
        async with await _connect(self.url, settings or {}) as connection:
            with translated(connection):
                yield connection

    @asynccontextmanager
    async def plain(self) -> AsyncIterator[Connection]:
        """A connection that has the settings that anybody's of this role begins with, but for time zone and dates: nothing ends what it asks."""
        async with await Database.connect_foreign(self.url, "doctor") as connection:
            with translated(connection):
                yield connection


async def _connect(url: str, session: Mapping[str, str]) -> Connection:
    plain = {"lock_timeout": "1s", "statement_timeout": "0"}
    return await Database.connect_foreign(url, "doctor", settings={**plain, **session})
