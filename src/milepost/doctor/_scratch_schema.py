"""A database's schema made anew in another one: by `pg_dump` and `psql`, whose definitions are the server's own.

`pg_dump` must be at least as new as the server that it reads. A definition that fails there (an extension that is not installed)
is left out with a note, as `psql` goes on after an error, and so is what depends on it.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path

from milepost.doctor.target import Target
from milepost.errors import DatabaseError, DatabaseUnavailable, InvalidInput
from milepost.postgres import client_environment, find_bin, load_queries, major_version

__all__ = ["copy_schema"]

NOTES_MAX = 20
MAJOR_MAX = 40
FAILED = re.compile(r"^psql:[^\n]*?ERROR:\s+(.*)$", re.MULTILINE)
# Definitions alone: whose they are and who may what would need the target's roles.
WORDS = (
    "--schema-only",
    "--no-owner",
    "--no-privileges",
    "--no-tablespaces",
    "--no-publications",
    "--no-subscriptions",
    "--no-security-labels",
)
EXCLUDED_BYTES_MAX = 1_000_000  # what fits into a command line with room to spare

queries = load_queries(__package__, "scratch.sql")


async def copy_schema(target: Target, url: str, tables: Sequence[str] | None) -> list[str]:
    """Makes it in the empty database `url`; answers with notes. Raises `DatabaseError` for a table that is not there."""
    without = await _besides(target, tables)
    words = [*WORDS, *(f"--exclude-table={name}" for name in without), "--lock-wait-timeout=1s"]
    dump = await _run(program("pg_dump", target.major), words, target.url, b"")
    if dump[0] != 0:
        raise DatabaseError(f"pg_dump could not read the schema of {target.dbname}: {dump[2].strip()}")
    # No psqlrc; what one definition costs must not depend on the statement timeout of a role.
    made = await _run(program("psql", target.major), ["-X", "-q", "-f", "-"], url, dump[1])
    failed = list(dict.fromkeys(FAILED.findall(made[2])))
    if made[0] != 0:
        raise DatabaseError(f"psql could not make the schema: {made[2].strip()}")
    notes = [f"Not made on the scratch copy: {reason}." for reason in failed[:NOTES_MAX]]
    return notes + ([f"And {len(failed) - NOTES_MAX} more were not made."] if len(failed) > NOTES_MAX else [])


async def _besides(target: Target, tables: Sequence[str] | None) -> list[str]:
    if tables is None:
        return []
    async with target.reading() as connection:
        cursor = await connection.execute(queries.relations_besides, {"tables": list(tables)})
        found = [str(name) for (name,) in await cursor.fetchall()]
    if sum(map(len, found)) > EXCLUDED_BYTES_MAX:
        raise InvalidInput(f"{len(found)} relations are too many to leave out: copy the whole schema.")
    return found


def program(name: str, major: int) -> Path:
    """The client program of the target's version, else of the nearest newer one. Raises `DatabaseUnavailable`."""
    for wanted in range(major, MAJOR_MAX):
        try:
            folder = find_bin(wanted)
        except DatabaseUnavailable:
            continue
        if major_version(folder) >= major and os.access(folder / name, os.X_OK):
            return folder / name
    raise DatabaseUnavailable(f"No {name} of PostgreSQL {major} or later is installed here.")


async def _run(path: Path, words: Sequence[str], url: str, given: bytes) -> tuple[int, bytes, str]:
    """What a client program answered: its exit code, what it printed, and its complaints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    process = await asyncio.create_subprocess_exec(
        path,
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment | {"LC_ALL": "C"} | client_environment(url),
    )
    try:
        out, complaints = await process.communicate(given)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, out, complaints.decode(errors="replace")
