"""What a feed or list is asked for, and how that is looked up.

One filter leads: the index that serves it is read backwards from the cursor, and what is found is tested against the
others. The most selective one leads: object, actor, group, a declared data field, then verb, source and status where
the model has an index for them; else the tenant's activities are read in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, Literal, LiteralString

from milepost.activity import microseconds
from milepost.errors import FieldError, InvalidInput
from milepost.model import Field, Model

__all__ = ["ADDRESSED", "Filter", "Lookup", "lookup"]

ADDRESSED: LiteralString = "(s.group_id = %(group_id)s OR s.more_groups @> ARRAY[%(group_id)s]::bigint[])"  # to the group
UNITS_MAX = 2**63 - 1
TRUE, FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})


@dataclass(frozen=True, kw_only=True)
class Filter:
    """All parts must hold. `object`: its kind and id. `since` is inclusive, `until` is not. `data`: declared field → text."""

    actor: str | None = None
    group: str | None = None
    object: tuple[str, str] | None = None
    verb: str | None = None
    source: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    data: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """How a filter is looked up.

    `lead` is the condition that an index serves; `kind` says what that index is: by audience and then id (of the activity
    table alone, or of a group, whose stream rows are read too), or by id alone. `rest` are the conditions tested on what it
    finds; `tests` are all of them, as they are tested on a row that something else has found. Conditions are on the alias `s`, with
    the named `parameters`.
    """

    kind: Literal["group", "audience", "id"]
    lead: str
    rest: tuple[str, ...]
    tests: tuple[str, ...]
    parameters: Mapping[str, Any]


def lookup(filter: Filter, model: Model, *, actor_id: int | None, group_id: int | None) -> Lookup:
    """actor_id, group_id: the numbers of the actor and group that the filter names. Raises `InvalidInput`."""
    parameters: dict[str, Any] = {}
    conditions: list[tuple[str, Literal["group", "audience", "id"], str]] = []  # name, kind, condition; most selective first
    if filter.object is not None:
        parameters |= {"object_kind": filter.object[0], "object_id": filter.object[1]}
        conditions.append(("object", "audience", "s.object_kind = %(object_kind)s AND s.object_id = %(object_id)s"))
    if filter.actor is not None:
        parameters["actor_id"] = actor_id
        conditions.append(("actor", "audience", "s.actor_id = %(actor_id)s"))
    if filter.group is not None:
        parameters["group_id"] = group_id
        conditions.append(("group", "group", "s.group_id = %(group_id)s"))
    for name, text in sorted((filter.data or {}).items()):
        parameters[f"d_{name}"] = stored(_declared(model, name), text)
        conditions.append((name, "id", f"s.d_{name} = %(d_{name})s"))
    unindexed: list[tuple[str, Literal["group", "audience", "id"], str]] = []
    for name in ("source", "status", "verb"):
        value = getattr(filter, name)
        if value is not None:
            parameters[name] = value
            # Said again for the planner: the indexes of source and status leave out the empty ones.
            condition = f"s.{name} = %({name})s" + ("" if name == "verb" else f" AND s.{name} <> ''")
            (conditions if name in model.filters else unindexed).append((name, "id", condition))
    first, *others = conditions or [("tenant", "id", "true")]
    rest = tuple(_tested(kind, condition) for _, kind, condition in (*others, *unindexed))
    tests = (*((_tested(*first[1:]),) if conditions else ()), *rest)
    return Lookup(kind=first[1], lead=first[2], rest=rest, tests=tests, parameters=parameters)


def _tested(kind: str, condition: str) -> str:
    """Only as the leading filter is a group's stream read; otherwise the row itself says which groups it is addressed to."""
    return ADDRESSED if kind == "group" else condition


def stored(declared: Field, text: str) -> Any:
    """A data field's value as its column holds it, from how it is written in a query. Raises `InvalidInput`."""
    match declared.type:
        case "text":
            return text
        case "boolean" if text in TRUE | FALSE:
            return text in TRUE
        case "integer" | "decimal":
            try:
                units = Decimal(text).scaleb(declared.scale if declared.type == "decimal" else 0)
            except InvalidOperation:
                units = Decimal("NaN")
            if units.is_finite() and abs(units) <= UNITS_MAX and units == int(units):
                return int(units)
        case "time":
            try:
                moment = datetime.fromisoformat(text)
                if moment.tzinfo is not None:
                    microseconds(moment)
                    return moment
            except (ValueError, OverflowError):
                pass
    kind = f"decimal({declared.scale})" if declared.type == "decimal" else declared.type
    raise InvalidInput(errors=(FieldError(f"/data.{declared.name}", f"{text!r} is not of the type {kind}"),))


def _declared(model: Model, name: str) -> Field:
    fields = {key: declared for key, declared in model.fields().items() if declared.filter}
    if name in fields:
        return fields[name]
    near = get_close_matches(name, fields, n=1)
    hint = f"; did you mean data.{near[0]}?" if near else ""
    detail = f"the model does not declare {name!r} as a filter (`filter = true`){hint}"
    raise InvalidInput(errors=(FieldError(f"/data.{name}", detail),))
