"""Named queries: SQL lives in a `.sql` file beside the module that runs it.

    -- name: enqueue
    -- One row a batch: the queue is insert-only, so that no long transaction elsewhere can bloat it.
    INSERT INTO … VALUES (%s, %s);

A query opens with its name and at least one sentence of why. `load_queries(__package__, "queue.sql").enqueue` is its
text, without comments (psycopg takes a `%` in a comment for a placeholder) and without the last semicolon, marked
with its name so that it can be recognised in `pg_stat_activity`. What is wrong with a file is raised when it is
loaded, at import.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import LiteralString

from milepost.errors import MilepostError

__all__ = ["Queries", "QueryFileError", "load_queries", "parse_queries"]

HEAD = re.compile(r"^--[ \t]*name:[ \t]*(.*)$")
NAME = re.compile(r"[a-z][a-z0-9_]*")
# What may hold two dashes without beginning a comment, and the two kinds of comment.
PIECES = re.compile(
    r"""(?P<kept> [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | (?P<tag>\$\w*\$).*?(?P=tag) )
      | \s*--[^\n]* | \s*/\*.*?\*/""",
    re.DOTALL | re.VERBOSE,
)


class QueryFileError(MilepostError):
    """A file of named queries is not well formed."""


class Queries:
    """The queries of one file by name, as attributes or items: `queries.enqueue`, `queries["enqueue"]`."""

    def __init__(self, source: str, texts: dict[str, LiteralString]) -> None:
        self._source = source
        self._texts = texts

    def __getattr__(self, name: str) -> LiteralString:
        try:
            return self.__dict__["_texts"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(self._unknown(name)) from None

    def __getitem__(self, name: str) -> LiteralString:
        try:
            return self._texts[name]
        except KeyError:
            raise KeyError(self._unknown(name)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def _unknown(self, name: str) -> str:
        near = get_close_matches(name, self._texts, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(self._texts)}"
        return f"no query {name} in {self._source}{hint}"


@cache
def load_queries(package: str, filename: str) -> Queries:
    """The queries of `filename`, which lies in the folder of `package`. Raises `QueryFileError` with file and line."""
    text = files(package).joinpath(filename).read_text(encoding="utf-8")
    return parse_queries(text, f"{package.rpartition('.')[2]}/{filename}")


def parse_queries(text: str, source: str) -> Queries:
    """The queries in `text`; `source` names it in errors and in the queries' marks."""
    texts: dict[str, LiteralString] = {}
    sections: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if head := HEAD.match(line):
            sections.append((number, head[1].strip(), []))
        elif sections:
            sections[-1][2].append(line)
        elif line.strip() and not line.startswith("--"):
            raise _wrong(source, number, "SQL before the first `-- name:`")
    for number, name, lines in sections:
        if not NAME.fullmatch(name):
            raise _wrong(source, number, f"`{name}` is not a snake_case name")
        if name in texts:
            raise _wrong(source, number, f"{name} is there twice")
        if not lines or not re.match(r"--\s*\w", lines[0]):
            raise _wrong(source, number, f"{name} does not begin with a sentence of why (a `--` comment)")
        body = without_comments("\n".join(lines)).strip().removesuffix(";").rstrip()
        if not body:
            raise _wrong(source, number, f"{name} has no SQL")
        texts[name] = f"/* {source.removesuffix('.sql')}.{name} */ {body}"
    if not texts:
        raise _wrong(source, 1, "there is no `-- name:`")
    return Queries(source, texts)


def without_comments(statement: str) -> str:
    """`statement` with its comments, and the space before them, gone; what looks like one inside a literal stays."""
    return PIECES.sub(lambda piece: piece["kept"] or "", statement)


def _wrong(source: str, line: int, problem: str) -> QueryFileError:
    return QueryFileError(f"{source}:{line}: {problem}.", file=source, line=line)
