"""Texts of pg_stat_statements, made such that PostgreSQL takes them again.

It puts a parameter where a constant stood: `date '2026-01-01'` is `date $1` there, and `extract(year FROM at)` is `extract($1 FROM at)`.
libpg_query reads that; PostgreSQL wants a constant in these places. A cast, and the function that EXTRACT stands for, mean the same. What the
tree says is such a place is changed, nothing else: names, strings and comments stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from milepost.doctor.statements import Node, Token, parse, tokens, walk

__all__ = ["plannable"]

FIELDS: Final = frozenset({"YEAR_P", "MONTH_P", "DAY_P", "HOUR_P", "MINUTE_P", "SECOND_P"})

Edit: TypeAlias = tuple[int, int, bytes]  # from, to, what stands there then


def plannable(text: str) -> str:
    """The same statement with `$1::date` for `date $1`, and so on. Raises `InvalidInput` where it cannot be read."""
    if "$" not in text:
        return text
    raw, words = text.encode(), tokens(text)
    places = {word.start: number for number, word in enumerate(words)}
    edits = [edit for one in parse(text) for node in walk(one.tree) for edit in _edits(node, raw, words, places)]
    for start, end, new in sorted(edits, reverse=True):
        raw = raw[:start] + new + raw[end:]
    return raw.decode()


def _edits(node: Node, raw: bytes, words: Sequence[Token], places: dict[int, int]) -> Iterator[Edit]:
    kind = type(node).__name__
    if kind == "TypeCast" and node.arg.HasField("param_ref"):
        # In `$1::date` and CAST ($1 AS date) the type comes after the value.
        if node.type_name.location < node.arg.param_ref.location:
            yield _cast(raw, words, places[node.type_name.location], places[node.arg.param_ref.location])
    elif kind == "FuncCall" and node.funcname[-1].string.sval == "extract" and len(node.args) == 2:
        value = places[node.args[0].param_ref.location] if node.args[0].HasField("param_ref") else None
        if value is not None and words[value + 1].name == "FROM":
            word = words[places[node.location]]
            yield word.start, word.end, b"pg_catalog.extract"
            yield words[value].end, words[value + 1].end, b","


def _cast(raw: bytes, words: Sequence[Token], first: int, value: int) -> Edit:
    """first: where the type begins."""
    parameter = raw[words[value].start : words[value].end]
    type_ = raw[words[first].start : words[value - 1].end]
    last = _last_field(words, value) if words[first].name == "INTERVAL" and first == value - 1 else value
    if last > value:
        fields = raw[words[value + 1].start : words[last].end]
        if all(word.name != "TO" for word in words[value + 1 : last]):
            # Its value is a bare number, which would be seconds in a cast.
            parameter = b"(%b || ' %b')" % (parameter, raw[words[value + 1].start : words[value + 1].end].lower())
        type_ += b" " + fields
    return words[first].start, words[last].end, parameter + b"::" + type_


def _last_field(words: Sequence[Token], value: int) -> int:
    """Of `interval $1 day to second(3)`, where its fields end; the parameter itself if it has none."""
    names = [word.name for word in words[value + 1 : value + 7]]
    if not names or names[0] not in FIELDS:
        return value
    length = 3 if names[1:2] == ["TO"] else 1
    if names[length - 1] == "SECOND_P" and names[length : length + 1] == ["ASCII_40"]:
        length += 3
    return value + length
