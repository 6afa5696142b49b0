"""Where looks are kept: `FileHistory` (SQLite) or `SchemaHistory` (the schema `milepost_doctor` of the database itself).

Both keep looks by database, answer them oldest first, and throw the oldest away past `LOOKS_MAX`. A file that is no such history, or a
schema that may not be written, raises `InvalidInput` or the database's error; nothing is begun anew in silence.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, Protocol

import msgspec

from milepost.doctor.history.look import Look
from milepost.doctor.target import Target
from milepost.errors import InvalidInput
from milepost.postgres import load_queries

__all__ = ["LOOKS_MAX", "FileHistory", "History", "SchemaHistory"]

queries = load_queries(__package__, "store.sql")
file_queries = load_queries(__package__, "file.sql")

LOOKS_MAX: Final = 5_000  # of one database: a look every hour for half a year


class History(Protocol):
    async def keep(self, target: Target, look: Look) -> None: ...

    async def looks(self, target: Target) -> list[Look]: ...


class FileHistory:
    """One file may keep the history of many databases, by their names."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def keep(self, target: Target, look: Look) -> None:
        with self._open() as file, file:
            file.execute(
                file_queries.keep, {"database": target.dbname, "at": look.at.isoformat(), "look": msgspec.json.encode(look)}
            )
            file.execute(file_queries.forget, {"database": target.dbname, "most": LOOKS_MAX})

    async def looks(self, target: Target) -> list[Look]:
        with self._open() as file:
            rows = file.execute(file_queries.looks, {"database": target.dbname}).fetchall()
        return [msgspec.json.decode(look, type=Look) for (look,) in rows]

    def _open(self) -> closing[sqlite3.Connection]:
        try:
            file = sqlite3.connect(self._path, timeout=10)
            file.execute(file_queries.table)
        except sqlite3.Error as error:
            raise InvalidInput(f"{self._path} cannot keep the doctor's history: {error}.") from error
        return closing(file)


class SchemaHistory:
    """In the database that is looked at: the only thing that `watch` writes there, and only if it was told to."""

    async def keep(self, target: Target, look: Look) -> None:
        async with target.writing() as connection, connection.transaction():
            await connection.execute(queries.schema)
            await connection.execute(queries.table)
            await connection.execute(queries.keep, {"at": look.at, "look": msgspec.json.encode(look).decode()})
            await connection.execute(queries.forget, {"most": LOOKS_MAX})

    async def looks(self, target: Target) -> list[Look]:
        async with target.reading() as connection:
            found = await (await connection.execute(queries.is_there)).fetchone()
            if found is None:
                return []
            rows = await (await connection.execute(queries.looks)).fetchall()
        return [msgspec.json.decode(row[0], type=Look) for row in rows]
