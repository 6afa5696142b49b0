"""Where in a TOML text each key stands: `tomllib` gives values without lines, and a mistake without its line
is no help.

A small scanner walks a text that `tomllib` has already accepted, so it checks nothing: it only has to find
where keys, array elements and values begin and end. It understands table headers, arrays of tables, dotted
and quoted keys, inline tables, and strings and arrays that span lines. A path is a tuple of keys and array
positions, such as `("rollups", "km", "of", 1)`.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left

__all__ = ["LineIndex", "Path", "dotted"]

Path = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\n]++|#[^\n]*+)*+")  # blanks, line ends and comments
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'  # up to two quotes may stand before the three that close
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


class LineIndex:
    """Line of each path of one text; lines count from 1. The text must be valid TOML (or empty)."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")  # as tomllib reads it
        self._line_ends = [match.start() for match in re.finditer("\n", self._text)]
        self._lines: dict[Path, int] = {(): 1}
        self._tables: dict[Path, int] = {}  # array of tables -> how many of its tables have begun
        self._at = 0
        self._scan()

    def line(self, path: Path) -> int:
        """The line where the path begins; of a path that is not there, the line of the part of it that is."""
        return self._lines[self.known_part(path)]

    def known_part(self, path: Path) -> Path:
        """The longest beginning of the path that stands in the text."""
        while path not in self._lines:
            path = path[:-1]
        return path

    def _scan(self) -> None:
        table: Path = ()
        while True:
            self._skip(_GAP)
            if self._at == len(self._text):
                return
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        line = self._line_here()
        brackets = 2 if self._text.startswith("[[", self._at) else 1
        self._at += brackets
        *parents, last = self._keys()
        self._at += brackets
        path: Path = ()
        for part in parents:
            path = self._within((*path, part), line)
        if brackets == 1:
            path = self._within((*path, last), line)
            self._lines[path] = line  # the header itself, rather than an earlier header of a table within
            return path
        array = (*path, last)
        self._lines.setdefault(array, line)
        element = (*array, self._tables.get(array, 0))
        self._tables[array] = self._tables.get(array, 0) + 1
        self._lines[element] = line
        return element

    def _within(self, path: Path, line: int) -> Path:
        """The table that a header's part names: of an array of tables, the newest one."""
        self._lines.setdefault(path, line)
        return (*path, self._tables[path] - 1) if path in self._tables else path

    def _pair(self, table: Path) -> None:
        line = self._line_here()
        path = table
        for key in self._keys():
            path = (*path, key)
            self._lines.setdefault(path, line)
        self._at += 1  # the equals sign
        self._skip(_BLANK)
        self._value(path)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(_BLANK)
            keys.append(self._key())
            self._skip(_BLANK)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _key(self) -> str:
        start = self._at
        if self._text[start] not in "\"'":
            self._skip(_BARE_KEY)
            return self._text[start : self._at]
        self._skip(_STRING)
        written = self._text[start : self._at]
        if written[0] == "'" or "\\" not in written:
            return written[1:-1]
        return str(tomllib.loads(f"key = {written}")["key"])

    def _value(self, path: Path) -> None:
        opening = self._text[self._at]
        if opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            self._skip(_STRING if opening in "\"'" else _SCALAR)

    def _array(self, path: Path) -> None:
        self._at += 1
        position = 0
        while True:
            self._skip(_GAP)
            if self._text[self._at] == "]":
                break
            self._lines[(*path, position)] = self._line_here()
            self._value((*path, position))
            position += 1
            self._skip(_GAP)
            if self._text[self._at] == ",":
                self._at += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while True:
            self._skip(_GAP)
            if self._text[self._at] == "}":
                break
            self._pair(path)
            self._skip(_GAP)
            if self._text[self._at] == ",":
                self._at += 1
        self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        assert match is not None, (pattern, self._line_here())
        self._at = match.end()

    def _line_here(self) -> int:
        return bisect_left(self._line_ends, self._at) + 1


def dotted(path: Path) -> str:
    """The path as TOML would write it, with array positions in brackets: `rollups.km.of[1]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE_KEY.fullmatch(part) else f'"{part}"')
    return text
