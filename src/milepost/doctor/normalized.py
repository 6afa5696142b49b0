"""Texts of pg_stat_statements, made such that PostgreSQL takes them again.

It puts a parameter where a constant stood: `date '2026-01-01'` is `date $1` there, and `extract(year FROM at)` is `extract($1 FROM at)`.
libpg_query reads that; PostgreSQL wants a constant in these places. A cast, and the function that EXTRACT stands for, mean the same.

Of an expression that a statement selects and groups by, only the first mention becomes a parameter, and then it is another expression than
`date_trunc('day', at)` behind GROUP BY, which PostgreSQL refuses: that gets the same parameter.

What the tree says is such a place is changed, nothing else: names, strings and comments stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from milepost.doctor.statements import Node, Token, nodes, parse, tokens, walk

__all__ = ["plannable"]

FIELDS: Final = frozenset({"YEAR_P", "MONTH_P", "DAY_P", "HOUR_P", "MINUTE_P", "SECOND_P"})

Edit: TypeAlias = tuple[int, int, bytes]  # from, to, what stands there then


def plannable(text: str) -> str:
    """The same statement with `$1::date` for `date $1`, and so on. Raises `InvalidInput` where it cannot be read."""
    if "$" not in text:
        return text
    raw, words = text.encode(), tokens(text)
    trees = [one.tree for one in parse(text)]
    values = {node.location: f"${node.number}".encode() for tree in trees for node in nodes(tree, "ParamRef")}
    repeated = {place: values[of] for tree in trees for place, of in _repeated(tree)}
    source = _Source(
        raw=raw, words=words, places={word.start: number for number, word in enumerate(words)}, values=values | repeated
    )
    edits = dict[int, Edit]()
    for place in repeated:
        word = words[source.places[place]]
        edits[place] = word.start, word.end, repeated[place]
    for tree in trees:
        for node in walk(tree):
            edits |= source.edits(node)
    for start, end, new in sorted(edits.values(), reverse=True):
        raw = raw[:start] + new + raw[end:]
    return raw.decode()


@dataclass(frozen=True, kw_only=True)
class _Source:
    """A text. places: numbers of its words by where they begin. values: by where they stand, parameters, and constants that become one."""

    raw: bytes
    words: Sequence[Token]
    places: Mapping[int, int]
    values: Mapping[int, bytes]

    def edits(self, node: Node) -> dict[int, Edit]:
        """By the place of the value that each is about, so that a value has one; what goes with it stands before it or behind it."""
        kind = type(node).__name__
        if kind == "TypeCast" and (place := _place(node.arg)) in self.values:
            # In `$1::date` and CAST ($1 AS date) the type comes after the value.
            if node.type_name.location < place:
                return {place: self._cast(self.places[node.type_name.location], self.places[place])}
        elif kind == "FuncCall" and node.funcname[-1].string.sval == "extract" and len(node.args) == 2:
            place = _place(node.args[0])
            word = self.words[self.places[node.location]]
            if place in self.values and self.words[self.places[place] + 1].name == "FROM":
                start, end = self.words[self.places[place]].start, self.words[self.places[place] + 1].end
                return {
                    word.start: (word.start, word.end, b"pg_catalog.extract"),
                    place: (start, end, self.values[place] + b","),
                }
        return {}

    def _cast(self, first: int, value: int) -> Edit:
        """first: where the type begins."""
        words, parameter = self.words, self.values[self.words[value].start]
        type_ = self._between(first, value - 1)
        last = _last_field(words, value) if words[first].name == "INTERVAL" and first == value - 1 else value
        if last > value:
            if all(word.name != "TO" for word in words[value + 1 : last]):
                # Its value is a bare number, which would be seconds in a cast.
                parameter = b"(%b || ' %b')" % (parameter, self._between(value + 1, value + 1).lower())
            type_ += b" " + self._between(value + 1, last)
        return words[first].start, words[last].end, parameter + b"::" + type_

    def _between(self, first: int, last: int) -> bytes:
        return self.raw[self.words[first].start : self.words[last].end]


def _last_field(words: Sequence[Token], value: int) -> int:
    """Of `interval $1 day to second(3)`, where its fields end; the parameter itself if it has none."""
    names = [word.name for word in words[value + 1 : value + 7]]
    if not names or names[0] not in FIELDS:
        return value
    length = 3 if names[1:2] == ["TO"] else 1
    if names[length - 1] == "SECOND_P" and names[length : length + 1] == ["ASCII_40"]:
        length += 3
    return value + length


def _place(node: Node) -> int:
    """Of a parameter or a constant; -1 of anything else."""
    kind = node.WhichOneof("node")
    return int(getattr(node, kind).location) if kind in ("param_ref", "a_const") else -1


def _repeated(tree: Node) -> Iterator[tuple[int, int]]:
    """(place of a constant, place of the parameter that it is)."""
    for select in nodes(tree, "SelectStmt"):
        by = [item.sort_by.node for item in select.sort_clause]
        for item in (*select.group_clause, *select.distinct_clause):
            by += item.grouping_set.content if item.HasField("grouping_set") else [item]
        opened = [item.res_target.val for item in select.target_list] + by
        matched: list[tuple[Any, Any]] = []
        for one in by:
            # Two that are the same are the same one's; the next that only looks so is another's.
            of = next((of for known, of in matched if _alike(known, one) == []), None)
            if of is None:
                of = next((other for other in opened if _pairs(other, one)), None)
                opened = [other for other in opened if other is not of]
            if of is not None:
                matched.append((one, of))
                yield from _pairs(of, one) or ()


def _pairs(opened: Any, known: Any) -> list[tuple[int, int]] | None:
    """Places in one expression with parameters and in one with constants, if they are the same for the rest; None if they are not. A
    constant alone is a column's number.
    """
    if type(opened).__name__ == "Node" and opened.HasField("param_ref"):
        return None
    return _alike(opened, known)


def _alike(opened: Any, known: Any) -> list[tuple[int, int]] | None:
    if type(opened).__name__ == "Node" and opened.HasField("param_ref") and known.HasField("a_const"):
        return [(known.a_const.location, opened.param_ref.location)]
    if hasattr(opened, "ListFields"):
        one, other = (
            [(field.name, value) for field, value in message.ListFields() if not field.name.endswith("location")]
            for message in (opened, known)
        )
        if [name for name, _ in one] != [name for name, _ in other]:
            return None
        parts = [_alike(a, b) for (_, a), (_, b) in zip(one, other, strict=True)]
    elif hasattr(opened, "__len__") and not isinstance(opened, str | bytes):
        if len(opened) != len(known):
            return None
        parts = [_alike(a, b) for a, b in zip(opened, known, strict=True)]
    else:
        return [] if opened == known else None
    return None if None in parts else [pair for part in parts if part for pair in part]
