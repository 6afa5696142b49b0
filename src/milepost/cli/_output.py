"""How commands answer: one JSON object, or lines for a person; and a model's mistakes, one a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click
import msgspec

from milepost.model import ModelError

__all__ = ["print_json", "print_table", "problem_lines"]

_encoder = msgspec.json.Encoder(decimal_format="number")


def print_json(answer: Any) -> None:
    """One object, on one line."""
    click.echo(_encoder.encode(answer).decode())


def print_table(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Columns as wide as they need; for a person, so it may change. `--json` is for scripts."""
    lines = [[_shown(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(titles, *lines, strict=True)]
    for line in [list(titles), *lines]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def problem_lines(error: ModelError) -> Iterator[str]:
    """`FILE:LINE: rule: message (did you mean …?)`, as editors and compilers write it."""
    for problem in error.problems:
        place = f"{problem.path}: " if problem.path else ""
        hint = f" (did you mean {problem.nearest}?)" if problem.nearest is not None else ""
        yield f"{error.filename}:{problem.line}: {problem.rule}: {place}{problem.message}{hint}"


def _shown(cell: Any) -> str:
    match cell:
        case None:
            return "-"
        case list() | tuple():
            return ",".join(map(str, cell))
        case _:
            return str(cell)
