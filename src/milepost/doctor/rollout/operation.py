"""What an operation is: four acts, each of which can be killed anywhere and done again.

- `validate` refuses what cannot be done, before anything is touched.
- `start` does all that can be taken back: the application sees the change, what it replaces is still there.
- `complete` takes away what is no longer needed. After it, some operations cannot be taken back; they say so.
- `roll_back` leaves the database as it was found, from wherever the operation is.

Each act asks the catalogue what is there and does what is missing; the journal's memory says what is ours.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from milepost.doctor.rollout.journal import OperationState
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict, InvalidInput

__all__ = ["Operation"]


class Operation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Its fields are the file's. kind: the word for it in files. locks: what it takes at worst on tables in use, for people."""

    kind: ClassVar[str]
    locks: ClassVar[str]
    final: ClassVar[str] = ""  # why it cannot be taken back once it is completing; empty if it can

    @property
    def adds(self) -> tuple[str, str] | None:
        """(table, column) of a column that later operations of its file may name."""
        return None

    def check(self, where: str) -> None:
        """Raises `InvalidInput` for fields that do not go together; needs no database."""

    def describe(self) -> str:
        """One line for a person: what, on what."""
        raise NotImplementedError

    async def validate(self, work: Work) -> None:
        raise NotImplementedError

    async def start(self, work: Work) -> None:
        raise NotImplementedError

    async def complete(self, work: Work) -> None:
        """Most have nothing left to do."""

    async def roll_back(self, work: Work) -> None:
        raise NotImplementedError

    def check_reversible(self, state: OperationState) -> None:
        """Raises `Conflict` if what was done can no longer be taken back. state: of this operation in the journal."""
        if state in ("completing", "completed") and self.final:
            raise Conflict(f"{self.describe()}: {self.final}")

    @staticmethod
    def refuse(where: str, why: str) -> InvalidInput:
        return InvalidInput(f"{where}: {why}")
