"""Notifications, and what a listener says when it has lost its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from milepost.errors import DatabaseUnavailable, Timeout
from milepost.postgres import Connection, Database, Hint, Listener, advisory_lock, notify
from milepost.settings import Settings

RECONNECTED = Hint(reconnected=True)


@pytest.fixture
async def database(database_url: str, settings: Settings) -> AsyncIterator[Database]:
    async with await Database.open(database_url, settings) as opened:
        yield opened


@pytest.fixture
async def sender(database: Database) -> AsyncIterator[Connection]:
    async with await database.owner() as connection:
        yield connection


async def test_a_listener_gives_what_is_announced_on_its_channels(database: Database, sender: Connection) -> None:
    """The first hint says to look; then come the notifications of the channels asked for, in order."""
    async with Listener(database, ["journal", "odd name"]) as hints:
        await notify(sender, "journal", "1")
        await notify(sender, "elsewhere", "2")
        await notify(sender, "odd name")
        assert await anext(hints) == RECONNECTED
        assert await anext(hints) == Hint(channel="journal", payload="1")
        assert await anext(hints) == Hint(channel="odd name", payload="")


async def test_a_notification_comes_with_the_commit(database: Database, sender: Connection) -> None:
    """What a rolled-back transaction announced is never heard."""
    async with Listener(database, ["journal"]) as hints:
        assert await anext(hints) == RECONNECTED
        with pytest.raises(ZeroDivisionError):
            async with sender.transaction():
                await notify(sender, "journal", "rolled back")
                raise ZeroDivisionError
        async with sender.transaction():
            await notify(sender, "journal", "committed")
        assert await anext(hints) == Hint(channel="journal", payload="committed")


async def test_a_listener_that_lost_its_connection_says_so_and_goes_on(database: Database, sender: Connection) -> None:
    """After a break comes a hint to look again, then the notifications since."""
    async with Listener(database, ["journal"]) as hints:
        for _ in range(2):
            assert await anext(hints) == RECONNECTED
            await sender.execute("SELECT pg_terminate_backend(%s, 5000)", [hints.backend_pid])
        assert await anext(hints) == RECONNECTED
        await notify(sender, "journal", "after")
        assert await anext(hints) == Hint(channel="journal", payload="after")


async def test_a_reader_may_be_cancelled_and_ask_again(database: Database, sender: Connection) -> None:
    """A wait with a time limit loses no hint."""
    async with Listener(database, ["journal"]) as hints:
        assert await anext(hints) == RECONNECTED
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(hints), 0.01)
        await notify(sender, "journal", "1")
        assert await anext(hints) == Hint(channel="journal", payload="1")


async def test_a_listener_leaves_no_session_behind(database: Database, sender: Connection) -> None:
    """Leaving the block ends the session, also when a reader was waiting."""
    async with Listener(database, ["journal"]) as hints:
        assert await anext(hints) == RECONNECTED
        pid = hints.backend_pid
        reader = asyncio.ensure_future(anext(hints))
        await notify(sender, "journal", "1")
        await reader
    found = await sender.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    assert await found.fetchone() == (False,) or hints.backend_pid is None


async def test_entering_without_a_server_fails(database_url: str, settings: Settings) -> None:
    """A listener that cannot connect at first says so, instead of trying for ever."""
    missing = Database(database_url.replace("/test_", "/missing_"), settings, [])
    with pytest.raises(DatabaseUnavailable):
        async with Listener(missing, ["journal"]):
            raise AssertionError("it listened")


async def test_a_quiet_listener_asks_whether_its_connection_lives(
    database: Database, sender: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nothing comes for a while the connection is probed, and hints still arrive."""
    monkeypatch.setattr("milepost.postgres._listen.PROBE_S", 0.001)
    async with Listener(database, ["journal"]) as hints:
        assert await anext(hints) == RECONNECTED
        reader = asyncio.ensure_future(anext(hints))
        for _ in range(3):  # several probes pass
            await sender.execute("SELECT pg_sleep(0.005)")
        await notify(sender, "journal", "1")
        assert await reader == Hint(channel="journal", payload="1")


async def test_one_at_a_time_holds_an_advisory_lock(database: Database, sender: Connection) -> None:
    """The second waits until the first is done, and gives up when its time is over."""
    async with await database.owner() as other:
        async with advisory_lock(sender, "migrate"):
            with pytest.raises(Timeout, match="migrate"):
                async with advisory_lock(other, "migrate", timeout_s=0):
                    raise AssertionError("both have it")
            async with advisory_lock(other, "something else", timeout_s=0):
                pass
            waiting = asyncio.ensure_future(hold(other))
        await waiting


async def hold(connection: Connection) -> None:
    async with advisory_lock(connection, "migrate"):
        pass


async def test_an_advisory_lock_goes_with_its_session(database: Database, sender: Connection) -> None:
    """A holder that dies frees the lock, and leaving its block is not an error of the lock."""
    other = await database.owner()
    async with advisory_lock(other, 42):
        await sender.execute("SELECT pg_terminate_backend(%s, 5000)", [other.info.backend_pid])
        await other.close()
        async with advisory_lock(sender, 42, timeout_s=5):
            pass
