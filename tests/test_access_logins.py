"""Logins of tenants: what one reads by raw SQL, and every way around it that we could think of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from milepost.access.logins import Login, drop_login, make_login
from milepost.access.tenants import Tenant, create_tenant
from milepost.activity import id_from
from milepost.errors import Conflict, NotFound
from milepost.postgres import Connection, Database
from milepost.schema.models import apply_model
from milepost.storage.partitions import ahead

pytest_plugins = ["fix_schema"]

MODEL = (Path(__file__).parent / "models" / "spine.toml").read_text(encoding="utf-8")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
OPEN = (
    "actor", "groups", "group_span", "group_reach", "member", "invitation", "activity", "search_document", "snapshot",
    "rollup_team_distance", "latest_grade_book",
)  # fmt: skip
DENIED = "42501"


@pytest.fixture
async def tenants(owner: Connection) -> AsyncIterator[list[Tenant]]:
    """Two tenants, each with a row in everything that is open."""
    await apply_model(owner, MODEL)
    await ahead(owner, NOW)
    made = [await create_tenant(owner, name, 1) for name in ("acme", "bravo")]
    for one in made:
        number = one.tenant_id
        for statement in (
            "INSERT INTO milepost.actor (tenant_id, external_id, name) VALUES (%(t)s, 'user-1', %(secret)s)",
            "INSERT INTO milepost.groups (tenant_id, external_id, name) VALUES (%(t)s, 'team-1', %(secret)s)",
            "INSERT INTO milepost.group_span (tenant_id, group_id, since, until) VALUES (%(t)s, 1, now(), 'infinity')",
            """INSERT INTO milepost.group_reach (tenant_id, group_id, since, until, ancestor_id, time_zone)
            VALUES (%(t)s, 1, now(), 'infinity', 1, '')""",
            """INSERT INTO milepost.member (tenant_id, group_id, actor_id, since, until, role, added_at)
            VALUES (%(t)s, 1, 1, now(), 'infinity', %(secret)s, now())""",
            """INSERT INTO milepost.activity (tenant_id, id, occurred_at, received_at, actor_id, audience, verb, source)
            VALUES (%(t)s, %(id)s, now(), now(), 1, 2, 'run', %(secret)s)""",
            """INSERT INTO milepost.invitation (tenant_id, group_id, actor_id, role, permissions, state, invited_at, expires_at)
            VALUES (%(t)s, 1, 1, %(secret)s, '{}', 'open', now(), now())""",
            """INSERT INTO milepost.search_document (tenant_id, id, version, words)
            VALUES (%(t)s, %(id)s, 1, to_tsvector('simple', %(secret)s))""",
            """INSERT INTO milepost.snapshot (tenant_id, board, group_id, per, bucket, name, members, kept, taken_at)
            VALUES (%(t)s, 'distance', 0, 'all', '0001-01-01', %(secret)s, 1, 1, now())""",
            """INSERT INTO milepost.rollup_team_distance (tenant_id, group_id, per, bucket, n)
            VALUES (%(t)s, 1, 'day', '2026-03-01', 1)""",
            """INSERT INTO milepost.latest_grade_book (tenant_id, group_id, object_kind, object_id, actor_id, id, occurred_at)
            VALUES (%(t)s, 1, 'assessment', %(secret)s, 1, %(id)s, now())""",
        ):
            await owner.execute(statement.encode(), {"t": number, "id": id_from(NOW), "secret": f"secret of {one.name}"})
    await owner.execute(b"ANALYZE")
    yield made
    for one in made:
        row = await (
            await owner.execute(b"SELECT login FROM milepost.tenant_login WHERE tenant_id = %s", [one.tenant_id])
        ).fetchone()
        if row is not None:
            await drop_login(owner, one)


@asynccontextmanager
async def as_login(url: str, made: Login) -> AsyncIterator[Connection]:
    """A session of somebody with an SQL client."""
    conninfo = psycopg.conninfo.make_conninfo(url, user=made.login, password=made.password)
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as conn:
        yield conn


async def refused(conn: Connection, statement: str) -> str:
    """The SQLSTATE of the refusal."""
    with pytest.raises(psycopg.Error) as error:
        await conn.execute(statement.encode())
    return error.value.sqlstate or ""


async def rows_of(conn: Connection, statement: str) -> list[tuple[object, ...]]:
    return await (await conn.execute(statement.encode())).fetchall()


async def test_a_login_reads_its_tenant(any_url: str, owner: Connection, tenants: list[Tenant]) -> None:
    """All that is open, its own rows and no others, by index; also what a later model derives."""
    acme, bravo = [await make_login(owner, one) for one in tenants]
    assert acme.login.endswith("_acme")
    for made, tenant in ((acme, tenants[0]), (bravo, tenants[1])):
        async with as_login(any_url, made) as conn:
            for table in OPEN:
                assert await rows_of(conn, f"SELECT DISTINCT tenant_id FROM {table}") == [(tenant.tenant_id,)], table
            await conn.execute(b"SET enable_seqscan = off")
            plan = await rows_of(
                conn, "EXPLAIN (COSTS OFF) SELECT * FROM activity WHERE actor_id = 1 AND audience = 2 ORDER BY id LIMIT 9"
            )
            assert "Index Cond: ((tenant_id = " in str(plan)
    await apply_model(
        owner,
        MODEL.replace("[rollups.members]", '[rollups.later]\nof = "run"\nby = "group"\nvalues = "count"\n[rollups.members]'),
    )
    async with as_login(any_url, acme) as conn:
        assert await rows_of(conn, "SELECT * FROM rollup_later") == []


async def test_no_way_around(any_url: str, owner: Connection, tenants: list[Tenant]) -> None:
    """Settings, roles, partitions, functions, statistics, writes: none shows another tenant's row, or changes anything."""
    made = await make_login(owner, tenants[0])
    await make_login(owner, tenants[1])
    other = tenants[1].tenant_id
    partitions = [
        row[0]
        for row in await rows_of(
            owner, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'milepost.activity'::regclass"
        )
    ]
    closed = [
        row[0]
        for row in await rows_of(
            owner,
            """SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'milepost'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
               AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'reader')""",
        )
    ]  # fmt: skip
    assert {"api_key", "deployment", "tenant", "tenant_login", "dead_letter", "journal"} <= set(closed)
    assert {str(one).removeprefix("milepost.") for one in partitions} <= set(closed)
    async with as_login(any_url, made) as conn:
        # A setting is not what is asked.
        await conn.execute(b"SELECT set_config('milepost.tenant', %s, false)", [str(other)])
        await conn.execute(f"SET milepost.tenant = '{other}'".encode())
        assert await rows_of(conn, "SELECT DISTINCT tenant_id FROM activity") == [(tenants[0].tenant_id,)]
        # Another role: not to be had, or the session's login is asked all the same.
        for role in ("milepost_service", "postgres", tenants[1].name, made.login.replace("acme", "bravo")):
            assert await refused(conn, f'SET ROLE "{role}"') in (DENIED, "22023")
            assert await refused(conn, f'SET SESSION AUTHORIZATION "{role}"') in (DENIED, "22023")
        await conn.execute(b"SET ROLE milepost_reader")
        assert await rows_of(conn, "SELECT DISTINCT tenant_id FROM activity") == [(tenants[0].tenant_id,)]
        await conn.execute(b"RESET ROLE")
        # Row security cannot be switched off, only refused.
        await conn.execute(b"SET row_security = off")
        assert await refused(conn, "SELECT * FROM activity") == DENIED
        await conn.execute(b"RESET row_security")
        # Nothing else is open, and nothing can be written.
        for table in closed:
            assert await refused(conn, f'SELECT * FROM milepost."{table}"') == DENIED, table
        for partition in partitions:
            assert await refused(conn, f"SELECT * FROM {partition}") == DENIED, partition
        await conn.execute(b"SET default_transaction_read_only = off")
        for table in OPEN:
            assert await refused(conn, f"DELETE FROM {table}") == DENIED
            assert await refused(conn, f"UPDATE {table} SET tenant_id = 7") == DENIED
            assert await refused(conn, f"COPY {table} FROM STDIN") == DENIED
            assert await refused(conn, f"TRUNCATE {table}") == DENIED
        for statement in (
            "CREATE TABLE milepost.mine (i int)",
            "CREATE FUNCTION milepost.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            f"INSERT INTO milepost.tenant_login VALUES ({other}, session_user)",
            "ALTER TABLE milepost.activity DISABLE ROW LEVEL SECURITY",
            "DROP POLICY reader ON milepost.activity",
            f'ALTER ROLE "{made.login}" BYPASSRLS',
            "SELECT pg_read_file('PG_VERSION')",
            "COPY activity TO PROGRAM 'cat'",
        ):
            assert await refused(conn, statement) == DENIED, statement
        # COPY out goes through the policy as a SELECT does.
        async with conn.cursor() as cursor, cursor.copy(b"COPY (SELECT tenant_id FROM activity) TO STDOUT") as copied:
            assert [bytes(part) async for part in copied] == [f"{tenants[0].tenant_id}\n".encode()]
        # A condition of its own is asked after the policy, so it is not told of other rows.
        await conn.execute(
            b"""CREATE FUNCTION pg_temp.told(name text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
            $$ BEGIN IF name LIKE '%bravo%' THEN RAISE EXCEPTION 'told %', name; END IF; RETURN true; END $$"""
        )
        assert len(await rows_of(conn, "SELECT * FROM actor WHERE pg_temp.told(name)")) == 1
        assert len(await rows_of(conn, "SELECT * FROM activity WHERE pg_temp.told(source)")) == 1
        # Statistics hold values of all tenants: they are kept from whom a policy binds.
        shown = await rows_of(conn, "SELECT * FROM pg_stats WHERE schemaname = 'milepost'")
        assert [row for row in shown if "bravo" in str(row)] == []
        assert await refused(conn, "SELECT * FROM pg_statistic") == DENIED
        # What runs with other rights than its caller's is not the reader's to call, but the one function that says who it is.
        callable_ones = await rows_of(
            conn,
            """SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'milepost'::regnamespace AND p.prosecdef
               AND has_function_privilege(p.oid, 'EXECUTE')""",
        )
        assert callable_ones == [("tenant_of_login",)]


async def test_a_login_anew_and_gone(any_url: str, owner: Connection, tenants: list[Tenant], any_db: Database) -> None:
    """Again: a new password for the same login. Dropped: it sees nothing, even in a session that is open, and cannot come again."""
    first = await make_login(owner, tenants[0])
    second = await make_login(owner, tenants[0])
    assert (first.login, first.new, second.new) == (second.login, True, False)
    assert first.password != second.password
    async with as_login(any_url, second) as conn:
        assert len(await rows_of(conn, "SELECT * FROM actor")) == 1
        await drop_login(owner, tenants[0])
        with pytest.raises(psycopg.Error):
            await rows_of(conn, "SELECT * FROM actor")
    with pytest.raises(NotFound):
        await drop_login(owner, tenants[0])
    with pytest.raises(psycopg.OperationalError):
        async with as_login(any_url, second):
            pass
    await owner.execute(f'CREATE ROLE "{first.login}"'.encode())
    with pytest.raises(Conflict, match="is no login of tenant 'acme'"):
        await make_login(owner, tenants[0])
    await owner.execute(f'DROP ROLE "{first.login}"'.encode())
    # The service is not bound by what binds readers, nor the other way round.
    async with any_db.transaction("point", tenant_id=tenants[0].tenant_id) as service:
        assert len(await rows_of(service, "SELECT * FROM milepost.actor")) == 1
