"""What changed in a row: for each declared field its value before and after, fit for an activity's `data`.

Values are plain: texts are bounded, decimals, times and UUIDs are texts, files are their names, bytes only their number. A field whose
name says that it is a secret, or that was named in `mask`, shows that it changed and not what it holds; so do such keys inside JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Field, Model
from django.db.models.fields.files import FieldFile
from django.utils.duration import duration_iso_string

from milepost.integrations._text import MASK, is_secret, text

__all__ = ["MASK", "Values", "difference", "held", "is_secret", "plain", "stored", "whole"]

Values = Mapping[str, Any]
"""By field names: what the row holds, or is about to hold."""

TEXT_MAX = 1_000  # characters
_ITEMS_MAX = 100  # of a list or mapping in a JSON or array field
_DEPTH_MAX = 6


def stored(model: type[Model], pk: Any, fields: Iterable[Field], using: str) -> dict[str, Any] | None:
    """What the database holds of a row now; None if there is none."""
    names = {field.name: field.attname for field in fields}
    row = model._base_manager.using(using).filter(pk=pk).order_by().values(*names.values()).first()
    return None if row is None else {name: row[attname] for name, attname in names.items()}


def held(instance: Model, fields: Iterable[Field]) -> dict[str, Any]:
    """What an instance holds, as the types of its fields have it: a form's text for a number is that number."""
    values = {}
    for field in fields:
        value = getattr(instance, field.attname)
        if not hasattr(value, "resolve_expression") and not isinstance(value, FieldFile):
            with suppress(ValidationError):  # the database took it, so it stands as it was given
                value = field.to_python(value)
        values[field.name] = value
    return values


def difference(before: Values, after: Values, masked: frozenset[str]) -> dict[str, dict[str, Any]]:
    """`{"status": {"before": "new", "after": "paid"}}`: of the fields that are not the same."""
    changes = {}
    for name, new in after.items():
        old = before.get(name)
        if old != new and (shown := (plain(old), plain(new))) != (shown[1], shown[1]):
            hidden = name in masked or is_secret(name)
            changes[name] = {"before": MASK, "after": MASK} if hidden else {"before": shown[0], "after": shown[1]}
    return changes


def whole(values: Values, side: str, masked: frozenset[str]) -> dict[str, dict[str, Any]]:
    """All of a row that was made (side: `after`) or deleted (`before`), without what is empty."""
    return {
        name: {side: MASK if name in masked or is_secret(name) else plain(value)}
        for name, value in values.items()
        if value is not None and value != ""
    }


def plain(value: Any, depth: int = 0) -> Any:
    """JSON's form of a value."""
    match value:
        case None | bool() | int():
            return value
        case str():
            return text(str(value), TEXT_MAX)
        case float():
            return value if math.isfinite(value) else str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return duration_iso_string(value)
        case Decimal():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return f"{len(bytes(value))} bytes"
        case FieldFile():
            return value.name
        case Mapping() | list() | tuple() | set() | frozenset() if depth == _DEPTH_MAX:
            return "…"
        case Mapping():
            items = list(value.items())[:_ITEMS_MAX]
            return {str(key): MASK if is_secret(str(key)) else plain(one, depth + 1) for key, one in items}
        case list() | tuple() | set() | frozenset():
            return [plain(one, depth + 1) for one in list(value)[:_ITEMS_MAX]]
        case _:
            return text(str(value), TEXT_MAX)
