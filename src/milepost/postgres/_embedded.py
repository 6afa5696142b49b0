"""The embedded server: a PostgreSQL of our own in a data folder, on a Unix socket, with no TCP port.

What it promises:

- `start` answers with a server that takes connections: started, or, where one is already at work on the folder (of
  another process, or left by one that was killed), attached to. Two starters at once make one server.
- Whoever uses the server holds a lock that dies with the process. `stop` stops the server if nobody else uses it, and
  otherwise leaves it to the others: the last one out stops it. `stop` is complete when it returns, and safe twice.
- kill -9 of anything is safe: PostgreSQL recovers at the next start, a half-made data folder is made anew.

The server is a direct child (`pg_ctl start` fails after kill -9), is polled by connecting, and is stopped with
SIGINT, which lets no session finish but loses nothing. How it fails: `DatabaseUnavailable` with the end of the
server's log.

All is synchronous, since it happens before and after the event loop.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType

import psycopg
import structlog
from psycopg import sql

from milepost.errors import DatabaseUnavailable
from milepost.postgres._binaries import Identity, ends_with_us, start
from milepost.postgres._data_folder import PORT, make_data, make_socket_dir, own, programs, socket_file, url_of
from milepost.postgres._errors import translated
from milepost.postgres._postmaster import Postmaster, SharedLock, disarm, end_leftovers, exclusive, find_postmaster
from milepost.postgres._tuning import server_settings

__all__ = ["EmbeddedServer"]

log = structlog.get_logger(__name__)

STOP_S = 60.0
STOP_AT_ONCE_S = 10.0
LEFTOVER_BACKENDS_S = 10.0  # how long backends of a killed server may keep its shared memory
CONNECT_S = 5
POLL_S = 0.05


class EmbeddedServer:
    """A running PostgreSQL server in `data_dir/postgres`; made by `start`, ended by `stop` or by leaving its `with`."""

    def __init__(
        self, data_dir: Path, *, bin_dir: Path | None, settings: Mapping[str, str], durable: bool, timeout_s: float
    ) -> None:
        self._folder = data_dir.resolve() / "postgres"
        self._data = self._folder / "data"
        self._log_file = self._folder / "server.log"
        self._bin_dir = bin_dir
        self._settings = settings
        self._durable = durable
        self._timeout_s = timeout_s
        self._users: SharedLock | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._postmaster: Postmaster | None = None

    @classmethod
    def start(
        cls,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        durable: bool = True,
        bin_dir: Path | None = None,
        timeout_s: float = 300.0,
    ) -> EmbeddedServer:
        """Starts the server of `data_dir`, or attaches to it.

        `settings` are PostgreSQL's own and go before ours; they and `durable` mean nothing to a server that already
        runs. `durable=False` is for tests: a crash of the machine loses the data, and the server ends with the thread
        that started it. `timeout_s` bounds the whole, recovery after a crash included.
        """
        server = cls(data_dir, bin_dir=bin_dir, settings=dict(settings or {}), durable=durable, timeout_s=timeout_s)
        server._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with server._alone():
            users = SharedLock(server._folder / "users.lock")
            try:
                server._attach_or_launch(users)
            except BaseException:
                users.release()
                raise
            server._users = users
        return server

    def url(self, dbname: str = "postgres") -> str:
        """A libpq URL of this server's owner (a superuser) for a database."""
        return url_of(self._running().socket_dir, dbname)

    @property
    def pid(self) -> int:
        """The server's process id; another one after `revive`."""
        return self._running().pid

    @property
    def log_file(self) -> Path:
        return self._log_file

    def revive(self) -> bool:
        """Starts the server again if it has died, at the same address. Whether that was necessary."""
        users = self._users
        if users is None:
            raise DatabaseUnavailable("This embedded server was stopped.")
        with self._alone():
            before = self._running().pid
            self._attach_or_launch(users)
            return self.pid != before

    def stop(self) -> None:
        """Stops the server, or, if other processes use it, only lets go of it. Safe twice."""
        if self._users is None:
            return
        with self._alone():
            users, self._users = self._users, None
            users.release()
            if users.others():
                self._forget_child()
                return
            self._shut_down()

    def ensure_database(self, name: str) -> str:
        """The URL of database `name`, which is made if it is not there."""
        with translated(), self._connect() as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
                # Another process may make it in between.
                with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def count_statements(self, name: str) -> None:
        """Which statements take the time in a database is counted from now on, where this server can."""
        with translated(), psycopg.connect(self.url(name), autocommit=True, connect_timeout=CONNECT_S) as connection:
            row = connection.execute("SHOW shared_preload_libraries").fetchone()
            if row is not None and "pg_stat_statements" in row[0]:
                # Another process may make it in between.
                with suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                    connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")

    def clone_database(self, template: str, name: str) -> str:
        """The URL of the new database `name`, a copy of `template`, to which nobody may be connected."""
        with translated(), self._connect() as connection:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drops a database, with whoever is connected to it. Nothing happens if there is none."""
        with translated(), self._connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # ── Starting ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _attach_or_launch(self, users: SharedLock) -> None:
        deadline = time.monotonic() + self._timeout_s
        found = find_postmaster(self._data)
        if found is not None and not socket_file(found.socket_dir).exists() and found.status == "ready":
            # Something cleaned the temporary folder: the server lives, and can never be reached again.
            if users.others():
                raise DatabaseUnavailable(
                    f"The PostgreSQL of {self._data} (process {found.pid}) has lost its socket in {found.socket_dir}, "
                    "and other processes use it: stop them, and it is started anew."
                )
            self._postmaster = found
            self._shut_down()
            found = None
        if found is not None and self._answers(found, deadline):
            self._postmaster = found
            log.info("embedded PostgreSQL attached", pid=found.pid, data=str(self._data))
            return
        self._launch(deadline)

    def _answers(self, found: Postmaster, deadline: float) -> bool:
        """Waits until it takes connections; False if it has ended instead (it was just being stopped)."""
        while True:
            try:
                _connect(found.socket_dir).close()
                return True
            except psycopg.OperationalError as error:
                if not found.alive():
                    return False
                if time.monotonic() > deadline:
                    raise DatabaseUnavailable(
                        f"The PostgreSQL of {self._data} (process {found.pid}) takes no connections: {error}"
                    ) from error
                found.wait(POLL_S)

    def _launch(self, deadline: float) -> None:
        who = own(self._data)
        bin_dir = programs(self._data, who, self._bin_dir)
        if not self._data.exists():
            make_data(self._data, bin_dir, who, durable=self._durable, timeout_s=self._timeout_s)
        kept = None if self._postmaster is None else self._postmaster.socket_dir
        socket_dir = make_socket_dir(self._data, who, kept)
        self._reap()
        leftovers_until = time.monotonic() + LEFTOVER_BACKENDS_S
        while True:
            disarm(self._data)
            said = self._run(bin_dir, who, socket_dir, deadline)
            if said is None:
                break
            if "shared memory block" not in said or time.monotonic() > leftovers_until:
                shutil.rmtree(socket_dir, ignore_errors=True)
                raise DatabaseUnavailable(f"PostgreSQL does not start. Its log ({self._log_file}) ends:\n{said}")
            end_leftovers(self._data)
            time.sleep(POLL_S)
        self._postmaster = find_postmaster(self._data)
        assert self._postmaster is not None, "it took a connection"
        log.info("embedded PostgreSQL started", pid=self._postmaster.pid, data=str(self._data), bin=str(bin_dir))

    def _run(self, bin_dir: Path, who: Identity, socket_dir: Path, deadline: float) -> str | None:
        """Starts `postgres` and waits until it takes connections. If it ends instead: the end of its log."""
        settings = server_settings(bin_dir, durable=self._durable) | {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(socket_dir),
            "unix_socket_permissions": "0700",
            **self._settings,
        }
        words: list[str | Path] = [bin_dir / "postgres", "-D", self._data]
        if not self._durable:
            words = [*ends_with_us(), *words]
        for name, value in settings.items():
            words += ["-c", f"{name}={value}"]
        with self._log_file.open("ab") as output:
            log_from = output.tell()
            child = start(words, who, stdout=output.fileno())
        while True:
            if child.poll() is not None:
                with self._log_file.open("rb") as written:
                    written.seek(log_from)
                    return written.read()[-2000:].decode(errors="replace")
            try:
                _connect(socket_dir).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    child.send_signal(signal.SIGQUIT)
                    child.wait(STOP_AT_ONCE_S)
                    raise DatabaseUnavailable(
                        f"PostgreSQL took no connections within {self._timeout_s:g} s: {error}"
                    ) from error
                try:
                    child.wait(POLL_S)
                except subprocess.TimeoutExpired:
                    continue
            else:
                self._child = child
                return None

    # ── Stopping ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _shut_down(self) -> None:
        found = find_postmaster(self._data)
        if found is not None:
            self._signal(found, signal.SIGINT)
            if not self._ended(found, STOP_S):
                log.warning("embedded PostgreSQL does not stop: stopping it at once", pid=found.pid)
                self._signal(found, signal.SIGQUIT)
                if not self._ended(found, STOP_AT_ONCE_S):
                    raise DatabaseUnavailable(f"PostgreSQL (process {found.pid}) does not stop.")
            log.info("embedded PostgreSQL stopped", pid=found.pid)
        self._reap()
        if self._postmaster is not None:
            shutil.rmtree(self._postmaster.socket_dir, ignore_errors=True)

    def _signal(self, found: Postmaster, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it may end by itself in between, which is what is wanted
            os.kill(found.pid, number)

    def _ended(self, found: Postmaster, timeout_s: float) -> bool:
        if self._child is None or self._child.pid != found.pid:
            return found.wait(timeout_s)
        try:
            self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _reap(self) -> None:
        """Waits for a child that is no longer at work on the folder, so that no zombie stays."""
        if self._child is not None:
            self._child.wait(STOP_AT_ONCE_S)
            self._child = None

    def _forget_child(self) -> None:
        if self._child is not None:
            # It is meant to outlive us; without this, Popen complains of a child nobody waited for.
            self._child.returncode = 0
            self._child = None

    # ── Small parts ────────────────────────────────────────────────────────────────────────────────────────────────

    def _alone(self) -> AbstractContextManager[None]:
        return exclusive(self._folder / "start.lock", self._timeout_s)

    def _running(self) -> Postmaster:
        assert self._postmaster is not None, "made by start()"
        return self._postmaster

    def _connect(self) -> psycopg.Connection:
        return _connect(self._running().socket_dir)


def _connect(socket_dir: Path) -> psycopg.Connection:
    return psycopg.connect(url_of(socket_dir, "postgres"), autocommit=True, connect_timeout=CONNECT_S)
