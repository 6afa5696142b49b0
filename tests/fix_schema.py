"""Databases on each PostgreSQL that is installed here: what speaks of the server itself is tested on all of them.

- `any_server`: each server in turn; `empty_url`: a fresh, empty database on it, without the service's role if it is new.
- `any_url`: a fresh database with milepost's schema; `owner`: a connection as its owner; `any_db`: the service's view of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from fix_postgres import bin_of, fresh_database, migrated, started
from milepost.postgres import Connection, Database, EmbeddedServer
from milepost.settings import Settings


@pytest.fixture(scope="session", params=["first found", "distribution"])
def any_server(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """Each PostgreSQL, one after the other. The first is the run's own server."""
    if request.param == "first found":
        yield request.getfixturevalue("server")
        return
    with started(bin_of(request.param)) as running:
        yield running


@pytest.fixture
def empty_url(any_server: EmbeddedServer) -> Iterator[str]:
    """A fresh, empty database."""
    with fresh_database(any_server) as url:
        yield url


@pytest.fixture(scope="session")
def any_template(any_server: EmbeddedServer) -> str:
    """The name of the migrated database, which `any_url` copies."""
    return migrated(any_server)


@pytest.fixture
def any_url(any_server: EmbeddedServer, any_template: str) -> Iterator[str]:
    """A fresh database with milepost's schema."""
    with fresh_database(any_server, any_template) as url:
        yield url


@pytest.fixture
async def owner(any_url: str) -> AsyncIterator[Connection]:
    """A connection as the tables' owner."""
    async with await Database.connect_owner(any_url) as connection:
        yield connection


@pytest.fixture
async def any_db(any_url: str, settings: Settings) -> AsyncIterator[Database]:
    """The service's view of a fresh database with milepost's schema."""
    async with await Database.open(any_url, settings) as database:
        yield database
