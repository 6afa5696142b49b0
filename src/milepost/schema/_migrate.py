"""Migrations: from any older schema to this one, step by step, and back until it is too late.

A migration is three files in `migrations/`: `NNNN_name.pre.sql` (before the new code runs; older code goes on working on
what it leaves), `NNNN_name.post.sql` (when no older code runs any more; takes away what only that needed; may be missing)
and `NNNN_name.undo.sql` (takes back the pre step, until the post step is taken). A pre step does not rely on the post step
of an earlier migration, which may not have been taken yet.

    await migrate(owner)                # pre steps; again: a no-op
    await migrate(owner, finish=True)   # post steps too: older code is refused from now on

Each step is one transaction together with its record; all run under one advisory lock, so several processes can start at
once. The database carries its version and the oldest code (by schema version) that may run on it; `require` compares both
with `SCHEMA_VERSION`, the schema that this code was written for.

How it fails: `SchemaMismatch` with a sentence that says what to run, and who must; `Timeout` where a lock was not to be had.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

import structlog

from milepost.errors import MilepostError, SchemaMismatch
from milepost.postgres import SERVICE_ROLE, Connection, advisory_lock, load_queries, translated
from milepost.schema.patience import patiently

__all__ = [
    "SCHEMA_VERSION",
    "Migration",
    "SchemaStatus",
    "migrate",
    "read_migrations",
    "require",
    "require_lanes",
    "rollback",
    "status",
]

SCHEMA_VERSION = 24

OLDEST_SERVER = 15
LOCK = "milepost.migrate"
LOCK_WAIT_S = 300.0
FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.(pre|post|undo)\.sql")

log = structlog.get_logger(__name__)
queries = load_queries(__package__, "migrate.sql")


@dataclass(frozen=True, kw_only=True)
class Migration:
    version: int
    name: str
    pre: str
    post: str | None
    undo: str


@dataclass(frozen=True, kw_only=True)
class SchemaStatus:
    """version: of the database, 0 for none. pending: the pre steps, unfinished: the post steps that can be taken."""

    version: int
    oldest_code: int
    code: int
    pending: tuple[str, ...]
    unfinished: tuple[str, ...]


def read_migrations(folder: Traversable) -> tuple[Migration, ...]:
    """The migrations in a folder, in order. Raises `MilepostError` for a file that does not belong there."""
    texts: dict[tuple[int, str], dict[str, str]] = {}
    for file in folder.iterdir():
        match = FILE.fullmatch(file.name)
        if match is None:
            raise MilepostError(f"{file.name} is not named as a migration: NNNN_name.pre.sql, .post.sql or .undo.sql.")
        texts.setdefault((int(match[1]), match[2]), {})[match[3]] = file.read_text(encoding="utf-8")
    for number, ((version, name), steps) in enumerate(sorted(texts.items()), start=1):
        if version != number or "pre" not in steps or "undo" not in steps:
            raise MilepostError(f"Migration {version:04}_{name} is out of order, or has no pre or no undo step.")
    return tuple(
        Migration(version=version, name=name, pre=steps["pre"], post=steps.get("post"), undo=steps["undo"])
        for (version, name), steps in sorted(texts.items())
    )


MIGRATIONS = read_migrations(files(__package__) / "migrations")


async def migrate(
    owner: Connection, lanes: int = 2, *, finish: bool = False, migrations: tuple[Migration, ...] = MIGRATIONS
) -> list[str]:
    """Takes all pre steps that are missing, with `finish` all post steps as well; answers with the names of those taken.

    `owner`: a connection as the login that owns, or will own, the tables. Makes the service's role, grants it to that
    login, and makes `lanes` lanes; more lanes than before are added, none is taken away.
    Raises `SchemaMismatch` with the sentence that an administrator must run, where this login may not do so.
    """
    async with advisory_lock(owner, LOCK, timeout_s=LOCK_WAIT_S):
        await _prepare_server(owner)
        applied = await _applied(owner)
        taken = [
            await _take(owner, migration, "pre", migration.pre)
            for migration in migrations
            if (migration.version, "pre") not in applied
        ]
        with translated(owner):
            async with owner.transaction():
                await owner.execute(queries.make_queue)
                await owner.execute(queries.make_lanes, {"lanes": lanes})
                newest = max([migration.version for migration in migrations] + [version for version, _ in applied])
                await owner.execute(queries.settle, {"version": newest, "secret": secrets.token_bytes(32)})
        if finish:
            taken += [
                await _take(owner, migration, "post", migration.post)
                for migration in migrations
                if migration.post is not None and (migration.version, "post") not in applied
            ]
    return taken


async def rollback(owner: Connection, version: int, *, migrations: tuple[Migration, ...] = MIGRATIONS) -> list[str]:
    """Takes back migration `version` and all after it, the last first; answers with the names of the steps taken.

    Raises `SchemaMismatch` if one of them is finished, and what an undo step raises where data would be lost.
    """
    async with advisory_lock(owner, LOCK, timeout_s=LOCK_WAIT_S):
        applied = await _applied(owner)
        known = {migration.version: migration for migration in migrations}
        undone = sorted((number for number, phase in applied if phase == "pre" and number >= version), reverse=True)
        for number in undone:
            if (number, "post") in applied:
                raise SchemaMismatch(f"Migration {number:04} is finished (its post step was taken): it cannot be undone.")
            if number not in known:
                raise SchemaMismatch(f"Migration {number:04} is a newer milepost's: roll it back with that.")
        return [await _undo(owner, known[number]) for number in undone]


async def status(conn: Connection, *, migrations: tuple[Migration, ...] = MIGRATIONS) -> SchemaStatus:
    """What the database is and what `migrate` would do. As the owner or as the service."""
    applied = await _applied(conn)
    version, oldest_code = await _version(conn) if applied else (0, 0)
    steps = [(migration, "pre") for migration in migrations]
    posts = [(migration, "post") for migration in migrations if migration.post is not None]
    return SchemaStatus(
        version=version,
        oldest_code=oldest_code,
        code=migrations[-1].version,
        pending=_names(steps, applied),
        unfinished=_names(posts, applied),
    )


async def require(conn: Connection, *, code: int = SCHEMA_VERSION) -> None:
    """Raises `SchemaMismatch` unless this code may run on this database; the message says what to run."""
    version, oldest_code = await _version(conn) if await _is_there(conn) else (0, 0)
    if version == 0:
        raise SchemaMismatch("The database has no milepost schema: run `milepost db migrate`.", version=0, code=code)
    if version < code:
        raise SchemaMismatch(
            f"The database's schema is version {version} and this milepost needs {code}: run `milepost db migrate`.",
            version=version,
            code=code,
        )
    if oldest_code > code:
        raise SchemaMismatch(
            f"The database's schema is version {version}, which no milepost older than schema version {oldest_code} may "
            f"use, and this one's is {code}: install a newer milepost.",
            version=version,
            code=code,
        )


async def require_lanes(conn: Connection, lanes: int) -> None:
    """Raises `SchemaMismatch` where the database has fewer lanes than the setting: a tenant on one that is missing would wait forever."""
    with translated(conn):
        row = await (await conn.execute(queries.lanes)).fetchone()
    made = row[0] if row else 0
    if made < lanes:
        raise SchemaMismatch(
            f"The database has {made} {'lane' if made == 1 else 'lanes'} and MILEPOST_LANES is {lanes}: run "
            f"`milepost db migrate --lanes {lanes}` and start the servers again, or set MILEPOST_LANES={made}.",
            made=made,
            lanes=lanes,
        )


async def _prepare_server(owner: Connection) -> None:
    """What is not the schema's own: the server's version, the service's role, rights in the database."""
    with translated(owner):
        row = await (await owner.execute(queries.server)).fetchone()
        assert row is not None
        number, login, database, may_create, may_make_roles = row
        if number < OLDEST_SERVER * 10_000:
            raise SchemaMismatch(f"This is PostgreSQL {number // 10_000}; milepost needs {OLDEST_SERVER} or newer.")
        if not may_create and not await _is_there(owner):
            raise _administrator(f"GRANT CREATE ON DATABASE {_quoted(database)} TO {_quoted(login)};")
        exists, may_take, may_make_temp = await _service_role(owner)
        if not exists:
            if not may_make_roles:
                raise _administrator(f"CREATE ROLE {SERVICE_ROLE} NOLOGIN; GRANT {SERVICE_ROLE} TO {_quoted(login)};")
            await owner.execute(queries.make_service_role)
            exists, may_take, may_make_temp = await _service_role(owner)
        if not may_take:
            await _grant(owner, queries.grant_service_role, f"GRANT {SERVICE_ROLE} TO {_quoted(login)};")
        if not may_make_temp:
            sentence = f"GRANT TEMPORARY ON DATABASE {_quoted(database)} TO {SERVICE_ROLE};"
            await _grant(owner, queries.grant_temp, sentence)
            if not (await _service_role(owner))[2]:  # without the right to grant, that was only a warning
                raise _administrator(sentence)


async def _service_role(owner: Connection) -> tuple[bool, bool, bool]:
    row = await (await owner.execute(queries.service_role, {"role": SERVICE_ROLE})).fetchone()
    assert row is not None
    exists, may_take, may_make_temp = row
    return exists, may_take, may_make_temp


async def _grant(owner: Connection, statement: str, sentence: str) -> None:
    try:
        with translated(owner):
            await owner.execute(statement.encode())
    except MilepostError as error:
        if error.facts.get("sqlstate") != "42501":  # insufficient_privilege
            raise
        raise _administrator(sentence) from error


def _administrator(sentence: str) -> SchemaMismatch:
    return SchemaMismatch(f"This login may not prepare the database. An administrator must run: {sentence}", statement=sentence)


async def _take(owner: Connection, migration: Migration, phase: str, script: str) -> str:
    async def work() -> None:
        await owner.execute(script.encode(), prepare=False)
        record = {"version": migration.version, "phase": phase, "name": migration.name}
        await owner.execute(queries.record, record)
        if phase == "post":
            await owner.execute(queries.refuse_older_code, {"version": migration.version})

    await patiently(owner, work)
    step = f"{migration.version:04}_{migration.name}.{phase}"
    log.info("migrated", step=step)
    return step


async def _undo(owner: Connection, migration: Migration) -> str:
    async def work() -> None:
        await owner.execute(migration.undo.encode(), prepare=False)
        if await _is_there(owner):
            await owner.execute(queries.unrecord, {"version": migration.version})
            row = await (await owner.execute(queries.version)).fetchone()
            if row is not None and migration.version > 1:
                await owner.execute(queries.settle, {"version": migration.version - 1, "secret": b""})

    await patiently(owner, work)
    step = f"{migration.version:04}_{migration.name}.undo"
    log.info("rolled back", step=step)
    return step


async def _is_there(conn: Connection) -> bool:
    with translated(conn):
        row = await (await conn.execute(queries.is_there)).fetchone()
    return row is not None and bool(row[0])


async def _applied(conn: Connection) -> set[tuple[int, str]]:
    if not await _is_there(conn):
        return set()
    with translated(conn):
        rows = await (await conn.execute(queries.applied)).fetchall()
    return {(version, phase) for version, phase in rows}


async def _version(conn: Connection) -> tuple[int, int]:
    with translated(conn):
        row = await (await conn.execute(queries.version)).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def _names(steps: Iterable[tuple[Migration, str]], applied: set[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(f"{one.version:04}_{one.name}.{phase}" for one, phase in steps if (one.version, phase) not in applied)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
