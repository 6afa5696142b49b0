"""Columns, templates and conditions of a map: how a row is looked into.

A path names a column, or goes into nested JSON: `userIdentity.type`, `resources.0.ARN`,
`extensions."https://w3id.org/x"`. A template is text with `{paths}` in it. A condition says which rows count.
Each is read and checked once and becomes a closure.

A getter gives `None` for what is missing: an empty CSV field, a JSON null or an absent key, text with a missing
part.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import Any

import msgspec

__all__ = [
    "Getter",
    "Row",
    "Scope",
    "Unfit",
    "as_text",
    "compile_condition",
    "compile_path",
    "compile_template",
    "constant",
    "nearest",
    "nothing",
    "parse_path",
    "split_template",
]

Row = dict[str, Any]
Getter = Callable[[Row], Any]


class Unfit(Exception):
    """A value is there, but is not what the map says. `pointer` names the field, `rule` the reason, `value`
    what was found.
    """

    def __init__(self, pointer: str, rule: str, value: object = None) -> None:
        super().__init__(pointer, rule, value)
        self.pointer = pointer
        self.rule = rule
        self.value = value


@dataclass(kw_only=True)
class Scope:
    """What a value may refer to, what it did refer to, and what was wrong with it."""

    columns: frozenset[str] | None = None  # None: not known (JSON lines, or the map alone is being checked)
    joined: frozenset[str] = frozenset()  # lookups joined so far
    used: set[str] = field(default_factory=set)  # columns taken whole
    taken: set[tuple[str, ...]] = field(default_factory=set)  # paths taken, columns too
    problems: list[str] = field(default_factory=list)

    def problem(self, at: str, message: str) -> None:
        self.problems.append(f"{at}: {message}")


def nearest(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?`, or nothing."""
    found = difflib.get_close_matches(word, list(known), 1, 0.6)
    return f", did you mean '{found[0]}'?" if found else ""


def as_text(value: Any) -> str:
    """How a value that is not text reads inside text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, order="sorted").decode()
    return str(value)


# ── Paths and templates ────────────────────────────────────────────────────────────────────────────────────────────


def parse_path(text: str) -> tuple[str, ...]:
    """`a.b."c.d".0` → ("a", "b", "c.d", "0"). Raises `ValueError` with a sentence."""
    parts: list[str] = []
    at = 0
    while True:
        if text[at : at + 1] == '"':
            end = text.find('"', at + 1)
            if end < 0:
                raise ValueError(f"the quote that opens in {text!r} does not close")
            parts.append(text[at + 1 : end])
            at = end + 1
        else:
            end = text.find(".", at)
            end = len(text) if end < 0 else end
            parts.append(text[at:end].strip())
            at = end
        if not parts[-1]:
            raise ValueError(f"{text!r} has an empty part")
        if at >= len(text):
            return tuple(parts)
        if text[at] != ".":
            raise ValueError(f"after the quote in {text!r} a '.' is expected")
        at += 1


def split_template(text: str) -> list[str | tuple[str, ...]]:
    """`"{a}-{b}"` → [("a",), "-", ("b",)]. `{{` and `}}` stand for braces. Raises `ValueError` with a sentence."""
    parts: list[str | tuple[str, ...]] = []
    plain = ""
    at = 0
    while at < len(text):
        character = text[at]
        if text[at : at + 2] in ("{{", "}}"):
            plain, at = plain + character, at + 2
        elif character == "{":
            quoted = False
            end = at + 1
            while end < len(text) and (quoted or text[end] != "}"):
                quoted ^= text[end] == '"'
                end += 1
            if end == len(text):
                raise ValueError("a '{' does not close")
            if plain:
                parts.append(plain)
            parts.append(parse_path(text[at + 1 : end]))
            plain, at = "", end + 1
        elif character == "}":
            raise ValueError("a '}' has no '{' (write '}}' for a brace)")
        else:
            plain, at = plain + character, at + 1
    if plain:
        parts.append(plain)
    return parts


def compile_path(path: tuple[str, ...], scope: Scope, at: str) -> Getter:
    first = path[0]
    if path == ("*",):
        return lambda row: {name: value for name, value in row.items() if name not in scope.joined}
    known = scope.joined if scope.columns is None else scope.columns | scope.joined
    if scope.columns is not None and first not in known:
        scope.problem(at, f"there is no column '{first}'{nearest(first, known)}")
    scope.taken.add(path)
    if len(path) == 1:
        scope.used.add(first)

        def get(row: Row) -> Any:
            value = row.get(first)
            return None if value == "" else value

        return get

    def walk(row: Row) -> Any:
        value: Any = row
        for part in path:
            if type(value) is dict:
                value = value.get(part)
            elif type(value) is list and part.isdigit():
                value = value[int(part)] if int(part) < len(value) else None
            else:
                return None
        return None if value == "" else value

    return walk


def compile_template(text: str, scope: Scope, at: str) -> Getter:
    try:
        parts = split_template(text)
    except ValueError as error:
        scope.problem(at, str(error))
        return nothing
    if all(isinstance(part, str) for part in parts):
        return constant("".join(part for part in parts if isinstance(part, str)) or None)
    steps = [part if isinstance(part, str) else compile_path(part, scope, at) for part in parts]
    if len(steps) == 1 and not isinstance(steps[0], str):
        return steps[0]

    def fill(row: Row) -> str | None:
        out = []
        for step in steps:
            if type(step) is str:
                out.append(step)
                continue
            value = step(row)  # type: ignore[operator]
            if value is None:
                return None
            out.append(value if type(value) is str else as_text(value))
        return "".join(out)

    return fill


def nothing(row: Row) -> None:
    return None


def constant(value: Any) -> Getter:
    return lambda row: value


# ── Conditions ─────────────────────────────────────────────────────────────────────────────────────────────────────


def compile_condition(spec: Any, scope: Scope, at: str) -> Callable[[Row], bool]:
    """`{ column = "x" | ["x", "y"] | { not = … } | { missing = true } | { like = "x*" } | { at_least = 9 } }`; all must hold."""
    if not isinstance(spec, dict) or not spec:
        scope.problem(at, 'a condition is a table such as { kind = "commit" }')
        return lambda row: False
    tests = []
    for name, wanted in spec.items():
        here = f"{at}.{name}"
        used, taken = set(scope.used), set(scope.taken)
        try:
            get = compile_path(parse_path(name), scope, here)
        except ValueError as error:
            scope.problem(here, str(error))
            continue
        scope.used, scope.taken = used, taken  # a condition reads a column, but does not take it
        tests.append(_compile_test(wanted, get, scope, here))
    if len(tests) == 1:
        return tests[0]
    return lambda row: all(test(row) for test in tests)


def _compile_test(wanted: Any, get: Getter, scope: Scope, at: str) -> Callable[[Row], bool]:
    if isinstance(wanted, dict):
        if set(wanted) == {"missing"} and isinstance(wanted["missing"], bool):
            missing = wanted["missing"]
            return lambda row: (get(row) is None) is missing
        if set(wanted) == {"not"} and not isinstance(wanted["not"], dict):
            test = _compile_test(wanted["not"], get, scope, at)
            return lambda row: not test(row)
        if set(wanted) == {"like"} and isinstance(wanted["like"], str):
            return _like(wanted["like"], get)
        bounds = [bound for name, bound in wanted.items() if name in ("at_least", "at_most")]
        if len(bounds) == len(wanted) > 0 and all(type(bound) in (int, float) for bound in bounds):
            return _between(wanted.get("at_least", -inf), wanted.get("at_most", inf), get)
        known = '{ not = … }, { missing = true }, { like = "order.*" }, or { at_least = 9, at_most = 16 }'
        scope.problem(at, f"a condition is a value, a list of values, {known}")
        return lambda row: False
    # As text, so that 1 finds "1" of a CSV and 1 of a JSON line.
    allowed = frozenset(as_text(one) for one in (wanted if isinstance(wanted, list) else [wanted]))

    def test_one(row: Row) -> bool:
        value = get(row)
        return value is not None and (value if type(value) is str else as_text(value)) in allowed

    return test_one


def _like(pattern: str, get: Getter) -> Callable[[Row], bool]:
    """`*` stands for any text, none too. Piece by piece from the left, so that no text takes long, whatever the pattern."""
    first, *pieces = pattern.split("*")

    def test(row: Row) -> bool:
        value = get(row)
        if value is None:
            return False
        text = value if type(value) is str else as_text(value)
        if not pieces:
            return text == first
        if not text.startswith(first):
            return False
        at = len(first)
        for piece in pieces[:-1]:
            found = text.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        return len(text) - at >= len(pieces[-1]) and text.endswith(pieces[-1])

    return test


def _between(low: float, high: float, get: Getter) -> Callable[[Row], bool]:
    """What is no number lies nowhere."""

    def test(row: Row) -> bool:
        value = get(row)
        try:
            return type(value) is not bool and low <= float(value) <= high
        except (TypeError, ValueError, OverflowError):
            return False

    return test
