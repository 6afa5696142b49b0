"""A server's log: what `log_min_duration_statement` and auto_explain wrote of statements that took long.

All three forms are read: jsonlog, csvlog, and plain lines, whatever stands before them. What was logged of other databases is left out where
the form says it (plain lines do not).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from milepost.doctor.seen.sighting import Seen, Sighting
from milepost.doctor.statements import fingerprint
from milepost.errors import InvalidInput

__all__ = ["logged"]

MESSAGE: Final = re.compile(r"LOG:\s+(duration: .*)", re.DOTALL)
DURATION: Final = re.compile(r"duration: ([\d.]+) ms\s+(plan|statement|execute [^:]*):\s*(.*)", re.DOTALL)
QUERY_TEXT: Final = re.compile(r"Query Text: (.*?)\n(?=\S.*\(cost=|Query Parameters:|$)", re.DOTALL)
MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?")
CSV_AT, CSV_DATABASE, CSV_MESSAGE = 0, 2, 13


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """at: as it was written; None if the line does not begin with a time. database: None if the form does not say."""

    at: str | None
    database: str | None
    message: str


def logged(file: Path, database: str) -> Seen:
    """Raises `InvalidInput` if it cannot be read."""
    try:
        with file.open(encoding="utf-8", errors="replace", newline="") as lines:
            entries = [one for one in _entries(file.suffix, lines) if one.database in (None, database)]
    except (OSError, csv.Error, json.JSONDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read as a log: {error}.") from error
    moments = [datetime.fromisoformat(found[0]) for one in entries if one.at and (found := MOMENT.search(one.at))]
    span = (max(moments) - min(moments)).total_seconds() if moments else 0.0
    return Seen(sightings=_once(entries), looks=0, span_s=span)


def _entries(suffix: str, lines: Iterable[str]) -> Iterator[_Entry]:
    if suffix == ".json":
        for line in lines:
            row: dict[str, Any] = json.loads(line)
            yield _Entry(at=row.get("timestamp"), database=row.get("dbname"), message=str(row.get("message", "")))
    elif suffix == ".csv":
        for cells in csv.reader(lines):
            if len(cells) > CSV_MESSAGE:
                yield _Entry(at=cells[CSV_AT], database=cells[CSV_DATABASE], message=cells[CSV_MESSAGE])
    else:
        yield from (_plain(text) for text in _joined(lines))


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """A message of several lines goes on with a tab."""
    text = ""
    for line in lines:
        if line.startswith("\t"):
            text += line[1:]
            continue
        if text:
            yield text
        text = line
    if text:
        yield text


def _plain(text: str) -> _Entry:
    found = MESSAGE.search(text)
    moment = MOMENT.search(text)
    return _Entry(at=moment[0] if moment else None, database=None, message=found[1] if found else "")


def _once(entries: Iterable[_Entry]) -> list[Sighting]:
    """One of each execution: where both write of a statement, it is auto_explain that counts."""
    found: list[tuple[str, Sighting]] = []
    for number, entry in enumerate(entries):
        match = DURATION.match(entry.message)
        if match is None:
            continue
        text = _planned(match[3]) if match[2] == "plan" else match[3].strip()
        if text:
            found.append((match[2], Sighting(sql=text, run=(number,), ms=float(match[1]))))
    planned = {_known(one.sql) for kind, one in found if kind == "plan"}
    return [one for kind, one in found if kind == "plan" or _known(one.sql) not in planned]


def _planned(plan: str) -> str:
    if plan.startswith("{"):
        return str(json.loads(plan).get("Query Text", "")).strip()
    found = QUERY_TEXT.search(plan)
    return found[1].strip() if found else ""


def _known(text: str) -> str:
    try:
        return fingerprint(text)
    except InvalidInput:
        return text
