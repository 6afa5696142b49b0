"""Where an import sends what it read: the interface, which the database serves, and a recording in tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Outcome", "Refused", "Sent", "Sink"]


@dataclass(frozen=True, kw_only=True)
class Refused:
    """One of a batch that is not valid. index: in the batch; pointer: a JSON pointer to the field."""

    index: int
    pointer: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Sent:
    """receipt: of what is durable now; None where nothing was accepted."""

    receipt: int | None
    accepted: int
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What loading came to. refused: of commands, which are only checked as they run. dead: it became a dead
    letter.
    """

    loaded: int = 0
    duplicates: int = 0
    refused: tuple[Refused, ...] = ()
    dead: bool = False


class Sink(Protocol):
    @property
    def identity(self) -> str:
        """Of the database: progress made in one says nothing about another."""

    async def send(self, activities: Sequence[bytes]) -> Sent:
        """Take activities, each one JSON object. Durable on return."""

    async def command(self, commands: Sequence[bytes]) -> int:
        """Take commands in their order, each one JSON object; the receipt. Durable on return."""

    async def wait(self, receipt: int) -> Outcome:
        """Return when the batch is loaded. Raises where it was not and will not be."""
