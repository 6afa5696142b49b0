"""MAP.toml: which rows of which files become which activities and entities (docs/import.md describes each key).

`load_map` reads and checks the whole map and raises `MapError` with every problem at once.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from milepost.mapping.entities import KEYS
from milepost.mapping.paths import Scope, nearest
from milepost.mapping.values import compile_value
from milepost.model._lines import LineIndex

from ._types import Lookup, Map, MapError, ReadOptions, Section, SectionKind
from .sections import section_problems

__all__ = ["KINDS", "load_map", "parse_map"]

# In the order in which they are imported: what an activity refers to is there before it.
KINDS: Final[tuple[SectionKind, ...]] = ("groups", "actors", "members", "activities")
COMMON: Final = ("file", "rows", "where", "join")
REQUIRED: Final[dict[SectionKind, tuple[str, ...]]] = {
    "groups": ("id", "kind"),
    "actors": ("id",),
    "members": ("group", "actor"),
    "activities": ("occurred_at", "actor", "verb"),
}
READ: Final[dict[str, type]] = {
    "format": str, "delimiter": str, "quote": str, "encoding": str, "columns": list, "strip_nul": bool
}  # fmt: skip
TOP: Final = ("zone", "read", "lookups", *KINDS)
LOOKUP: Final = ("file", "key", "values", "rows", "optional")


def load_map(path: Path) -> Map:
    """Raises `MapError` with every problem, `OSError` where the file cannot be read."""
    try:
        return parse_map(path.read_text("utf-8"), path.name)
    except UnicodeDecodeError:
        raise MapError((f"{path.name}: is not UTF-8 text",)) from None


def parse_map(text: str, name: str = "map.toml") -> Map:
    try:
        toml = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MapError((f"{name}: {error}",)) from None
    problems: list[str] = []
    _unknown(toml, TOP, "", problems)
    zone = toml.get("zone")
    if zone is not None:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
            problems.append(f"zone: {zone!r} is not a time zone")
            zone = None
    found = Map(
        name=name,
        fingerprint=blake2b(text.encode(), digest_size=8).hexdigest(),
        zone=zone,
        read=_read_options(toml.get("read", {}), problems),
        lookups=_lookups(toml.get("lookups", {}), problems),
        sections=_sections(toml, problems),
    )
    if not found.sections and not problems:
        problems.append("a map has at least one of [[groups]], [[actors]], [[members]], [[activities]]")
    for section in found.sections:
        problems += section_problems(section, found)
    if problems:
        lines = LineIndex(text)
        raise MapError(tuple(f"{name}:{_line_of(problem, lines)}: {problem}" for problem in dict.fromkeys(problems)))
    return found


def _line_of(problem: str, lines: LineIndex) -> int:
    """The line that `activities[2].verb: …` speaks of."""
    place = problem.partition(": ")[0]
    steps = re.findall(r"\[(\d+)\]|([^.\[\]]+)", place)
    return lines.line(tuple(int(number) - 1 if number else word for number, word in steps))


def _unknown(table: Mapping[str, Any], known: tuple[str, ...], at: str, problems: list[str]) -> None:
    dot = "." if at else ""
    problems += [f"{at}{dot}{name}: is not known here{nearest(name, known)}" for name in table if name not in known]


def _read_options(table: Any, problems: list[str]) -> ReadOptions:
    if not isinstance(table, dict):
        problems.append("read: is a table")
        return ReadOptions()
    _unknown(table, tuple(READ), "read", problems)
    for name, value in table.items():
        if name in READ and not isinstance(value, READ[name]):
            problems.append(f"read.{name}: is a {READ[name].__name__}")
    if table.get("format", "csv") not in ("csv", "jsonl", "parquet"):
        problems.append("read.format: is one of csv, jsonl, parquet")
    characters = ("delimiter", "quote")
    problems += [f"read.{name}: is one character" for name in characters if len(str(table.get(name, ","))) != 1]
    try:
        # A file is cut into lines at byte 10, so other encodings than these families would be cut inside a character.
        if "\n".encode(str(table.get("encoding", "utf-8"))) != b"\n":
            raise LookupError
    except LookupError:
        problems.append("read.encoding: is utf-8, or an encoding in which ASCII is ASCII, such as cp1252")
    if problems:
        return ReadOptions()
    columns = table.get("columns")
    return ReadOptions(**{**table, "columns": None if columns is None else tuple(map(str, columns))})


def _lookups(tables: Any, problems: list[str]) -> dict[str, Lookup]:
    found: dict[str, Lookup] = {}
    for name, table in tables.items() if isinstance(tables, dict) else ():
        at = f"lookups.{name}"
        if not isinstance(table, dict):
            problems.append(f"{at}: is a table")
            continue
        _unknown(table, LOOKUP, at, problems)
        given = [one for one in ("file", "values", "rows") if one in table]
        if len(given) != 1:
            problems.append(f"{at}: needs one of file, rows (each with key) and values")
            continue
        if (given[0] == "values") == ("key" in table):
            problems.append(f"{at}: file and rows need a key, values have none")
        if given[0] == "values" and not isinstance(table["values"], dict):
            problems.append(f"{at}.values: is a table")
            continue
        scope = Scope()
        compile_value(table.get("key", ""), "text", scope, f"{at}.key", "")
        problems += scope.problems
        rows = table.get("rows")
        found[name] = Lookup(
            name=name,
            file=table.get("file"),
            key=table.get("key"),
            values=table.get("values"),
            rows=None if rows is None else tuple(rows),
            optional=bool(table.get("optional", False)),
        )
    return found


def _sections(toml: Mapping[str, Any], problems: list[str]) -> tuple[Section, ...]:
    found = []
    for kind in KINDS:
        tables = toml.get(kind, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            problems.append(f"{kind}: is written [[{kind}]]")
            continue
        for number, table in enumerate(tables, 1):
            at = f"{kind}[{number}]"
            _unknown(table, (*COMMON, *KEYS[kind]), at, problems)
            problems += [f"{at}: needs {name}" for name in REQUIRED[kind] if name not in table]
            rows = table.get("rows")
            if rows is not None and not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
                problems.append(f"{at}.rows: is a list of tables")
                continue
            if rows is not None and "file" in table:
                problems.append(f"{at}: has either file or rows")
            if not isinstance(table.get("file", ""), str):
                problems.append(f"{at}.file: is a file's name or a pattern such as 'day-*.csv.gz'")
                continue
            found.append(
                Section(
                    kind=kind,
                    number=number,
                    file=table.get("file"),
                    rows=None if rows is None else tuple(rows),
                    spec={name: value for name, value in table.items() if name not in ("file", "rows")},
                )
            )
    return tuple(found)
