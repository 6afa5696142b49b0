"""Where the doctor keeps its history, as an option."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from milepost.doctor.history import FileHistory, History, SchemaHistory
from milepost.settings import Settings

__all__ = ["history_of", "history_option"]

F = TypeVar("F", bound=Callable[..., Any])

IN_DATABASE = "database"
FILE = "doctor.sqlite"


def history_option(function: F) -> F:
    return click.option(
        "--history",
        metavar="FILE",
        help=f"Where looks are kept: a file, or the word {IN_DATABASE} for the schema milepost_doctor of the database itself. "
        f"Default: {FILE} in the data folder.",
    )(function)


def history_of(settings: Settings, named: str | None) -> History:
    if named == IN_DATABASE:
        return SchemaHistory()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    return FileHistory(Path(named) if named is not None else settings.data_dir / FILE)
