"""From a model's TOML text to a checked `Model`, or to every mistake in it at once.

Three steps: `tomllib` and the line index; the sections, each key read by its own accessor (`_sections`,
`_derived`); then what only the whole model can tell (`_check`). A text that is no TOML ends after the first
step, with one problem.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final, NoReturn

from milepost.model._check import check_model
from milepost.model._derived import (
    read_boards,
    read_goals,
    read_latest,
    read_pairs,
    read_pending,
    read_reports,
    read_rollups,
)
from milepost.model._lines import LineIndex
from milepost.model._maps import read_maps
from milepost.model._problems import ModelError, Notes, Problem
from milepost.model._sections import read_groups, read_keep, read_terms, read_verbs
from milepost.model._tables import Table
from milepost.model._types import Model

__all__ = ["MODEL_CHARACTERS_MAX", "parse_model"]

MODEL_CHARACTERS_MAX: Final = 1024 * 1024
_DEPTH_MAX: Final = 32  # a model needs five

# A key of _DEPTH_MAX parts and more. tomllib keeps every beginning of a dotted key, so its cost is the square of the
# parts: such a key is refused unread.
_DEEP_KEY = re.compile(r"(?<![A-Za-z0-9_-])(?:(?:[A-Za-z0-9_-]++|\"[^\"\n]*\"|'[^'\n]*')[ \t]*\.[ \t]*){32}")
_PLACE = re.compile(r"(.*?) \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)", re.DOTALL)
_FILTERS = ("verb", "source", "status")


def parse_model(text: str, filename: str = "model.toml") -> Model:
    """The model that the text declares, with every default filled in.

    Raises `ModelError` with all problems, ordered by line, and nothing else, whatever the text is. `filename`
    only names the text in the error.
    """
    document, lines = _document(text, filename)
    notes = Notes(lines)
    model = _model(Table(notes, (), document))
    check_model(model, notes)
    if problems := notes.problems():
        raise ModelError(problems, filename)
    return model


def _model(table: Table) -> Model:
    model = Model(
        name=table.name("name", required=True) or "",
        time_zone=table.text("time_zone", default="UTC"),
        filters=table.choices("filters", _FILTERS, ("verb",), empty=True),
        chain=table.flag("chain", default=False),
        groups=read_groups(table),
        verbs=read_verbs(table),
        terms=read_terms(table),
        rollups=read_rollups(table),
        latest=read_latest(table),
        pairs=read_pairs(table),
        goals=read_goals(table),
        boards=read_boards(table),
        pending=read_pending(table),
        reports=read_reports(table),
        keep=read_keep(table),
        maps=read_maps(table),
    )
    unknown = table.close()
    if not unknown and not table.content.get("verbs"):  # an unknown key may be `verbs` misspelt
        table.missing("verbs")
    return model


def _document(text: str, filename: str) -> tuple[dict[str, Any], LineIndex]:
    if len(text) > MODEL_CHARACTERS_MAX:
        _refuse(1, "too-large", f"a model has at most {MODEL_CHARACTERS_MAX} characters", filename)
    if stray := re.search("[\ud800-\udfff]", text):
        _refuse(_line_at(text, stray.start()), "syntax", "half of a surrogate pair is no character", filename)
    if deep := _DEEP_KEY.search(text):
        _refuse(_line_at(text, deep.start()), "too-deep", f"a key has at most {_DEPTH_MAX} parts", filename)
    try:
        return tomllib.loads(text), LineIndex(text)
    except tomllib.TOMLDecodeError as error:
        message, line = _syntax_error(str(error), text)
        _refuse(line, "syntax", message, filename)
    except RecursionError:
        _refuse(_deepest_line(text), "too-deep", "arrays or tables are nested too deep", filename)
    except ValueError:  # Python refuses to convert integers of thousands of digits
        digits = re.search(r"[0-9_]{4000}", text)
        line = _line_at(text, digits.start() if digits else 0)
        _refuse(line, "syntax", "a number has too many digits", filename)


def _syntax_error(message: str, text: str) -> tuple[str, int]:
    match = _PLACE.fullmatch(message)
    what, line, column = match.groups() if match else (message, None, None)
    what = re.sub(r"\((?:'[^']*'(?:, )?)+,?\)", lambda keys: ".".join(re.findall("'([^']*)'", keys[0])), what)
    what = "the text is not closed on its line" if what == r"Illegal character '\n'" else what
    if line is None:
        return f"{what}, at the end of the text", _line_at(text, len(text.rstrip()))
    return f"{what}, at column {column}", int(line)


def _deepest_line(text: str) -> int:
    depth = deepest = at = 0
    for position, character in enumerate(text):
        depth += (character in "[{") - (character in "]}")
        if depth > deepest:
            deepest, at = depth, position
    return _line_at(text, at)


def _line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _refuse(line: int, rule: str, message: str, filename: str) -> NoReturn:
    raise ModelError([Problem(line=line, path="", rule=rule, message=message)], filename) from None
