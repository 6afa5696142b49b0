"""A scratch copy of a database, on which things may be tried: nothing of it touches the original, nothing of it stays.

    async with Scratch.open(target) as scratch:                                        # the whole schema, no rows
    async with Scratch.open(target, rows=["public.orders"], rows_max=50_000) as scratch:  # and a sample of a table
        async with scratch.connect() as connection:                                    # a superuser there; autocommit
            await connection.execute(…)
        async with scratch.fresh() as url:                                             # one more, as this one was first
            …

What it is: a server of its own in a temporary folder, made from programs found here (`find_bin`): of the target's major version
where there are any, else of the nearest, and then `notes` says so. It has the target's planner settings. Without crash safety, so
its times are not the target's: compare on it, in turn (A B A B), and never with a time measured elsewhere. With `on_target` it is
a database of its own on the target's server instead, for whoever may and wants to create one there; with `server`, one on that
server.

Its schema is the target's, by `pg_dump` of the target's version or a later one, which must be installed here. `tables` restricts it
to these tables and their partitions. What could not be made there (an extension that is not installed here) is in `notes`, and the
rest is there.

Its rows: of each table in `rows`, all if there are at most `rows_max`, else about that many, from pages chosen at random; then,
up to the same bound a table, the rows that these refer to by foreign keys, of other tables too, so that joins and foreign keys
work. `tables_copied` says how many of how many. All is analyzed, sequences stand where the target's stand.

What it costs the target: ACCESS SHARE locks and the reading of these rows, within the target's timeouts. How it fails:
`DatabaseUnavailable` if there are no programs here, `DatabaseError` for a table that is not there, and with what
`pg_dump` said. However the block ends, server, folder and database are gone; what a killed process left is removed by the next.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from milepost.doctor._scratch_rows import Copied, copy_rows
from milepost.doctor._scratch_schema import copy_schema
from milepost.doctor.target import Target
from milepost.errors import DatabaseUnavailable
from milepost.postgres import (
    Connection,
    Database,
    EmbeddedServer,
    find_bin,
    load_queries,
    major_version,
    sql,
    translated,
    with_database,
)

__all__ = ["Copied", "Scratch"]

PREFIX = "milepost-scratch-"
# Rows are copied as they are: no trigger fires, and rows of a sample may lack what they refer to until it follows. And their commit
# is on disk before VACUUM looks, which otherwise cannot mark their pages as all visible.
COPYING = {"session_replication_role": "replica", "synchronous_commit": "on"}
NEWER_MAX = 5  # how many major versions away programs are looked for

queries = load_queries(__package__, "scratch.sql")
_numbers = count(1)


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """A scratch database. url: a superuser's on a server of its own, else the owner's. major: of the server it is on. notes: one
    sentence for each way in which it is not the target. tables_copied: by schema-qualified name.
    """

    url: str
    major: int
    notes: tuple[str, ...]
    tables_copied: Mapping[str, Copied] = field(default_factory=dict)
    maintenance_url: str

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        target: Target,
        *,
        tables: Sequence[str] | None = None,
        rows: Sequence[str] = (),
        rows_max: int = 100_000,
        on_target: bool = False,
        server: EmbeddedServer | None = None,
    ) -> AsyncIterator[Scratch]:
        """tables: names (schema-qualified, as SQL writes them) whose definitions are wanted; None: all. rows: names of those whose
        rows are. rows_max: of each table.
        """
        if on_target:
            async with _database(target.url) as url:
                yield await _filled(cls, target, url, target.url, target.major, [], tables, rows, rows_max)
            return
        if server is not None:
            async with _database(server.url()) as url:
                made = await Target.open(url)
                yield await _filled(
                    cls, target, url, server.url(), made.major, _version_notes(target, made), tables, rows, rows_max
                )
            return
        settings = await _settings(target)
        with _folder() as folder:
            bin_dir = await asyncio.to_thread(nearest_bin, target.major)
            own = await asyncio.to_thread(EmbeddedServer.start, folder, settings=settings, durable=False, bin_dir=bin_dir)
            try:
                url = await asyncio.to_thread(own.ensure_database, "scratch")
                await _roles(target, url)
                made = await Target.open(url)
                yield await _filled(
                    cls, target, url, own.url(), made.major, _version_notes(target, made), tables, rows, rows_max
                )
            finally:
                await asyncio.to_thread(own.stop)

    @asynccontextmanager
    async def connect(self, *, settings: Mapping[str, str] | None = None) -> AsyncIterator[Connection]:
        """A connection (autocommit) that may do anything."""
        async with await Database.connect_foreign(self.url, "doctor", settings=settings) as connection:
            with translated(connection):
                yield connection

    @asynccontextmanager
    async def fresh(self) -> AsyncIterator[str]:
        """The URL of one more database, a copy of this one as it is now; nobody may be connected to this one meanwhile."""
        template = (await Target.open(self.url)).dbname
        async with _database(self.maintenance_url, template=template) as url:
            yield url


async def _filled(
    kind: type[Scratch],
    target: Target,
    url: str,
    maintenance_url: str,
    major: int,
    notes: list[str],
    tables: Sequence[str] | None,
    rows: Sequence[str],
    rows_max: int,
) -> Scratch:
    notes += await copy_schema(target, url, tables)
    copied: dict[str, Copied] = {}
    if rows:
        async with await Database.connect_foreign(url, "doctor", settings=COPYING) as connection:
            with translated(connection):
                copied = await copy_rows(target, connection, rows, rows_max)
        notes += [f"{one.name}: {one.note}." for one in copied.values() if one.note]
    return kind(url=url, major=major, notes=tuple(notes), tables_copied=copied, maintenance_url=maintenance_url)


def nearest_bin(major: int) -> Path:
    """Programs of that major version, else of the next newer, else of the next older."""
    around = [major, *(major + step for step in range(1, NEWER_MAX)), *(major - step for step in range(1, NEWER_MAX))]
    for wanted in around:
        try:
            return find_bin(wanted)
        except DatabaseUnavailable:
            continue
    return find_bin()


def _version_notes(target: Target, made: Target) -> list[str]:
    if made.major == target.major:
        return []
    return [
        f"The target is PostgreSQL {target.major}, the scratch copy is {made.major}: no programs of {target.major} were found here."
    ]


async def _settings(target: Target) -> dict[str, str]:
    """Those of the target's that the scratch server knows too: an unknown one would keep it from starting."""
    known = await asyncio.to_thread(nearest_bin, target.major)
    async with target.reading() as connection:
        found = await (await connection.execute(queries.server_settings)).fetchall()
    # Every one in the query is in 15 already, or the target is of the same version.
    same = major_version(known) >= target.major
    return {str(name): str(value) for name, value in found} if same else {}


async def _roles(target: Target, url: str) -> None:
    async with target.reading() as connection:
        names = [str(name) for (name,) in await (await connection.execute(queries.roles)).fetchall()]
    if not names:
        return
    async with await Database.connect_foreign(url, "doctor") as connection:
        with translated(connection):
            for name in names:
                if name != "postgres":  # the server's own owner
                    await connection.execute(sql.SQL(queries.create_role).format(name=sql.Identifier(name)))


@asynccontextmanager
async def _database(url: str, *, template: str | None = None) -> AsyncIterator[str]:
    """A database that is dropped at the end."""
    name = f"milepost_scratch_{os.getpid()}_{next(_numbers)}"
    text = queries.create_database if template is None else queries.copy_database
    names = {"name": sql.Identifier(name), **({} if template is None else {"template": sql.Identifier(template)})}
    async with await Database.connect_foreign(url, "doctor") as connection:
        with translated(connection):
            await connection.execute(sql.SQL(text).format(**names))
            try:
                yield with_database(url, name)
            finally:
                await connection.execute(sql.SQL(queries.drop_database).format(name=sql.Identifier(name)))


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for one server; those of processes that are gone are removed first (their servers ended with them)."""
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"{PREFIX}*"):
        pid = left.name.removeprefix(PREFIX).partition("-")[0]
        if (
            pid.isdigit()
            and left.stat().st_uid == os.geteuid()
            and not Path(f"/proc/{pid}").exists()
            and Path("/proc/self").exists()
        ):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
