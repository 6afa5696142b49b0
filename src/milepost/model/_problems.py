"""What is wrong with a model: each mistake with its line, its rule and the nearest word that would have been
right.

A reader and a check write into one `Notes`; whoever holds it raises one `ModelError` with everything, ordered
by line, so that a model is mended in one go and not one mistake at a time.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from milepost.errors import MilepostError
from milepost.model._lines import LineIndex, Path, dotted

__all__ = ["RULES", "ModelError", "Notes", "Problem", "nearest_word", "quoted"]

# Treated as API: scripts may match on a slug. docs/model.md explains each, and a test holds that it does.
RULES = frozenset(
    {
        "syntax",
        "too-large",
        "too-deep",
        "missing-key",
        "unknown-key",
        "unknown-word",
        "report-parts",
        "report-per",
        "wrong-type",
        "bad-name",
        "reserved-name",
        "name-taken",
        "duplicate",
        "empty-list",
        "bad-type",
        "bad-value",
        "bad-number",
        "bad-duration",
        "bad-size",
        "bad-media-type",
        "bad-range",
        "out-of-range",
        "not-ascending",
        "unknown-time-zone",
        "unknown-group-kind",
        "unknown-verb",
        "unknown-measure",
        "unknown-field",
        "unknown-attribute",
        "unknown-rollup",
        "unknown-value",
        "unknown-source",
        "parent-cycle",
        "measure-scale-conflict",
        "measures-apart",
        "field-type-conflict",
        "search-needs-text",
        "needs-group",
        "board-window",
        "needs-time",
        "needs-text",
        "needs-number",
        "not-a-number",
        "goal-keys",
        "goal-per",
        "opens-and-closes",
        "objects-apart",
        "kept-twice",
        "identifier-too-long",
        "identifier-taken",
        "default-selects",
        "bad-map",
        "measure-scale-changed",
        "field-type-changed",
        "attribute-type-changed",
        "verb-in-use",
    }
)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake. `rule` is one of `RULES` and stays the same between versions; `message` is for people and
    may improve.
    """

    line: int  # from 1; 0 when the mistake has no place in a text
    path: str  # such as `rollups.team_distance.of[1]`; empty for the whole model
    rule: str
    message: str  # without the nearest word
    nearest: str | None = None  # what may have been meant

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        hint = f"; did you mean {quoted(self.nearest)}?" if self.nearest is not None else ""
        return f"line {self.line}: {place}{self.message}{hint} [{self.rule}]"


class ModelError(MilepostError):
    """The model has mistakes.

    `problems` holds all of them, ordered by line; `filename` is what the text was called.
    """

    def __init__(self, problems: Iterable[Problem], filename: str = "model.toml") -> None:
        self.problems = tuple(problems)
        self.filename = filename
        count = len(self.problems)
        heading = f"{filename} has {count} mistake{'s' if count != 1 else ''}"
        super().__init__("\n  ".join([heading, *map(str, self.problems)]))

    def __reduce__(self) -> tuple[type[ModelError], tuple[tuple[Problem, ...], str]]:
        return type(self), (self.problems, self.filename)


class Notes:
    """Collects the mistakes of one text. Noting never raises; the same mistake noted twice counts once."""

    def __init__(self, lines: LineIndex) -> None:
        self._lines = lines
        self._problems: dict[Problem, None] = {}

    def add(self, path: Path, rule: str, message: str, nearest: str | None = None) -> None:
        assert rule in RULES, rule
        path = self._lines.known_part(path) if path and isinstance(path[-1], int) else path
        line = self._lines.line(path)
        problem = Problem(line=line, path=dotted(path), rule=rule, message=message, nearest=nearest)
        self._problems[problem] = None

    def problems(self) -> tuple[Problem, ...]:
        return tuple(sorted(self._problems, key=lambda problem: problem.line))


def quoted(text: str) -> str:
    """The text as a reader of a message should see it: in quotes, control characters escaped, shortened to 60
    characters.
    """
    return json.dumps(text if len(text) <= 60 else text[:59] + "…", ensure_ascii=False)


def nearest_word(word: str, known: Iterable[str]) -> str | None:
    """The known word that looks most like this one, or None when none is near.

    Case, and `-` or a blank for `_`, are the commonest slips and win over similarity. Very long words have no
    near one: difflib is quadratic.
    """
    if len(word) > 100:
        return None
    candidates = sorted(set(known))
    for candidate in candidates:
        if _plain(candidate) == _plain(word):
            return candidate
    cutoff = 0.6 if len(word) <= 4 else 0.7  # one wrong letter of three is 0.67; a longer word must be closer
    return next(iter(difflib.get_close_matches(word, candidates, n=1, cutoff=cutoff)), None)


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_")
