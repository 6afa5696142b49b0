"""`command`: runs a command line in this process, on a fresh database with milepost's schema; an `Answer` is what came of it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from milepost.cli import run

__all__ = ["Answer", "Command", "command", "run_here"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        return json.loads(self.out)


Command = Callable[..., Answer]


def run_here(words: Sequence[str]) -> int:
    """The exit code. A program configures logs once, for good; a test runs many, each with a stderr of its own."""
    handlers = logging.getLogger().handlers[:]
    try:
        return run(words)
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers[:] = handlers


@pytest.fixture
def command(template_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """`command("tenant", "create", "acme")`; its settings are the fresh database and a data folder of the test's."""
    for name in [name for name in os.environ if name.startswith("MILEPOST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MILEPOST_DATABASE_URL", template_url)
    monkeypatch.setenv("MILEPOST_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def answered(*words: object) -> Answer:
        capfd.readouterr()
        code = run_here([str(word) for word in words])
        said = capfd.readouterr()
        return Answer(code=code, out=said.out, err=said.err)

    return answered
