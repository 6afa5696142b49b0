"""Pools, transactions and dedicated connections, on a real server, with connections cut on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fix_postgres import Proxy
from milepost.errors import Conflict, DatabaseError, DatabaseUnavailable, SchemaMismatch, Timeout
from milepost.postgres import SERVICE_ROLE, Connection, Database, EmbeddedServer, QueryClass, retrying
from milepost.settings import Settings

CLASSES: tuple[QueryClass, ...] = ("write", "point", "analytics")


async def row(connection: Connection, query: str) -> tuple[Any, ...]:
    found = await (await connection.execute(query.encode())).fetchone()
    assert found is not None
    return found


@pytest.fixture
async def database(database_url: str, settings: Settings) -> AsyncIterator[Database]:
    """A database with one table, `thing (n integer primary key)`, that the service may use and does not own."""
    async with await Database.connect_owner(database_url) as owner:
        await owner.execute("CREATE TABLE thing (n integer PRIMARY KEY)")
        await owner.execute(f"GRANT ALL ON thing TO {SERVICE_ROLE}".encode())
    async with await Database.open(database_url, settings) as opened:
        yield opened


async def terminate(database: Database, application: str) -> int:
    """Ends the sessions of one application from another one; how many there were."""
    async with await database.owner() as owner:
        gone = await owner.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = %s AND datname = current_database()",
            [application],
        )
        return len(await gone.fetchall())


async def sessions(database: Database, application: str) -> int:
    async with await database.owner() as owner:
        (n,) = await row(
            owner,
            f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = '{application}'",
        )
        return int(n)


@pytest.mark.parametrize(
    ("kind", "timeout", "work_mem", "jit"),
    [("write", "2s", "3MB", "off"), ("point", "150ms", "4MB", "off"), ("analytics", "0", "5MB", "on")],
)
async def test_each_class_has_its_session_settings(
    database_url: str, settings: Settings, kind: QueryClass, timeout: str, work_mem: str, jit: str
) -> None:
    """A pool's connections carry the timeout, memory and role of their class from their first statement on."""
    chosen = replace(
        settings,
        write_timeout_s=2,
        point_timeout_s=0.15,
        analytics_timeout_s=0,
        write_work_mem="3MB",
        point_work_mem="4MB",
        analytics_work_mem="5MB",
        idle_in_transaction_timeout_s=7,
    )
    async with await Database.connect_owner(database_url) as owner:
        await owner.execute("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET jit = on', current_database()); END $$")
    async with await Database.open(database_url, chosen) as opened, opened.transaction(kind) as connection:
        names = ["statement_timeout", "work_mem", "jit", "idle_in_transaction_session_timeout", "application_name"]
        found = await row(connection, "SELECT " + ", ".join(f"current_setting('{name}')" for name in names))
        assert found == (timeout, work_mem, jit, "7s", f"milepost/{kind}")
        names = ["search_path", "timezone"]
        found = await row(connection, "SELECT " + ", ".join(f"current_setting('{name}')" for name in names))
        assert found == ("milepost,public", "UTC")
        assert await row(connection, "SELECT current_user::text, session_user::text") == (SERVICE_ROLE, "postgres")


async def test_the_tenant_is_set_for_its_transaction_only(database: Database) -> None:
    """Row-level security sees the tenant of this transaction, and none in the next on the same connection."""
    async with database.transaction("write", tenant_id=7) as connection:
        first = connection.info.backend_pid
        assert await row(connection, "SELECT current_setting('milepost.tenant', true)") == ("7",)
    async with database.transaction("write") as connection:
        assert connection.info.backend_pid == first
        assert await row(connection, "SELECT current_setting('milepost.tenant', true)") == ("",)


async def test_a_transaction_commits_at_its_end_and_rolls_back_on_an_error(database: Database) -> None:
    """What a block wrote is there after it, unless it raised."""
    async with database.transaction("write") as connection:
        await connection.execute("INSERT INTO thing VALUES (1)")
    with pytest.raises(ZeroDivisionError):
        async with database.transaction("write") as connection:
            await connection.execute("INSERT INTO thing VALUES (2)")
            raise ZeroDivisionError
    async with database.transaction("point") as connection:
        assert await row(connection, "SELECT array_agg(n) FROM thing") == ([1],)


async def test_a_snapshot_sees_one_moment_and_writes_nothing(database: Database) -> None:
    """All statements of a snapshot see the state at its first one; a write in it is refused."""
    async with database.transaction("point", snapshot=True) as reader:
        assert await row(reader, "SELECT count(*) FROM thing") == (0,)
        async with database.transaction("write") as writer:
            await writer.execute("INSERT INTO thing VALUES (1)")
        assert await row(reader, "SELECT count(*) FROM thing") == (0,)
    with pytest.raises(DatabaseError) as caught:
        async with database.transaction("point", snapshot=True) as reader:
            await reader.execute("INSERT INTO thing VALUES (2)")
    assert caught.value.sqlstate == "25006"


async def test_errors_of_the_driver_leave_a_transaction_translated(database: Database) -> None:
    """A duplicate is a Conflict that names its constraint and table and keeps its cause."""
    with pytest.raises(Conflict) as caught:
        async with database.transaction("write") as connection:
            await connection.execute("INSERT INTO thing VALUES (1), (1)")
    assert (caught.value.sqlstate, caught.value.constraint, caught.value.table) == ("23505", "thing_pkey", "thing")
    assert caught.value.__cause__ is not None


async def test_an_error_caught_inside_a_transaction_does_not_pass_for_a_commit(database: Database) -> None:
    """PostgreSQL would answer COMMIT with ROLLBACK; the block raises instead of losing the work silently."""
    with pytest.raises(DatabaseError, match="caught"):
        async with database.transaction("write") as connection:
            await connection.execute("INSERT INTO thing VALUES (1)")
            with pytest.raises(Exception, match="division by zero"):
                await connection.execute("SELECT 1 / 0")
    async with database.transaction("write") as connection:
        assert await row(connection, "SELECT count(*) FROM thing") == (0,)


async def test_a_savepoint_saves_what_came_before_it(database: Database) -> None:
    """The driver's own `transaction()` inside a block is a savepoint."""
    async with database.transaction("write") as connection:
        await connection.execute("INSERT INTO thing VALUES (1)")
        with pytest.raises(Exception, match="division by zero"):
            async with connection.transaction():
                await connection.execute("SELECT 1 / 0")
    async with database.transaction("write") as connection:
        assert await row(connection, "SELECT count(*) FROM thing") == (1,)


async def test_a_cancelled_transaction_leaves_nothing_and_gives_its_connection_back(
    database_url: str, settings: Settings, database: Database
) -> None:
    """A task cancelled in the middle of a statement rolls back, and the pool's only connection serves the next."""
    async with await Database.open(database_url, replace(settings, write_pool_max=1)) as narrow:
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def long_work() -> None:
            async with narrow.transaction("write") as connection:
                await connection.execute("INSERT INTO thing VALUES (1)")
                started.set_result(connection.info.backend_pid)
                await connection.execute("SELECT pg_sleep(60)")

        task = asyncio.create_task(long_work())
        pid = await started
        async with await database.owner() as owner:
            sleeps = f"SELECT wait_event IS NOT DISTINCT FROM 'PgSleep' FROM pg_stat_activity WHERE pid = {pid}"
            while await row(owner, sleeps) == (False,):
                pass
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with narrow.transaction("write") as connection:
            assert await row(connection, "SELECT count(*) FROM thing") == (0,)


async def test_a_statement_over_its_time_is_a_timeout(database_url: str, settings: Settings) -> None:
    """The class's statement timeout cancels, and the connection stays usable."""
    async with await Database.open(database_url, replace(settings, point_timeout_s=0.05)) as opened:
        with pytest.raises(Timeout) as caught:
            async with opened.transaction("point") as connection:
                await connection.execute("SELECT pg_sleep(60)")
        assert caught.value.sqlstate == "57014"
        async with opened.transaction("point") as connection:
            assert await row(connection, "SELECT 1") == (1,)


async def test_a_full_pool_is_a_timeout_that_names_it(database_url: str, settings: Settings) -> None:
    """Who waits too long for a connection learns which pool was full, and how large it is."""
    async with await Database.open(database_url, replace(settings, point_pool_max=1, pool_wait_s=0.05)) as opened:
        async with opened.transaction("point"):
            with pytest.raises(Timeout) as caught:
                async with opened.transaction("point"):
                    raise AssertionError("there was a second connection")
    assert (caught.value.pool, caught.value.connections) == ("point", 1)


async def test_a_session_that_ended_while_idle_is_not_handed_out(database: Database) -> None:
    """A connection that the server has closed in the meantime is noticed at check-out, and nobody gets an error."""
    for _ in range(3):
        async with database.transaction("write") as connection:
            await row(connection, "SELECT 1")
        assert await terminate(database, "milepost/write") >= 1
    async with database.transaction("write") as connection:
        assert await row(connection, "SELECT 1") == (1,)


async def test_a_session_that_ends_inside_a_transaction_is_unavailable_and_a_retry_works(database: Database) -> None:
    """Losing the connection in the middle is `DatabaseUnavailable`; the same work done again succeeds."""
    attempts = 0

    async def work() -> int:
        nonlocal attempts
        attempts += 1
        async with database.transaction("write") as connection:
            await connection.execute("INSERT INTO thing VALUES (1)")
            if attempts == 1:
                await terminate(database, "milepost/write")
            (n,) = await row(connection, "SELECT count(*) FROM thing")
            return int(n)

    with pytest.raises(DatabaseUnavailable):
        await work()
    attempts = 0
    assert await retrying(work, base_delay_s=0) == 1
    assert attempts == 2


async def test_a_cut_wire_is_unavailable_and_a_retry_works(proxy: Proxy, settings: Settings) -> None:
    """Connections cut on the way, with no word from the server: at rest nobody notices, in use a retry helps."""
    async with await Database.open(proxy.url, settings) as opened:
        async with opened.transaction("write") as connection:
            await row(connection, "SELECT 1")
        proxy.sever()
        async with opened.transaction("write") as connection:
            assert await row(connection, "SELECT 1") == (1,)
        accepted = proxy.accepted
        with pytest.raises(DatabaseUnavailable):
            async with opened.transaction("write") as connection:
                proxy.sever()
                await row(connection, "SELECT 1")
        async with opened.transaction("write") as connection:
            assert await row(connection, "SELECT 1") == (1,)
        assert proxy.accepted > accepted


async def test_all_connections_of_a_pool_may_have_died_at_once(proxy: Proxy, settings: Settings) -> None:
    """After a restart every connection at rest is dead; whoever asks next gets a living one without waiting."""
    async with await Database.open(proxy.url, replace(settings, write_pool_max=4, pool_wait_s=10)) as opened:

        async def work() -> int:
            async with opened.transaction("write") as connection:
                (pid, _) = await row(connection, "SELECT pg_backend_pid(), pg_sleep(0.01)")
                return int(pid)

        before = set(await asyncio.gather(*(work() for _ in range(8))))
        assert len(before) > 1
        proxy.sever()
        began = asyncio.get_running_loop().time()
        after = set(await asyncio.gather(*(work() for _ in range(8))))
        assert not before & after
        assert asyncio.get_running_loop().time() - began < 1


async def test_a_server_that_cannot_be_reached_is_unavailable(proxy: Proxy, settings: Settings, tmp_path: Path) -> None:
    """No server, at the opening or later, is `DatabaseUnavailable`; when it is back, so are the pools."""
    with pytest.raises(DatabaseUnavailable):
        await Database.open(f"postgresql:///x?host={tmp_path}", settings)
    with pytest.raises(DatabaseUnavailable, match="cannot be read"):
        await Database.open("postgresql://[", settings)
    async with await Database.open(proxy.url, replace(settings, pool_wait_s=0.2)) as opened:
        proxy.refusing = True
        with pytest.raises(DatabaseUnavailable):
            async with opened.transaction("write"):
                raise AssertionError("there was a connection")
        proxy.refusing = False

        async def work() -> tuple[Any, ...]:
            async with opened.transaction("write", wait_s=10) as connection:
                return await row(connection, "SELECT 1")

        assert await work() == (1,)


async def test_a_login_that_may_not_be_the_service_is_told_what_to_run(
    server: EmbeddedServer, database_url: str, settings: Settings
) -> None:
    """Without the service's role nothing is read or written: the error says which command makes it."""
    async with await Database.connect_owner(database_url) as owner:
        await owner.execute("CREATE ROLE stranger LOGIN")
    try:
        with pytest.raises(SchemaMismatch, match="milepost db migrate"):
            await Database.open(database_url.replace("postgres@", "stranger@"), settings)
    finally:
        async with await Database.connect_owner(server.url()) as owner:
            await owner.execute("DROP ROLE stranger")


async def test_direct_connections_have_a_session_of_their_own(database: Database) -> None:
    """`direct` is the service in autocommit, without timeouts but those asked for; `owner` is the login itself."""
    direct = await database.direct("loader", settings={"work_mem": "9MB", "milepost.note": "two words"})
    async with direct:
        assert direct.autocommit
        names = ["statement_timeout", "work_mem", "milepost.note", "application_name", "role"]
        found = await row(direct, "SELECT " + ", ".join(f"current_setting('{name}')" for name in names))
        assert found == ("0", "9MB", "two words", "milepost/loader", SERVICE_ROLE)
    async with await database.owner() as owner:
        assert await row(owner, "SELECT current_user::text") == ("postgres",)


async def test_what_the_url_itself_sets_is_kept_where_we_set_nothing(database_url: str, settings: Settings) -> None:
    """Options in the URL stay; where both set the same, ours win."""
    url = database_url + "&options=-c%20geqo%3Doff%20-c%20search_path%3Delsewhere"
    async with await Database.open(url, settings) as opened, opened.transaction("point") as connection:
        found = await row(connection, "SELECT current_setting('geqo'), current_setting('search_path')")
        assert found == ("off", "milepost,public")


async def test_pools_fill_at_first_use_and_are_gone_after_close(database_url: str, settings: Settings) -> None:
    """A class that nobody uses has no connection; after `close` none is left, and asking again is an error."""
    opened = await Database.open(database_url, replace(settings, write_pool_min=2, point_pool_min=2))
    async with opened.transaction("write") as connection:
        await row(connection, "SELECT 1")
    assert await sessions(opened, "milepost/point") == 0
    sizes = opened.pool_sizes()
    assert sizes["write"]["pool_max"] == settings.write_pool_max
    await opened.close()
    await opened.close()
    with pytest.raises(DatabaseUnavailable):
        async with opened.transaction("write"):
            raise AssertionError("there was a connection")


async def test_a_database_opened_for_one_class_has_only_that(database_url: str, settings: Settings) -> None:
    """Asking for a class that was not opened is our own mistake, and says which there are."""
    async with await Database.open(database_url, settings, classes=["point"]) as opened:
        with pytest.raises(KeyError, match="without the class write"):
            async with opened.transaction("write"):
                raise AssertionError("there was a connection")


@pytest.mark.parametrize("threshold", [None, 0])
async def test_statements_are_prepared_or_not_as_set(database_url: str, settings: Settings, threshold: int | None) -> None:
    """A pooler in transaction mode wants no prepared statements; 0 prepares at the first use. Either goes with a tenant's transaction, which
    begins with two statements in one."""
    async with await Database.open(database_url, replace(settings, prepare_threshold=threshold)) as opened:
        async with opened.transaction("point", tenant_id=1, snapshot=True) as connection:
            for _ in range(3):
                await connection.execute("SELECT %s::int", [1])
            (prepared,) = await row(connection, "SELECT count(*) FROM pg_prepared_statements")
            assert (prepared > 0) == (threshold == 0)
