"""Every error milepost raises on purpose, as one tree.

The docstring of a class is its default message, so that a class says once what it means; facts are fields (`limit`, `key`,
`table`), so that a caller need not parse text. Driver errors are translated in one place, `milepost.postgres`, and keep their
cause.

Raised for a caller's mistake or for a part that is not there; our own mistakes are assertions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Any

__all__ = [
    "Conflict",
    "DatabaseError",
    "DatabaseUnavailable",
    "FieldError",
    "Forbidden",
    "InvalidInput",
    "MilepostError",
    "NotFound",
    "ObjectDamaged",
    "ObjectMissing",
    "PreconditionFailed",
    "QueueFull",
    "QueueUnavailable",
    "SchemaMismatch",
    "SettingsError",
    "StoreUnavailable",
    "Timeout",
    "TooLarge",
    "Unauthorized",
    "unknown_fields",
]


class MilepostError(Exception):
    """Milepost could not do this."""

    def __init__(self, message: str | None = None, **facts: Any) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])
        self.facts = facts

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["facts"][name]
        except KeyError:
            raise AttributeError(name) from None


class FieldError:
    """One field at fault: `pointer` is a JSON pointer (RFC 6901) into what was sent, `detail` a sentence."""

    __slots__ = ("detail", "pointer")

    def __init__(self, pointer: str, detail: str) -> None:
        self.pointer = pointer
        self.detail = detail

    def __repr__(self) -> str:
        return f"FieldError({self.pointer!r}, {self.detail!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldError) and (self.pointer, self.detail) == (other.pointer, other.detail)

    def __hash__(self) -> int:
        return hash((self.pointer, self.detail))


def unknown_fields(given: Iterable[str], known: Collection[str], at: str = "") -> list[FieldError]:
    """What an object has that is not known, each with the nearest that is. at: the object's own pointer."""
    faults = []
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            pointer = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
            faults.append(FieldError(pointer, f"is not known here{hint}"))
    return faults


class InvalidInput(MilepostError):
    """What was sent is not valid."""

    def __init__(self, message: str | None = None, *, errors: tuple[FieldError, ...] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        self.errors = errors


class TooLarge(MilepostError):
    """What was sent is larger than the limit."""


class Unauthorized(MilepostError):
    """The key is missing, wrong or revoked."""


class Forbidden(MilepostError):
    """The key does not allow this."""


class NotFound(MilepostError):
    """There is no such thing here."""


class Conflict(MilepostError):
    """This contradicts what is there."""


class PreconditionFailed(MilepostError):
    """The thing has changed since it was read."""


class Timeout(MilepostError):
    """It did not finish in the time allowed."""


class QueueUnavailable(MilepostError):
    """The queue cannot be written now; trying again may help."""


class QueueFull(MilepostError):
    """The queue is away, and what is kept for it meanwhile is full: nothing was acknowledged."""


class SettingsError(MilepostError):
    """A setting is wrong."""


class SchemaMismatch(MilepostError):
    """The database's schema does not fit this version of milepost."""


class DatabaseError(MilepostError):
    """PostgreSQL refused a statement."""


class DatabaseUnavailable(DatabaseError):
    """PostgreSQL cannot be reached now; trying again may help."""


class StoreUnavailable(MilepostError):
    """The object store does not answer, or refuses us; trying again may help."""


class ObjectMissing(MilepostError):
    """An object that should be there is not in the object store."""


class ObjectDamaged(MilepostError):
    """An object in the object store is not what was written."""
