"""What a demo remembers in the data folder: its key, of which the database keeps only a hash, and how much of the sample is
loaded.

One file for each system, readable by its owner alone, replaced as a whole. It belongs to one database: for another one,
nothing of it holds.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import msgspec

from milepost.errors import MilepostError

__all__ = ["State", "StateFile"]


class State(msgspec.Struct, kw_only=True):
    """anchor, size: of the sample, which stays as it was begun. commands, activities: how many of it are loaded."""

    database: str
    key: str
    anchor: datetime
    size: int
    commands: int = 0
    activities: int = 0


class StateFile:
    def __init__(self, data_dir: Path, system: str) -> None:
        self.path = data_dir / "demo" / f"{system}.json"

    def load(self, database: str) -> State | None:
        """What is remembered of this database. Raises `MilepostError` for a file that is damaged."""
        try:
            state = msgspec.json.decode(self.path.read_bytes(), type=State)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise MilepostError(f"{self.path} is damaged ({error}): remove it; the demo goes on without it.") from error
        return state if state.database == database else None

    def save(self, state: State) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_suffix(".new")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(state))
        aside.replace(self.path)
