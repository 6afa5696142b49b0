"""Which database a command works on: a URL's, or the data folder's own, whose server it starts and stops."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from milepost.cli import _database
from milepost.errors import DatabaseUnavailable
from milepost.postgres import EmbeddedServer
from milepost.settings import Settings

if TYPE_CHECKING:
    from fix_cli import Command

pytest_plugins = ["fix_cli"]


@pytest.fixture
def embedded(command: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Commands that have a data folder and no URL."""
    monkeypatch.delenv("MILEPOST_DATABASE_URL")
    return command


def test_the_server_of_the_data_folder(embedded: Command, tmp_path: Path) -> None:
    """Without a URL the folder's server is started for the command, and stopped after it; a running one is shared."""
    answer = embedded("tenant", "list")
    assert answer.code == 3
    assert "run `milepost db migrate`" in answer.err
    pid_file = tmp_path / "data" / "postgres" / "data" / "postmaster.pid"
    assert not pid_file.exists()
    with EmbeddedServer.start(tmp_path / "data") as server:
        assert embedded("db", "migrate").code == 0
        assert embedded("tenant", "create", "acme").code == 0
        assert pid_file.read_text().startswith(str(server.pid))
    assert not pid_file.exists()
    assert (tmp_path / "data" / "database").read_text() == "milepost\n"


def test_the_folder_is_for_the_demo_that_ran_last(tmp_path: Path) -> None:
    """Until it has a database of its own; a demo's can still be named."""

    def chosen(system: str | None, remember: bool = False) -> str:
        return _database._chosen(Settings(data_dir=tmp_path), system, remember=remember)

    assert chosen("fitness", remember=True) == "milepost_fitness"
    assert chosen("audit", remember=True) == "milepost_audit"
    assert chosen(None) == "milepost_audit"
    assert chosen("fitness") == "milepost_fitness"
    assert chosen(None) == "milepost_audit"
    (tmp_path / "database").unlink()
    assert chosen(None) == "milepost"
    assert chosen("fitness", remember=True) == "milepost_fitness"
    assert chosen(None) == "milepost"


def test_an_unknown_system(embedded: Command) -> None:
    """Is wrong use."""
    answer = embedded("verify", "--system", "golf")
    assert answer.code == 2
    assert "fitness" in answer.err


def test_a_system_and_a_url(command: Command) -> None:
    """Name two databases: that is wrong use."""
    answer = command("verify", "--system", "fitness")
    assert answer.code == 2
    assert "give one" in answer.err


class Fake:
    """A server whose process is another one's, and which counts how often it was started again."""

    def __init__(self, pids: Iterator[int]) -> None:
        self._pids = pids
        self.pid = next(pids)
        self.tries = 0
        self.revived = threading.Event()

    def revive(self) -> bool:
        self.tries += 1
        if self.tries == 1:
            raise DatabaseUnavailable("the disk is full")
        self.pid = next(self._pids)
        self.revived.set()
        return True


def test_a_server_that_dies_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a command serves; also when the first attempt fails. One that lives is left alone."""
    monkeypatch.setattr(_database, "LOOK_S", 0.001)
    waiting = [sys.executable, "-c", "input()"]
    with (
        subprocess.Popen(waiting, stdin=subprocess.PIPE) as first,
        subprocess.Popen(waiting, stdin=subprocess.PIPE) as second,
    ):
        fake = Fake(iter((first.pid, second.pid)))
        with _database._guarded(fake):  # type: ignore[arg-type]
            first.kill()
            assert fake.revived.wait(30)
        assert fake.tries == 2
        second.kill()
