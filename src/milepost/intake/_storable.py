"""What PostgreSQL refuses although it is JSON: NUL, half of a surrogate pair, numbers of thousands of digits.

A body is scanned at memory speed (`may_be_unstorable`); only where that finds something is an activity read once more, slowly and
exactly (`check_storable`), so that the one at fault is named and its neighbours are accepted.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from milepost.errors import FieldError, InvalidInput

__all__ = ["check_storable", "escape", "may_be_unstorable", "refuse"]

_DIGITS = bytes.maketrans(b"123456789E+-", b"000000000e00")
_RUN = 400  # digits: PostgreSQL's numeric takes some thousands, no honest number has as many
_EXPONENT = b"e000000"  # past what numeric holds: 131,072 digits before the point, 16,383 after it; a sign counts as a digit
_STRIDE = 200  # a run of _RUN digits covers some multiple of half its length, and the half run after it
_ZEROS = b"0" * _STRIDE


def may_be_unstorable(body: bytes) -> bool:
    """May the body hold what jsonb or text refuses: NUL, half a surrogate pair, a number of thousands of digits?

    A few scans at memory speed; what they find is then looked at properly. (A backslash is looked for alone first, and the exponent
    from the right: bytes.find is slow where the pattern's last character is common.)
    """
    if b"\\" in body and (b"\\u0000" in body or b"\\ud" in body or b"\\uD" in body):
        return True
    plain = body.translate(_DIGITS)
    at = plain.rfind(_EXPONENT)
    while at >= 0:
        if _in_number(plain, at):
            return True
        at = plain.rfind(_EXPONENT, 0, at)
    return any(plain[at : at + _STRIDE] == _ZEROS for at in range(0, len(plain), _STRIDE) if plain[at] == 48)


def _in_number(plain: bytes, at: int) -> bool:
    """May the `e` at `at` be a number's exponent? Texts, such as keys in hexadecimal, are full of what looks like one."""
    start = at
    while start and plain[start - 1] in b"0.":
        start -= 1
    return start < at and (start == 0 or plain[start - 1] in b":,[ \t\r\n")


class _Extreme:
    """Stands for a number that PostgreSQL's numeric cannot hold."""


def check_storable(raw: bytes) -> None:
    """Raises InvalidInput with the pointer of what cannot be stored, DecodeError for what is not JSON."""
    _check(_read(raw), "")


def _read(raw: bytes) -> Any:
    """The JSON with its numbers looked at as they are written. Raises like msgspec, on what it cannot read either."""

    def number(text: str) -> float | _Extreme:
        _, _, exponent = text.lower().partition("e")
        return _Extreme() if len(text) >= _RUN or not -9_999 <= int(exponent or 0) <= 99_999 else 0.0

    try:
        return json.loads(raw, parse_float=number, parse_int=number)
    except ValueError as error:
        raise msgspec.DecodeError(str(error)) from error


def _check(value: Any, pointer: str) -> None:
    match value:
        case str():
            if "\0" in value:
                refuse(pointer, "contains the character NUL (\\u0000), which cannot be stored")
            if any("\ud800" <= character <= "\udfff" for character in value):
                refuse(pointer, "contains half of a surrogate pair, which cannot be stored")
        case dict():
            for name, inner in value.items():
                _check(name, pointer)
                _check(inner, f"{pointer}/{escape(name)}")
        case list():
            for index, inner in enumerate(value):
                _check(inner, f"{pointer}/{index}")
        case _Extreme():
            refuse(pointer, "the number is too large or too small to be stored")


def escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def refuse(pointer: str, detail: str) -> None:
    raise InvalidInput(errors=(FieldError(pointer, detail),))
