"""Migrations on each server: where they arrive, back and forth, who may run them, and who may run on the result."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from milepost.errors import DatabaseError, SchemaMismatch, Timeout
from milepost.postgres import SERVICE_ROLE, Connection, Database, EmbeddedServer
from milepost.schema import SCHEMA_VERSION, migrate, require, rollback, status
from milepost.schema._migrate import MIGRATIONS, Migration, read_migrations
from milepost.schema.patience import patiently
from milepost.settings import Settings

pytest_plugins = ["fix_schema"]

# Everything in the schema but the rows, the numbered tables of the queue, and what depends on when it was made.
CATALOGUE = b"""
WITH relations AS (
    SELECT c.* FROM pg_class c
    WHERE c.relnamespace = to_regnamespace('milepost') AND c.relname !~ '^queue_[0-9]'
)
SELECT 'relation', relname::text, concat_ws(' ', relkind, relrowsecurity, reloptions::text)
FROM relations
UNION ALL
SELECT 'column', r.relname || '.' || a.attname,
       concat_ws(' ', a.attnum, format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation, a.attstorage,
                 'notnull=' || a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid))
FROM relations r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
WHERE r.relkind IN ('r', 'p')
UNION ALL
SELECT 'index', r.relname::text, pg_get_indexdef(r.oid) FROM relations r WHERE relkind IN ('i', 'I')
UNION ALL
SELECT 'constraint', r.relname || '.' || k.conname, pg_get_constraintdef(k.oid)
FROM relations r JOIN pg_constraint k ON k.conrelid = r.oid
UNION ALL
SELECT 'policy', tablename || '.' || policyname, concat_ws(' ', permissive, roles::text, cmd, qual, with_check)
FROM pg_policies WHERE schemaname = 'milepost'
UNION ALL
SELECT 'grant', r.relname::text, concat_ws(' ', x.grantee::regrole, x.privilege_type, x.is_grantable)
FROM relations r CROSS JOIN aclexplode(r.relacl) x
UNION ALL
SELECT 'grant', 'milepost', concat_ws(' ', x.grantee::regrole, x.privilege_type)
FROM pg_namespace n CROSS JOIN aclexplode(n.nspacl) x WHERE n.nspname = 'milepost'
UNION ALL
SELECT 'grant', p.proname::text, concat_ws(' ', x.grantee::regrole, x.privilege_type)
FROM pg_proc p CROSS JOIN aclexplode(p.proacl) x WHERE p.pronamespace = to_regnamespace('milepost')
UNION ALL
SELECT 'sequence', sequencename::text, concat_ws(' ', data_type, start_value, increment_by, cache_size, cycle)
FROM pg_sequences WHERE schemaname = 'milepost'
UNION ALL
SELECT 'function', proname::text, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = to_regnamespace('milepost')
ORDER BY 1, 2, 3
"""


EVERY_STEP = [f"{one.version:04}_{one.name}.pre" for one in MIGRATIONS]


async def catalogue(conn: Connection) -> list[tuple[Any, ...]]:
    return await (await conn.execute(CATALOGUE)).fetchall()


async def one(conn: Connection, query: bytes) -> tuple[Any, ...]:
    row = await (await conn.execute(query)).fetchone()
    assert row is not None
    return row


@pytest.fixture
async def empty(empty_url: str) -> AsyncIterator[Connection]:
    """A connection as the owner of an empty database."""
    async with await Database.connect_owner(empty_url) as connection:
        yield connection


@asynccontextmanager
async def login_as(url: str, name: str) -> AsyncIterator[Connection]:
    """A connection as another login of the same server."""
    async with await Database.connect_owner(url) as connection:
        await connection.execute(f"SET SESSION AUTHORIZATION {name}".encode())
        yield connection


@pytest.fixture
def two_migrations(tmp_path: Path) -> tuple[Migration, ...]:
    """The first migration and one after it, which renames a column in two steps."""
    for file in (files("milepost.schema") / "migrations").iterdir():
        if file.name.startswith("0001"):
            (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "0002_rename.pre.sql").write_text("ALTER TABLE milepost.tenant ADD title text;")
    (tmp_path / "0002_rename.post.sql").write_text("ALTER TABLE milepost.tenant DROP name;")
    (tmp_path / "0002_rename.undo.sql").write_text("ALTER TABLE milepost.tenant DROP title;")
    return read_migrations(tmp_path)


async def test_migrations_arrive_at_the_schema(empty: Connection) -> None:
    """schema.sql and all migrations make the same tables, indexes, constraints, policies, grants and functions."""
    await migrate(empty)
    migrated = await catalogue(empty)
    await empty.execute(b"DROP SCHEMA milepost CASCADE")
    await empty.execute((files("milepost.schema") / "schema.sql").read_bytes())
    assert migrated == await catalogue(empty)
    assert len(migrated) > 200


async def test_back_and_forth(empty: Connection) -> None:
    """A migration that is not finished can be taken back without a trace, and taken again with the same result."""
    assert await migrate(empty) == EVERY_STEP
    first = await catalogue(empty)
    undone = await rollback(empty, 1)
    assert undone == [f"{one.version:04}_{one.name}.undo" for one in reversed(MIGRATIONS)]
    assert await catalogue(empty) == []
    assert (await status(empty)).version == 0
    await migrate(empty)
    assert await catalogue(empty) == first


async def test_again_is_a_no_op(empty: Connection) -> None:
    """A second run takes no step and keeps the secret."""
    await migrate(empty)
    before = await one(empty, b"SELECT * FROM milepost.deployment")
    assert await migrate(empty) == []
    assert await one(empty, b"SELECT * FROM milepost.deployment") == before
    secret, same_cluster = await one(
        empty,
        b"SELECT secret, d.system_identifier = c.system_identifier FROM milepost.deployment d, pg_control_system() c",
    )
    assert len(secret) == 32
    assert same_cluster


async def test_furnished(empty: Connection) -> None:
    """A new database has three queue tables like their templates, and the lanes that were asked for; more come later."""
    await migrate(empty, 2)
    assert await one(empty, b"SELECT current, tables FROM milepost.queue") == (1, 3)
    assert await one(empty, b"SELECT array_agg(lane ORDER BY lane) FROM milepost.lane") == ([0, 1],)
    storage = b"SELECT attstorage FROM pg_attribute WHERE attrelid = 'milepost.queue_3'::regclass AND attname = 'payload'"
    assert await one(empty, storage) == ("e",)
    grants = b"SELECT relacl::text FROM pg_class WHERE oid = 'milepost.queue_2_loaded'::regclass"
    assert f"{SERVICE_ROLE}=ar/" in (await one(empty, grants))[0]
    assert await migrate(empty, 4) == []
    assert await one(empty, b"SELECT count(*) FROM milepost.lane") == (4,)
    await migrate(empty, 1)
    assert await one(empty, b"SELECT count(*) FROM milepost.lane") == (4,)


async def test_two_at_once(empty_url: str) -> None:
    """Of two processes that migrate at the same moment, one takes the steps and the other finds them taken."""
    async with await Database.connect_owner(empty_url) as one, await Database.connect_owner(empty_url) as two:
        taken = await asyncio.gather(migrate(one), migrate(two))
    assert sorted(taken, key=len) == [[], EVERY_STEP]


async def test_require(empty: Connection) -> None:
    """Start-up on a schema that does not fit is refused with what to run."""
    with pytest.raises(SchemaMismatch, match="no milepost schema: run `milepost db migrate`"):
        await require(empty)
    await migrate(empty)
    await require(empty)
    with pytest.raises(SchemaMismatch, match=f"version {SCHEMA_VERSION} and this milepost needs 99: run `milepost db migrate`"):
        await require(empty, code=99)


async def test_pre_and_post(empty: Connection, two_migrations: tuple[Migration, ...]) -> None:
    """Older code runs on after the pre step, which can be undone; the post step refuses older code and cannot be undone."""
    older = two_migrations[:1]
    await migrate(empty, migrations=older)
    assert (await status(empty, migrations=two_migrations)).pending == ("0002_rename.pre",)
    assert await migrate(empty, migrations=two_migrations) == ["0002_rename.pre"]
    await require(empty, code=1)
    await require(empty, code=2)
    assert await rollback(empty, 2, migrations=two_migrations) == ["0002_rename.undo"]
    with pytest.raises(SchemaMismatch, match="version 1 and this milepost needs 2"):
        await require(empty, code=2)
    assert await migrate(empty, migrations=two_migrations) == ["0002_rename.pre"]
    assert (await status(empty, migrations=two_migrations)).unfinished == ("0002_rename.post",)
    assert await migrate(empty, finish=True, migrations=two_migrations) == ["0002_rename.post"]
    with pytest.raises(SchemaMismatch, match="install a newer milepost"):
        await require(empty, code=1)
    await require(empty, code=2)
    with pytest.raises(SchemaMismatch, match="0002 is finished"):
        await rollback(empty, 2, migrations=two_migrations)
    assert await migrate(empty, finish=True, migrations=two_migrations) == []
    assert await migrate(empty, migrations=older) == []  # older code finds nothing to do
    assert (await status(empty, migrations=two_migrations)).version == 2


async def test_rollback_keeps_data(empty: Connection) -> None:
    """The first migration is not undone where there are tenants."""
    await migrate(empty)
    await empty.execute(b"INSERT INTO milepost.tenant (name, lane) VALUES ('acme', 0)")
    with pytest.raises(DatabaseError, match="holds data"):
        await rollback(empty, 1)
    await require(empty, code=1)


async def test_a_failed_step_leaves_nothing(empty: Connection, two_migrations: tuple[Migration, ...], tmp_path: Path) -> None:
    """A step that fails is not half there, and the next run takes it whole."""
    good = (tmp_path / "0002_rename.pre.sql").read_text()
    (tmp_path / "0002_rename.pre.sql").write_text(good + "SELECT 1 / 0;")
    with pytest.raises(DatabaseError, match="division by zero"):
        await migrate(empty, migrations=read_migrations(tmp_path))
    assert (await status(empty, migrations=two_migrations)).pending == ("0002_rename.pre",)
    assert await migrate(empty, migrations=two_migrations) == ["0002_rename.pre"]


async def test_migration_files(tmp_path: Path) -> None:
    """The code's version is the last migration's, and a file out of place is named."""
    assert MIGRATIONS[-1].version == SCHEMA_VERSION
    (tmp_path / "0001_a.pre.sql").write_text("")
    with pytest.raises(Exception, match="0001_a is out of order, or has no pre or no undo step"):
        read_migrations(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(Exception, match=r"notes\.txt is not named as a migration"):
        read_migrations(tmp_path)


async def test_waits_for_locks_in_bounds(owner: Connection, any_url: str) -> None:
    """DDL that cannot get its lock gives up after its attempts, and works once the lock is free."""

    async def work() -> None:
        await owner.execute(b"LOCK TABLE milepost.lane")

    async with await Database.connect_owner(any_url) as other:
        async with other.transaction():
            await other.execute(b"SELECT FROM milepost.lane")
            with pytest.raises(Timeout, match="lock"):
                await patiently(owner, work, lock_timeout_s=0.01, attempts=2)
        await patiently(owner, work, lock_timeout_s=0.01, attempts=2)


# ── Who may ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_ordinary_login(postgres_bin: Path, tmp_path: Path) -> None:
    """A login that may not make roles is told what an administrator must run; after that it migrates by itself."""
    with EmbeddedServer.start(tmp_path, durable=False, bin_dir=postgres_bin) as server:
        url = server.ensure_database("theirs")
        async with await Database.connect_owner(url) as superuser, login_as_of(superuser, url, "app") as app:
            with pytest.raises(SchemaMismatch, match='GRANT CREATE ON DATABASE "theirs" TO "app";'):
                await migrate(app)
            await superuser.execute(b"GRANT CREATE ON DATABASE theirs TO app")
            with pytest.raises(SchemaMismatch) as refused:
                await migrate(app)
            assert refused.value.statement == f'CREATE ROLE {SERVICE_ROLE} NOLOGIN; GRANT {SERVICE_ROLE} TO "app";'
            await superuser.execute(b"CREATE ROLE milepost_service NOLOGIN")
            with pytest.raises(SchemaMismatch) as refused:
                await migrate(app)
            assert refused.value.statement == f'GRANT {SERVICE_ROLE} TO "app";'
            await superuser.execute(refused.value.statement.encode())
            await superuser.execute(b"REVOKE TEMPORARY ON DATABASE theirs FROM PUBLIC")
            with pytest.raises(SchemaMismatch, match='GRANT TEMPORARY ON DATABASE "theirs" TO milepost_service;'):
                await migrate(app)
            await superuser.execute(b"GRANT TEMPORARY ON DATABASE theirs TO milepost_service")
            assert await migrate(app) == EVERY_STEP
            await app.execute(b"SET ROLE milepost_service")
    shutil.rmtree(tmp_path)


@asynccontextmanager
async def login_as_of(superuser: Connection, url: str, name: str) -> AsyncIterator[Connection]:
    await superuser.execute(f"CREATE ROLE {name} LOGIN".encode())
    async with login_as(url, name) as connection:
        yield connection


async def test_a_login_that_makes_roles(postgres_bin: Path, tmp_path: Path) -> None:
    """A database's owner with CREATEROLE needs no administrator, and can take the role it made (not so by itself in 16)."""
    with EmbeddedServer.start(tmp_path, durable=False, bin_dir=postgres_bin) as server:
        url = server.ensure_database("theirs")
        async with await Database.connect_owner(url) as superuser, login_as_of(superuser, url, "app") as app:
            await superuser.execute(b"ALTER ROLE app CREATEROLE")
            await superuser.execute(b"ALTER DATABASE theirs OWNER TO app")
            assert await migrate(app) == EVERY_STEP
            assert await migrate(app) == []
            await app.execute(b"SET ROLE milepost_service")
    shutil.rmtree(tmp_path)


async def test_a_superuser_is_granted_the_role(empty: Connection) -> None:
    """So that it can still open connections as the service when it is made an ordinary login."""
    await migrate(empty)
    members = b"""SELECT member::regrole::text = current_user FROM pg_auth_members
                  WHERE roleid = 'milepost_service'::regrole AND member = current_user::regrole"""
    assert await one(empty, members) == (True,)


# ── What the service may ───────────────────────────────────────────────────────────────────────────────────────────

TENANT_TABLES = {"actor", "groups", "group_span", "group_reach", "member"}
TENANT_TABLES |= {
    "activity",
    "activity_stream",
    "tombstone",
    "ledger",
    "idempotency",
    "journal",
}
TENANT_TABLES |= {"dead_letter", "dead_letter_log", "alert", "parked", "follow", "invitation", "board_member"}
TENANT_TABLES |= {"read_marker", "snapshot", "snapshot_place"}
TENANT_TABLES |= {"activity_content", "activity_version", "actor_was", "content", "content_waiting", "activity_file", "file"}
TENANT_TABLES |= {"storage_growth"}
TENANT_TABLES |= {"cold_file", "chain_block", "chain_link"}
TENANT_TABLES |= {"storage_growth", "residue", "retention_rule", "legal_hold", "retention_log"}
TENANT_TABLES |= {"erasure", "erased_actor"}
TENANT_TABLES |= {"search_document", "search_progress"}


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE milepost.actor",
        "ALTER TABLE milepost.activity DISABLE ROW LEVEL SECURITY",
        "DROP TABLE milepost.journal",
        "UPDATE milepost.deployment SET oldest_code = 1",
        "INSERT INTO milepost.lane (lane) VALUES (77)",
        "CREATE TABLE milepost.mine (id integer)",
        "DELETE FROM milepost.tenant",
    ],
)
async def test_the_service_may_not(any_db: Database, statement: str) -> None:
    """The service's role owns nothing, truncates nothing, and changes nothing that is the owner's."""
    with pytest.raises(DatabaseError, match=r"permission denied|must be owner"):
        async with any_db.transaction("write", tenant_id=1) as conn:
            await conn.execute(statement.encode())


async def test_every_tenant_table_has_a_policy(owner: Connection) -> None:
    """Each table with a tenant has row-level security, but for those that are read on no tenant's behalf."""
    rows = await (
        await owner.execute(
            b"""SELECT c.relname::text, c.relrowsecurity, EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)
                FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
                WHERE c.relnamespace = 'milepost'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"""
        )
    ).fetchall()
    guarded = {name for name, secured, policy in rows if secured and policy}
    assert guarded == TENANT_TABLES
    open_to_all = {name for name, *_ in rows} - guarded
    assert {name for name in open_to_all if not name.startswith("queue_")} == {
        *("tenant", "api_key", "filling"),
        *("tenant_limit", "tenant_bucket", "tenant_use"),  # of all tenants at once, for intake
        *("tenant_login", "restored"),  # nobody's but the owner's
    }


@pytest.mark.parametrize("tenant_id", [1, None])
async def test_a_forgotten_predicate(any_db: Database, owner: Connection, tenant_id: int | None) -> None:
    """Another tenant's rows are not seen, not changed and not written; without a tenant there are none at all."""
    await owner.execute(b"INSERT INTO milepost.groups (tenant_id, external_id) VALUES (1, 'mine'), (2, 'theirs')")
    async with any_db.transaction("write", tenant_id=tenant_id) as conn:
        seen = await (await conn.execute(b"SELECT external_id FROM milepost.groups")).fetchall()
        assert seen == ([("mine",)] if tenant_id else [])
        changed = await conn.execute(b"UPDATE milepost.groups SET name = 'x' WHERE tenant_id = 2")
        assert changed.rowcount == 0
    with pytest.raises(DatabaseError, match="row-level security"):
        async with any_db.transaction("write", tenant_id=tenant_id) as conn:
            await conn.execute(b"INSERT INTO milepost.groups (tenant_id, external_id) VALUES (2, 'intruder')")


async def test_the_service_reads_the_status(any_db: Database, settings: Settings) -> None:
    """Start-up asks as the service whether the schema fits."""
    async with any_db.transaction("point") as conn:
        await require(conn)
        assert await status(conn) == await status(conn)
        assert (await status(conn)).version == SCHEMA_VERSION
