"""Dead letters for a person to read: tables as wide as the terminal; into a pipe, as wide as they need."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

__all__ = ["letter", "letters", "log", "many"]

WIDTH_OF_A_PIPE = 240
COLOURS = {"constraint": "red", "data": "red", "schema": "magenta", "model": "yellow", "mapping": "yellow", "parked": "cyan"}

Row = dict[str, Any]
_encode = msgspec.json.Encoder(decimal_format="number").encode


def letters(found: Sequence[Row], *, more: bool) -> None:
    console = _console()
    table = _table("NUMBER", "TENANT", "KIND", "ROWS", "CLASS", "FAILED", "ERROR")
    for one in found:
        table.add_row(
            str(one["id"]),
            one["tenant"],
            one["kind"],
            _rows(one, place=False),
            Text(one["error_class"], style=COLOURS.get(one["error_class"], "")),
            f"{one['failed_at'].astimezone(UTC):%Y-%m-%d %H:%M}",
            Text(one["error"]),
        )
    console.print(table)
    rows = sum(one["rows"] for one in found)
    said = f"{many(len(found), 'dead letter')} of {many(rows, 'row')}; times are UTC"
    console.print(f"{said}; there are more: --after {found[-1]['id']}" if more else said, style="dim", highlight=False)


def letter(one: Row) -> None:
    console = _console()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    tries = "1 try" if one["tries"] == 1 else f"{one['tries']:,} tries"
    table.add_column(overflow="fold")
    for name, value in (
        ("number", str(one["id"])),
        ("tenant", one["tenant"]),
        ("kind", one["kind"] if one["via"] is None else f"{one['kind']}, by {one['via']}"),
        ("rows", _rows(one)),
        ("batch", "-" if one["batch_id"] is None else f"{one['batch_id']}, accepted under model {one['model']}"),
        ("received", _time(one["received_at"])),
        (
            "failed",
            f"{_time(one['first_failed_at'])} first, {_time(one['failed_at'])} last, in {tries}",
        ),
        ("class", Text(one["error_class"], style=COLOURS.get(one["error_class"], ""))),
        ("error", Text(one["error"])),
    ):
        table.add_row(name, value)
    for name, value in one["facts"].items():
        table.add_row(name, Text(value if isinstance(value, str) else _encode(value).decode()))
    console.print(table)
    for item in one["items"]:
        console.print()
        said = [f"row {item['row']}", *(str(item[name]) for name in ("id",) if name in item)]
        console.print("  ".join(said), style="dim", highlight=False)
        if "unreadable" in item:
            console.print(Text(f"cannot be read: {item['unreadable']}"))
            continue
        inside = next(item[name] for name in ("activity", "command", "raw") if name in item)
        code = msgspec.json.format(_encode(inside), indent=2).decode()
        console.print(Syntax(code, "json", background_color="default", word_wrap=True) if console.is_terminal else Text(code))
    if len(one["items"]) < one["rows"]:
        console.print(
            f"\n{len(one['items']):,} of {one['rows']:,} rows shown: --limit shows more", style="dim", highlight=False
        )


def log(found: Sequence[Row]) -> None:
    table = _table("TIME", "TENANT", "DONE", "BY", "LETTERS", "ROWS", "ERRORS", "REASON")
    for one in found:
        errors = ", ".join(f"{count:,} {name}" for name, count in one["errors"].items())
        table.add_row(
            _time(one["at"]),
            one["tenant"],
            Text(one["done"], style="green" if one["done"] == "replayed" else "red"),
            Text(one["by"]),
            f"{one['letters']:,}",
            f"{one['rows']:,}",
            errors,
            Text(one["reason"] or ""),
        )
    _console().print(table)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_PIPE)


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for title in titles:
        right = title in ("NUMBER", "ROWS", "LETTERS")
        table.add_column(
            title,
            justify="right" if right else "left",
            no_wrap=title not in ("ERROR", "ERRORS", "REASON", "TENANT", "BY"),
            overflow="fold",
            min_width=36 if title == "ERROR" else None,
        )
    return table


def many(number: int, noun: str) -> str:
    """Such as `1 row`, `2,000 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _rows(one: Row, *, place: bool = True) -> str:
    """Such as `3 of 10,000 (from 7,321)`."""
    if one["rows"] == one["batch_rows"]:
        return f"{one['rows']:,}"
    return f"{one['rows']:,} of {one['batch_rows']:,}" + (f" (from {one['first_row']:,})" if place else "")


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
