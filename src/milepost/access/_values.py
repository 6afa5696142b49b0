"""What values may be: ids, names, words, times, attributes.

PostgreSQL stores no NUL in text, and in jsonb neither NaN nor half of a surrogate pair.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from decimal import Decimal

__all__ = ["ID_CHARS_MAX", "contains", "is_id", "json_fault", "parse_time", "text_fault", "type_fault"]

ID_CHARS_MAX = 256
TEXT_CHARS_MAX = 10_000
DEPTH_MAX = 16
INTEGER_MAX = 2**63 - 1
NUMBER_MAX = 10**300  # of what no kind declares

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# RFC 3339; the zone is required, because a time without one is nobody's.
TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def text_fault(value: object, chars_max: int = ID_CHARS_MAX) -> str | None:
    """What is wrong with a value that should be an id, a name or a word; None if nothing is."""
    if not isinstance(value, str):
        return "must be text"
    if not 1 <= len(value) <= chars_max:
        return f"must have 1 to {chars_max} characters"
    if CONTROL.search(value):
        return "must have no control characters"
    return encoding_fault(value)


def encoding_fault(value: str) -> str | None:
    """What is wrong with a text as Unicode; None if nothing is."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return "must be valid Unicode: half of a surrogate pair is not"
    return None


def is_id(value: str) -> bool:
    """Whether anything can have this id. What cannot is not found, and need not be looked for."""
    return text_fault(value) is None


def contains(query: str | None) -> str | None:
    """The pattern of ILIKE that finds `query` anywhere in a text."""
    if query is None:
        return None
    return "%" + query.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def json_fault(value: object, depth: int = 1) -> str | None:
    """Why a JSON value cannot be stored; None if it can."""
    if isinstance(value, str):
        if len(value) > TEXT_CHARS_MAX:
            return f"must have at most {TEXT_CHARS_MAX} characters"
        return "must have no NUL" if "\0" in value else encoding_fault(value)
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if -NUMBER_MAX <= value <= NUMBER_MAX else "must be a smaller number"
    if isinstance(value, float | Decimal):
        return None if math.isfinite(value) else "must be a finite number"
    if depth >= DEPTH_MAX:
        return f"must not be nested deeper than {DEPTH_MAX}"
    if isinstance(value, list):
        return next((fault for item in value if (fault := json_fault(item, depth + 1))), None)
    if isinstance(value, dict):
        parts = (part for pair in value.items() for part in pair)
        return next((fault for part in parts if (fault := json_fault(part, depth + 1))), None)
    return "must be a JSON value"


def type_fault(value: object, declared: str) -> str | None:
    """Why a value is not of a declared type: text, boolean, time, integer or decimal(n); None if it is."""
    if declared == "text":
        return None if isinstance(value, str) else "must be text"
    if declared == "boolean":
        return None if isinstance(value, bool) else "must be true or false"
    if declared == "time":
        return None if isinstance(value, str) and parse_time(value) else "must be an RFC 3339 time with a zone"
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return "must be a number"
    number = Decimal(str(value))
    if abs(number) > INTEGER_MAX:
        return f"must lie between -{INTEGER_MAX} and {INTEGER_MAX}"
    places = int(declared[8:-1] or 0) if declared.startswith("decimal(") else 0
    if number != round(number, places):
        return f"must have at most {places} decimal places" if places else "must be an integer"
    return None


def parse_time(value: object) -> datetime | None:
    """The moment that an RFC 3339 text says; None if it says none."""
    if not isinstance(value, str) or not TIME.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        return None
