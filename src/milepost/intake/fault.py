"""Faults: why something could not be loaded, as a class of error, a sentence and facts.

The class decides what is done about it. `data`, `constraint`, `limit` and `payload` are of the rows themselves: the same rows
will fail again, so they are looked for at once. The others may pass (a migration is under way, a deadlock), so the load is tried
again after a while, and only then are they looked for. `schema` concerns every row alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from milepost.errors import InvalidInput, MilepostError

__all__ = ["ERROR_CLASSES", "Fault", "fault_of"]

# What each means, for people; also the values of the metric's label.
ERROR_CLASSES = {
    "constraint": "a constraint of the tables refuses it",
    "data": "PostgreSQL cannot hold a value, or compute with it",
    "limit": "something in it is larger than PostgreSQL allows",
    "payload": "it cannot be read",
    "schema": "the tables do not fit it",
    "model": "the current model does not allow it",
    "mapping": "it could not be made into an activity",
    "parked": "its activity did not come in time",
    "other": "anything else; the error says what",
}
_OF_ROWS = frozenset({"constraint", "data", "limit", "payload"})
_BY_SQLSTATE = {"22": "data", "23": "constraint", "54": "limit", "42": "schema", "3F": "schema", "0A": "schema"}
_FACTS = ("sqlstate", "constraint", "table", "column", "detail", "hint")
# What jsonb and text cannot hold: an error's text may quote what was sent.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_CHARACTERS_MAX = 2_000


@dataclass(frozen=True, kw_only=True)
class Fault:
    """facts: what PostgreSQL named (sqlstate, constraint, table, column, detail), or `errors`, the fields at fault."""

    error_class: str
    error: str
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.error_class in ERROR_CLASSES, self.error_class

    @property
    def of_rows(self) -> bool:
        """Whether the same rows will fail again, whenever they are loaded."""
        return self.error_class in _OF_ROWS

    @property
    def of_all(self) -> bool:
        """Whether it may well hold for every row of the batch."""
        return self.error_class not in _OF_ROWS


def fault_of(error: Exception) -> Fault:
    """The fault that an error of a load tells of."""
    if isinstance(error, InvalidInput):
        errors = [{"pointer": one.pointer, "detail": storable(one.detail)} for one in error.errors]
        return Fault(error_class="model", error=storable(str(error)), facts={"errors": errors} if errors else {})
    if not isinstance(error, MilepostError):
        # Not PostgreSQL's: the payload is not what its header says. (Our own mistakes land here as well, and are shown.)
        return Fault(error_class="payload", error=storable(f"{type(error).__name__}: {error}"))
    state = str(error.facts.get("sqlstate", ""))
    facts = {name: storable(str(error.facts[name])) for name in _FACTS if error.facts.get(name)}
    return Fault(error_class=_BY_SQLSTATE.get(state[:2], "other"), error=storable(str(error)), facts=facts)


def storable(text: str) -> str:
    """The text as PostgreSQL can keep it, and no longer than anyone reads."""
    clean = _UNSTORABLE.sub("�", text)
    return clean if len(clean) <= _CHARACTERS_MAX else clean[:_CHARACTERS_MAX] + " …"
