"""The keys of a rollup, latest or pairs table: from the words a reader uses to the columns they are stored in, and
back.

A reader says `group=team-3`, `actor=user-17`, `object=workout/w-55`, `verb=run`, `data.device=fenix`; the columns
hold numbers of groups and actors, two texts for an object, and every data field as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any

from milepost.access.actors import actor_ids
from milepost.access.groups import group_ids
from milepost.errors import FieldError, InvalidInput
from milepost.model import Field, Model
from milepost.postgres import Connection
from milepost.storage.activities import rfc3339

__all__ = ["Keys", "find_keys", "show_keys", "shown_columns"]

# What a key is in a query over the alias `t`, `g` being its group and `a` its actor.
_SHOWN = {"group": ("g.external_id",), "actor": ("a.external_id",), "object": ("t.object_kind", "t.object_id")}
_STORED = {"group": ("group_id",), "actor": ("actor_id",), "object": ("object_kind", "object_id")}


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What was asked for, as conditions on `t`. known: False where a group or actor does not exist: nothing can match."""

    conditions: tuple[str, ...]
    parameters: Mapping[str, Any]
    known: bool


def columns_of_key(key: str) -> tuple[str, ...]:
    return _STORED.get(key) or (f"d_{key[5:]}" if key.startswith("data.") else key,)


def shown_columns(by: Sequence[str]) -> list[str]:
    """The expressions that `show_keys` wants, in order."""
    return [expression for key in by if key != "tenant" for expression in _SHOWN.get(key) or (f"t.{columns_of_key(key)[0]}",)]


async def find_keys(conn: Connection, tenant_id: int, model: Model, by: Sequence[str], asked: Mapping[str, str]) -> Keys:
    """asked: key → text. Raises `InvalidInput` for a key that this table does not have, or a value that it cannot have."""
    for name in asked:
        if name not in by:
            near = get_close_matches(name, by, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise _fault(name, f"is not a key here: they are {', '.join(key for key in by if key != 'tenant')}{hint}")
    conditions: list[str] = []
    parameters: dict[str, Any] = {}
    known = True
    for name, text in asked.items():
        values: tuple[Any, ...]
        match name:
            case "group":
                values = ((await group_ids(conn, tenant_id, [text])).get(text),)
            case "actor":
                values = ((await actor_ids(conn, tenant_id, [text])).get(text),)
            case "object":
                values = object_of(text)
            case _:
                values = (stored_text(model.fields()[name[5:]], text) if name.startswith("data.") else text,)
        known = known and None not in values
        for column, value in zip(columns_of_key(name), values, strict=True):
            conditions.append(f"t.{column} = %({column})s")
            parameters[column] = value
    return Keys(conditions=tuple(conditions), parameters=parameters, known=known)


def show_keys(model: Model, by: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    """values: of `shown_columns`. An activity without the field is under null."""
    shown: dict[str, Any] = {}
    at = 0
    for key in by:
        if key == "tenant":
            continue
        if key == "object":
            shown[key] = {"kind": values[at], "id": values[at + 1]}
            at += 2
            continue
        value = values[at]
        shown[key] = shown_value(model.fields()[key[5:]], value) if key.startswith("data.") else value
        at += 1
    return shown


def object_of(text: str) -> tuple[str, str]:
    kind, slash, identity = text.partition("/")
    if not (kind and slash and identity):
        raise _fault("object", "must be KIND/ID, such as workout/w-55")
    return kind, identity


def stored_text(declared: Field, text: str) -> str:
    """A data field's value as PostgreSQL writes it as text, from how it is written in a query."""
    try:
        match declared.type:
            case "integer":
                return str(int(text))
            case "decimal":
                return f"{Decimal(text):.{declared.scale}f}"
            case "boolean":
                return {"true": "true", "1": "true", "false": "false", "0": "false"}[text]
            case "time":
                moment = datetime.fromisoformat(text).astimezone(UTC)
                fraction = f".{moment.microsecond:06}".rstrip("0") if moment.microsecond else ""
                return f"{moment:%Y-%m-%d %H:%M:%S}{fraction}+00"
            case "text":
                return text
    except (ValueError, KeyError, InvalidOperation, OverflowError) as error:
        raise _fault(f"data.{declared.name}", f"{text!r} is not of the type {declared.type}") from error


def shown_value(declared: Field, text: str) -> Any:
    if text == "":
        return None
    match declared.type:
        case "integer":
            return int(text)
        case "decimal":
            return Decimal(text)
        case "boolean":
            return text == "true"
        case "time":
            return rfc3339(datetime.fromisoformat(text))
        case "text":
            return text


def _fault(name: str, detail: str) -> InvalidInput:
    return InvalidInput(errors=(FieldError(f"/{name}", detail),))
