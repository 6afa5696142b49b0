"""Enqueueing within an app's own transaction: the activities exist exactly if the business row does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from fix_queue import connected, insert, owner_of, reader_of
from milepost.access.tenants import create_tenant
from milepost.activity import id_from
from milepost.errors import Conflict, DatabaseError, Forbidden, InvalidInput, NotFound, SchemaMismatch, TooLarge
from milepost.intake import _rows
from milepost.intake.lane import LaneReader
from milepost.intake.load import Lane
from milepost.intake.queue import Loaded, Queue
from milepost.intake.rotation import Rotation, rotate
from milepost.intake.within import enqueue, enqueue_async
from milepost.postgres import Connection, Database
from milepost.schema import migrate, rollback
from milepost.schema.models import apply_model
from milepost.settings import Settings
from milepost.storage.partitions import ensure_partitions
from payloads import payload_of

pytest_plugins = ["fix_schema"]

MODEL = """
name = "within"
[verbs.order]
object = "order"
measures.amount = { type = "decimal(2)", min = 0 }
[rollups.per_actor]
of = "order"
by = ["actor"]
per = ["all"]
values = ["count", "sum(amount)"]
"""
ORDER = {"actor": "user-17", "verb": "order", "object": {"kind": "order", "id": "o-9"}, "measures": {"amount": 12.5}}


@asynccontextmanager
async def shop(owner: Connection, url: str) -> AsyncIterator[str]:
    """A deployment with a tenant, an app's own table, and a login that may write that and enqueue. → the login's address."""
    await migrate(owner, 1)
    await apply_model(owner, MODEL)
    await create_tenant(owner, "acme", 1)
    await owner.execute(b"CREATE TABLE public.orders (id text PRIMARY KEY)")
    await owner.execute(b"DROP ROLE IF EXISTS shop")
    await owner.execute(b"CREATE ROLE shop LOGIN")
    await owner.execute(b"GRANT milepost_app TO shop")
    await owner.execute(b"GRANT INSERT, SELECT ON public.orders TO shop")
    try:
        yield psycopg.conninfo.make_conninfo(url, options="-c role=shop")
    finally:
        await owner.execute(b"DROP OWNED BY shop")
        await owner.execute(b"DROP ROLE shop")


@pytest.fixture
async def app_url(owner: Connection, any_url: str) -> AsyncIterator[str]:
    async with shop(owner, any_url) as url:
        yield url


@contextmanager
def app_on(url: str, **options: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, **options) as connection:
        yield connection


def order(connection: psycopg.Connection[Any], identity: str) -> None:
    connection.execute("INSERT INTO public.orders VALUES (%s)", [identity])
    enqueue(connection, "acme", [{**ORDER, "object": {"kind": "order", "id": identity}}])


async def load_all(db: Database, settings: Settings) -> None:
    """As the server's loader does."""
    queue = Queue(db, settings)
    lane = Lane(db, queue, 0, "test", settings)
    assert await lane.open()
    await lane.run_once()
    await lane.close()


async def objects(owner: Connection) -> list[str]:
    rows = await (await owner.execute(b"SELECT object_id FROM milepost.activity ORDER BY 1")).fetchall()
    return [row[0] for row in rows]


async def test_exactly_if_the_row_is(
    app_url: str, any_db: Database, owner: Connection, settings: Settings
) -> None:  # fmt: skip
    """Committed together, rolled back together, and a savepoint takes its own part back."""
    with app_on(app_url) as connection:
        order(connection, "kept")
        connection.commit()
        order(connection, "rolled back")
        connection.rollback()
        with connection.transaction():
            order(connection, "kept, too")
            with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
                order(connection, "with the savepoint")
                order(connection, "kept")
    await load_all(any_db, settings)
    rows = await (await owner.execute(b"SELECT id FROM public.orders ORDER BY 1")).fetchall()
    assert await objects(owner) == [row[0] for row in rows] == ["kept", "kept, too"]
    counted = await (await owner.execute(b"SELECT n FROM milepost.rollup_per_actor WHERE per = 'all'")).fetchone()
    assert counted == (2,)


async def test_asynchronously(app_url: str, any_db: Database, owner: Connection, settings: Settings) -> None:
    """On an AsyncConnection, whatever its rows are."""
    async with await psycopg.AsyncConnection.connect(app_url, row_factory=dict_row) as connection:
        assert await enqueue_async(connection, "acme", [ORDER, ORDER])
        assert await enqueue_async(connection, "acme", []) is None
    await load_all(any_db, settings)
    assert await objects(owner) == ["o-9", "o-9"]


async def test_mistakes_are_named(app_url: str, owner: Connection) -> None:
    """By index and field, all of them; nothing is written, and the transaction goes on."""
    with app_on(app_url, row_factory=dict_row) as connection:
        with pytest.raises(InvalidInput, match=r"2 of the activities.*number 1: measures/amount") as caught:
            wrong = {**ORDER, "measures": {"amount": -1}}
            enqueue(connection, "acme", [ORDER, wrong, {"actor": "a", "verb": "ordr"}])
        assert [(one.pointer, one.detail) for one in caught.value.errors] == [
            ("/activities/1/measures/amount", "Expected float >= 0.0"),
            ("/activities/2/verb", "'ordr' is not a verb of the model; did you mean order?"),
        ]
        with pytest.raises(InvalidInput, match="no form in JSON"):
            enqueue(connection, "acme", [{**ORDER, "data": {"x": object()}}])
        with pytest.raises(TooLarge):
            enqueue(connection, "acme", [ORDER] * 10_001)
        with pytest.raises(NotFound, match="no tenant 'acne'"):
            enqueue(connection, "acne", [ORDER])
        connection.execute("INSERT INTO public.orders VALUES ('goes on')")
    assert await (await owner.execute(b"SELECT count(*) FROM milepost.queue_1")).fetchone() == (0,)
    assert await (await owner.execute(b"SELECT count(*) FROM public.orders")).fetchone() == (1,)


async def test_a_changed_model_is_noticed(app_url: str, owner: Connection) -> None:
    """From one call to the next, in a connection that stays."""
    with app_on(app_url) as connection:
        enqueue(connection, "acme", [ORDER])
        connection.commit()
        with pytest.raises(InvalidInput):
            enqueue(connection, "acme", [{"actor": "a", "verb": "refund"}])
        connection.commit()
        await apply_model(owner, MODEL + "[verbs.refund]\n")
        enqueue(connection, "acme", [{"actor": "a", "verb": "refund"}])
    models = await (await owner.execute(b"SELECT model FROM milepost.queue_1 ORDER BY batch_id")).fetchall()
    assert models == [(1,), (2,)]


async def test_another_database_of_the_same_name(app_url: str, owner: Connection) -> None:
    """Model 1 of one deployment is not model 1 of the next."""
    with app_on(app_url) as connection:
        enqueue(connection, "acme", [ORDER])
    await owner.execute(b"UPDATE milepost.model_version SET toml = replace(toml, 'order', 'buy'), fingerprint = 'other'")
    with app_on(app_url) as connection:
        enqueue(connection, "acme", [{"actor": "a", "verb": "buy"}])


async def test_not_without_a_transaction(app_url: str) -> None:
    """In autocommit there is none, and the promise would be void."""
    with app_on(app_url, autocommit=True) as connection:
        with pytest.raises(Conflict, match="autocommit"):
            enqueue(connection, "acme", [ORDER])
        with connection.transaction():
            enqueue(connection, "acme", [ORDER])


# ── What the app may ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM milepost.tenant",
        "SELECT * FROM milepost.queue_1",
        "SELECT secret FROM milepost.deployment",
        "INSERT INTO milepost.queue_1 (lane, tenant_id, kind, model, rows, payload) VALUES (0, 1, 1, 1, 1, '')",
        "SELECT * FROM milepost.activity",
        "CREATE TABLE milepost.mine (id integer)",
    ],
)
async def test_nothing_else(app_url: str, statement: str) -> None:
    """The app reads no table of milepost's, and writes none but through the function."""
    with app_on(app_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


async def test_without_the_role(app_url: str, owner: Connection) -> None:
    """The sentence says what to grant."""
    await owner.execute(b"REVOKE milepost_app FROM shop")
    with app_on(app_url) as connection, pytest.raises(Forbidden, match="GRANT milepost_app"):
        enqueue(connection, "acme", [ORDER])


async def test_without_milepost(app_url: str, owner: Connection) -> None:
    """Or with an older one: what to run."""
    await rollback(owner, 3)
    await owner.execute(b"GRANT USAGE ON SCHEMA milepost TO shop")
    with app_on(app_url) as connection, pytest.raises(SchemaMismatch, match="milepost db migrate"):
        enqueue(connection, "acme", [ORDER])
    await migrate(owner, 1)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("acme'; DROP TABLE milepost.tenant; --", 1, 1, b"x"), "there is no tenant"),
        ((None, 1, 1, b"x"), "there is no tenant NULL"),
        (("acme", 9, 1, b"x"), "no model of version 9"),
        (("acme", 1, 0, b"x"), "1 to 10000 rows"),
        (("acme", 1, 10_001, b"x"), "1 to 10000 rows"),
        (("acme", 1, 1, None), "1 to 10000 rows"),
    ],
)
async def test_the_function_itself(app_url: str, arguments: tuple[Any, ...], said: str) -> None:
    """Refuses what no caller of ours sends."""
    with app_on(app_url) as connection, pytest.raises(psycopg.Error, match=said):
        connection.execute("SELECT milepost.enqueue(%s, %s, %s, %s::bytea)", arguments)


async def test_a_schema_of_the_apps_own_changes_nothing(app_url: str, owner: Connection) -> None:
    """Names that shadow what the functions use are not looked at, whatever the search_path."""
    await owner.execute(b"CREATE SCHEMA shop AUTHORIZATION shop")
    with app_on(app_url) as connection:
        for statement in (
            b"CREATE FUNCTION shop.format(text, text) RETURNS text LANGUAGE sql AS $$ SELECT 'DROP TABLE public.orders' $$",
            b"CREATE TEMP TABLE model_version (version integer)",
            b"CREATE FUNCTION shop.octet_length(bytea) RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$",
            b"SET search_path = shop, pg_catalog",
        ):
            connection.execute(statement)
        enqueue(connection, "acme", [ORDER])
    assert await (await owner.execute(b"SELECT count(*) FROM milepost.queue_1")).fetchone() == (1,)


@pytest.mark.parametrize(
    "payload",
    [
        b"no zstd",
        _rows.seal_payload(payload_of([], columns="id) FROM PROGRAM 'x' --")),
        _rows.seal_payload(payload_of([b"x"])),
        _rows.seal_payload(payload_of([b"x" * 100], columns="tenant_id, id", delta=2)),
    ],
    ids=["not compressed", "SQL for a column", "rows that are none", "rows that begin otherwise"],
)
async def test_a_forged_payload(
    app_url: str, any_db: Database, owner: Connection, settings: Settings, payload: bytes
) -> None:  # fmt: skip
    """Becomes a dead letter of its tenant's, and holds up nothing."""
    with app_on(app_url) as connection:
        connection.execute("SELECT milepost.enqueue('acme', 1, 1, %s::bytea)", [payload])
        enqueue(connection, "acme", [ORDER])
    await load_all(any_db, settings)
    assert await objects(owner) == ["o-9"]
    assert await (await owner.execute(b"SELECT count(*) FROM milepost.dead_letter")).fetchone() == (1,)


# ── Long transactions, and rotation ────────────────────────────────────────────────────────────────────────────────


async def turn(owner: Connection) -> Rotation:
    return await rotate(owner, Settings(), force=True, keep_s=0)


async def load_what_there_is(reader: LaneReader) -> list[int]:
    loaded = []
    while batches := await reader.poll():
        marks = [Loaded(batch_id=batch.batch_id, position=1, loaded=1, duplicates=0) for batch in batches]
        async with reader._connection.transaction():
            await reader.fence()
            await reader.mark(marks)
        reader.settle(marks)
        loaded += [mark.batch_id for mark in marks]
    await reader.advance(force=True)
    return loaded


@pytest.mark.parametrize("isolation", list(psycopg.IsolationLevel)[1:])
async def test_a_long_transaction_and_rotation(
    app_url: str, any_db: Database, owner: Connection, isolation: psycopg.IsolationLevel
) -> None:  # fmt: skip
    """Writing has moved on twice when it commits: its table was kept, its batch is found once, then the table is emptied."""
    async with connected(any_db) as other, reader_of(any_db) as reader:
        with app_on(app_url) as connection:
            connection.isolation_level = isolation
            batch = enqueue(connection, "acme", [ORDER])
            early = await insert(other, table=1)
            assert await load_what_there_is(reader) == early
            moved = await turn(owner)
            assert (moved.current, moved.truncated) == (2, ())
            between = await insert(other, table=2)
            assert await load_what_there_is(reader) == between
            await turn(owner)
            held = await turn(owner)
            assert 1 not in held.truncated
            later = enqueue(connection, "acme", [ORDER])  # by its own snapshot, or by what is current now
            assert await load_what_there_is(reader) == []
            connection.commit()
        assert sorted(await load_what_there_is(reader)) == [batch, later]
        await turn(owner)
        emptied = set((await turn(owner)).truncated)
        for table in (1, 2, 3):
            rows = await (await owner.execute(f"SELECT count(*) FROM milepost.queue_{table}".encode())).fetchone()
            assert rows == (0,), (table, emptied)
        assert await load_what_there_is(reader) == []


async def test_a_snapshot_older_than_a_truncation(app_url: str, any_db: Database, owner: Connection) -> None:
    """A transaction that began before writes to the table that was current then, and truncated since; the batch is found."""
    async with connected(any_db) as other, reader_of(any_db) as reader:
        with app_on(app_url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            await insert(other, table=1)
            await load_what_there_is(reader)
            await turn(owner)
            assert (await turn(owner)).truncated == (1,)
            connection.execute("SELECT 1")
            await insert(other, table=2)
            await load_what_there_is(reader)
            await turn(owner)
            batch = enqueue(connection, "acme", [ORDER])
            connection.commit()
        assert await load_what_there_is(reader) == [batch]


@pytest.mark.parametrize("seed", range(2))
async def test_many_apps_while_tables_rotate(app_url: str, any_db: Database, owner: Connection, seed: int) -> None:
    """Long and short transactions, committed or not, with a rotation whenever there can be one: each batch is loaded once."""
    loaded: list[int] = []
    kept: list[int] = []
    done = asyncio.Event()

    async def app(number: int) -> None:
        async with await psycopg.AsyncConnection.connect(app_url) as connection:
            for turn_number in range(25):
                batch = await enqueue_async(connection, "acme", [ORDER])
                assert batch is not None
                for _ in range((number * 7 + turn_number * 3 + seed) % 15):
                    await connection.execute("SELECT 1")
                if (number + turn_number + seed) % 4:
                    await connection.commit()
                    kept.append(batch)
                else:
                    await connection.rollback()

    async def rotation() -> None:
        async with owner_of(any_db) as other:
            while not done.is_set():
                await turn(other)

    async def reading() -> None:
        async with reader_of(any_db) as reader:
            while not done.is_set():
                loaded.extend(await load_what_there_is(reader))
            loaded.extend(await load_what_there_is(reader))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(rotation())
        tasks.create_task(reading())
        await asyncio.gather(*(app(number) for number in range(6)))
        done.set()
    assert sorted(loaded) == sorted(kept)


async def test_what_postgresql_raises_is_translated(app_url: str) -> None:
    """As everywhere in milepost."""
    with app_on(app_url) as connection:
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT 1 / 0")
        with pytest.raises(DatabaseError, match="current transaction is aborted"):
            enqueue(connection, "acme", [ORDER])
        connection.rollback()


async def test_partitions_come_from_the_loader(
    app_url: str, any_db: Database, owner: Connection, settings: Settings
) -> None:  # fmt: skip
    """An activity of any time can be enqueued: what it needs is made when it is loaded."""
    now = datetime.now(UTC)
    await ensure_partitions(owner, id_from(now), id_from(now + timedelta(days=1)), now)
    with app_on(app_url) as connection:
        enqueue(connection, "acme", [{**ORDER, "key": "k", "occurred_at": "1999-05-01T00:00:00Z"}])
        enqueue(connection, "acme", [{**ORDER, "key": "k", "occurred_at": "1999-05-01T00:00:00Z"}])
    await load_all(any_db, settings)
    assert await objects(owner) == ["o-9"]
