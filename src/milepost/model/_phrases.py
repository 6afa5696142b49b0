"""The small languages inside a model's texts: types, values, durations, sizes and names.

    decimal(2)      sum(distance_m)      weighted_avg(score, weight)      share(score >= 40)      13 months
    4 KiB

Each function reads one text and answers with a checked value, or raises `Unreadable` with a sentence for
whoever wrote it. What a text refers to (is there such a measure?) is not known here: see `_check`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, get_args

from milepost.model._problems import nearest_word, quoted
from milepost.model._types import FieldType, Value, ValueFunction

__all__ = [
    "SCALE_MAX",
    "Unreadable",
    "duration_days",
    "is_name",
    "number_of_units",
    "read_duration",
    "read_media_type",
    "read_size",
    "read_type",
    "read_value",
    "type_text",
]

SCALE_MAX: Final = 6  # decimal places; 10**6 units still leave 9e12 in a bigint
_BIGINT_MAX: Final = 2**63 - 1
_DIGITS_MAX: Final = 26  # a bigint's 19 and some places; decimal arithmetic is exact to 28

_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
_DECIMAL = re.compile(r"decimal *\( *([0-9]{1,3}) *\)")
_CALL = re.compile(r"([A-Za-z_]+)\s*(?:\((.*)\))?", re.DOTALL)
_REFERENCE = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)?")
_RULE = re.compile(r"(\S+?)\s*(<=|>=|<|=|>)\s*(-?[0-9]{1,19}(?:\.[0-9]{1,19})?)")
_DURATION = re.compile(r"([0-9]{1,4})\s*([A-Za-z]+)")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/(\*|[a-z0-9][a-z0-9!#$&^_.+-]{0,126})", re.ASCII)
_MEDIA_FAMILIES = ("application", "audio", "font", "image", "model", "text", "video")
_SIZE = re.compile(r"([0-9]{1,9})\s*([A-Za-z]+)")

_TYPES = ("text", "integer", "decimal(2)", "boolean", "time")
_TYPE_MEANT = {
    "string": "text", "str": "text", "int": "integer", "bigint": "integer", "bool": "boolean",
    "decimal": "decimal(2)", "float": "decimal(2)", "number": "decimal(2)", "numeric": "decimal(2)",
    "timestamp": "time", "timestamptz": "time", "datetime": "time", "date": "time",
}  # fmt: skip
_FUNCTIONS: Final[tuple[ValueFunction, ...]] = get_args(ValueFunction)
_ARGUMENTS = {
    "count": (), "first_at": (), "last_at": (), "weighted_avg": ("measure", "weight"), "distinct": ("actor",)
}  # fmt: skip
_DAYS = {"day": 1.0, "week": 7.0, "month": 365.2425 / 12, "year": 365.2425}
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2}


class Unreadable(Exception):
    """The text is not in the language that belongs here."""

    def __init__(self, message: str, nearest: str | None = None) -> None:
        super().__init__(message)
        self.nearest = nearest


def is_name(text: str) -> bool:
    """A name that can stand in a table's or column's name with 15 bytes around it: 63 is PostgreSQL's limit."""
    return _NAME.fullmatch(text) is not None


def read_type(text: str) -> tuple[FieldType, int]:
    """`integer` or `decimal(2)` … as a type and its decimal places."""
    if text in ("text", "integer", "boolean", "time"):
        return text, 0  # type: ignore[return-value]  # mypy does not narrow a str to the literals
    match = _DECIMAL.fullmatch(text)
    if match is None:
        meant = _TYPE_MEANT.get(text.casefold()) or nearest_word(text, _TYPES)
        raise Unreadable(f"{quoted(text)} is not a type: text, integer, decimal(0…6), boolean, time", meant)
    if int(match[1]) > SCALE_MAX:
        raise Unreadable(f"a decimal has 0 to {SCALE_MAX} places, not {match[1]}", f"decimal({SCALE_MAX})")
    return "decimal", int(match[1])


def type_text(type_: FieldType, scale: int) -> str:
    """A type as a model writes it."""
    return f"decimal({scale})" if type_ == "decimal" else type_


def read_value(text: str) -> Value:
    """A value such as `sum(distance_m)`; its `text` is written one way, whatever blanks were used.

    References may be `NAME` or `NAME.NAME`; which of them exist is for the caller to check.
    """
    call = _CALL.fullmatch(text.strip())
    if call is None:
        raise Unreadable(f"{quoted(text)} is not a value: write count, or a function of a measure such as sum(x)")
    function = next((known for known in _FUNCTIONS if known == call[1]), None)
    if function is None:
        near = nearest_word(call[1], _FUNCTIONS)
        raise Unreadable(f"no value is called {quoted(call[1])}: {', '.join(_FUNCTIONS)}", near)
    inside = None if call[2] is None else call[2].strip()
    if function == "share":
        return _share(inside)
    arguments = () if inside is None else tuple(part.strip() for part in inside.split(","))
    expected = _ARGUMENTS.get(function, ("measure",))
    if len(arguments) != len(expected):
        form = f"{function}({', '.join(expected)})" if expected else function
        near = function if not expected else None
        raise Unreadable(f"{quoted(text)} should read {form}", near)
    for argument in arguments:
        _expect_reference(argument)
    written = f"{function}({', '.join(arguments)})" if arguments else function
    return Value(function=function, arguments=arguments, text=written)


def _share(inside: str | None) -> Value:
    rule = _RULE.fullmatch(inside or "")
    if rule is None:
        raise Unreadable("a share should read share(measure >= 40), with one of < <= = >= >")
    measure, comparison, number = rule.groups()
    _expect_reference(measure)
    threshold = f"{Decimal(number):f}"
    if "." in threshold:
        threshold = threshold.rstrip("0").rstrip(".")
    threshold = "0" if threshold == "-0" else threshold
    return Value(
        function="share",
        arguments=(measure,),
        comparison=comparison,
        threshold=threshold,
        text=f"share({measure} {comparison} {threshold})",
    )


def _expect_reference(text: str) -> None:
    if _REFERENCE.fullmatch(text) is None:
        raise Unreadable(f"{quoted(text)} is not a name: write a measure, such as sum(distance_m)")


def number_of_units(number: int | float | str, scale: int) -> int:
    """The number as an integer of `10**-scale` units, which is how a measure is stored; raises when it is not
    one exactly.
    """
    try:
        exact = Decimal(str(number))
        units = exact.scaleb(scale)
    except (ArithmeticError, ValueError):  # of thousands of digits, or none
        raise Unreadable("this is not a number that a measure can hold") from None
    if not exact.is_finite() or len(exact.as_tuple().digits) > _DIGITS_MAX:
        raise Unreadable("this is not a number that a measure can hold")
    if units != units.to_integral_value():
        places = f"{scale} decimal place{'s' if scale != 1 else ''}" if scale else "no decimal places"
        raise Unreadable(f"{number} does not fit: there is room for {places}")
    if abs(units) > _BIGINT_MAX:
        raise Unreadable("the number is too large: a measure is kept in 64 bits")
    return int(units)


def read_duration(text: str) -> str:
    """`13 months`, `1 year` …: days, weeks, months or years, as PostgreSQL reads an interval."""
    match = _DURATION.fullmatch(text.strip())
    unit = match[2].removesuffix("s") if match else ""
    if match is None or unit not in _DAYS:
        near = nearest_word(unit, _DAYS) if match else None
        hint = _plural(int(match[1]), near) if match and near else None
        raise Unreadable(f"{quoted(text)} is not a duration: write one such as 90 days or 13 months", hint)
    if int(match[1]) == 0:
        raise Unreadable("a duration is at least one day")
    return _plural(int(match[1]), unit)


def _plural(number: int, unit: str) -> str:
    return f"{number} {unit}{'s' if number != 1 else ''}"


def duration_days(text: str) -> float:
    """About how many days a duration lasts, to compare two; the text must have been read by
    `read_duration`.
    """
    number, unit = text.split()
    return int(number) * _DAYS[unit.removesuffix("s")]


def read_media_type(text: str) -> str:
    """`application/pdf`, or a whole family as `image/*` (RFC 6838), in small letters and without parameters."""
    if _MEDIA_TYPE.fullmatch(text) is None:
        near = text.casefold().partition(";")[0].strip()
        hint = near if _MEDIA_TYPE.fullmatch(near) else f"{near}/*" if near in _MEDIA_FAMILIES else None
        raise Unreadable(f"{quoted(text)} is not a media type: write one such as application/pdf or image/*", hint)
    return text


def read_size(text: str) -> int:
    """`4 KiB` as bytes; units are B, KiB, MiB."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2] not in _BYTES:
        near = nearest_word(match[2].replace("i", "").replace("B", "iB"), _BYTES) if match else None
        hint = f"{match[1]} {near}" if match and near else None
        raise Unreadable(f"{quoted(text)} is not a size: write one such as 4 KiB (units B, KiB, MiB)", hint)
    return int(match[1]) * _BYTES[match[2]]
