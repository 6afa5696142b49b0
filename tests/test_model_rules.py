"""Each rule of the model language: what breaks it is named with its line, its rule and the nearest known word, and no more.

The cases lie in models/mistakes.txt, which says how they are written. Everything found is compared, so that no mistake may be
named because of another.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from milepost.model import RULES, ModelError, Problem, parse_model

MISTAKES = (Path(__file__).parent / "models" / "mistakes.txt").read_text()
CASES: dict[str, str] = dict(re.findall(r"^=== (.+)\n((?:(?!=== ).*\n)*)", MISTAKES, re.MULTILINE))
BASE = CASES["base (alone)"]

Mistake = tuple[int, str, str | None]  # line, rule, nearest word


def text_of(name: str) -> str:
    return CASES[name] if name.endswith(" (alone)") else BASE + CASES[name]


def expected_in(text: str) -> list[Mistake]:
    found: list[Mistake] = []
    for line, written in enumerate(text.split("\n"), start=1):
        _, mark, notes = written.partition("#! ")
        for note in notes.split(";") if mark else ():
            rule, arrow, near = note.partition("→")
            found.append((line, rule.strip(), near.strip() if arrow else None))
    return found


def problems_of(text: str) -> tuple[Problem, ...]:
    try:
        parse_model(text)
    except ModelError as error:
        return error.problems
    return ()


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_named_with_line_rule_and_nearest_word(name: str) -> None:
    """Exactly the marked mistakes are found, on their lines."""
    text = text_of(name)
    found = problems_of(text)
    named = [(problem.line, problem.rule, problem.nearest) for problem in found]
    assert named == expected_in(text), "\n".join(map(str, found))


def test_every_rule_has_a_case() -> None:
    """Rules of changes between models are tested with them; of texts that are hard to write down, below."""
    tested = {rule for name in CASES for _, rule, _ in expected_in(CASES[name])}
    assert RULES - tested == {
        "too-large",
        "too-deep",
        "measure-scale-changed",
        "field-type-changed",
        "attribute-type-changed",
        "verb-in-use",
    }


@pytest.mark.parametrize(
    ("last_line", "rule", "line"),
    [
        ("#" * (1024 * 1024), "too-large", 1),
        ("x = " + "[" * 5000, "too-deep", 3),
        ("x = " + "{ x = " * 5000, "too-deep", 3),
        ("x" + ".x" * 40 + " = 1", "too-deep", 3),
        ("x = " + "9" * 5000, "syntax", 3),
        ('x = "\ud800"', "syntax", 3),
    ],
    ids=["too many characters", "deep arrays", "deep tables", "a deep key", "too many digits", "half a character"],
)
def test_texts_that_cannot_be_read(last_line: str, rule: str, line: int) -> None:
    """What would exhaust the parser, or is no text, ends in one problem with its line."""
    (problem,) = problems_of(f'name = "x"\nverbs.run = {{}}\n{last_line}\n')
    assert (problem.line, problem.rule, problem.path) == (line, rule, "")


def test_a_syntax_error_says_what_and_where() -> None:
    """tomllib's message comes with the column, and with keys as TOML writes them."""
    (twice,) = problems_of(BASE + "[verbs.run]\n")
    assert twice.message == "Cannot declare verbs.run twice, at column 11"
    (unclosed,) = problems_of('name = "x"\nfilters = ["verb"\n\n')
    assert (unclosed.line, unclosed.message) == (2, "Unclosed array, at the end of the text")


def test_a_problem_names_its_path() -> None:
    """The path is as TOML would write it, to the element of a list; a list of one written as a text has no position."""
    rollup = '[rollups.x]\nof = ["run", "rset"]\nby = "verbs"\nvalues = "count"\n'
    found = problems_of(BASE + rollup + '[verbs."odd verb"]\nobject = 1')
    assert [problem.path for problem in found] == [
        "rollups.x.of[1]",
        "rollups.x.by",
        'verbs."odd verb"',
        'verbs."odd verb".object',
    ]


def test_all_mistakes_are_named_at_once() -> None:
    """Mistakes of form and of reference, in all sections, come together and in order of lines."""
    names = ["a type", "a parent", "a verb kept twice", "a due date", "a goal's value", "a board's words", "verbs"]
    text = BASE
    for at, name in enumerate(names):
        text += re.sub(r"^\[(\w+)\.(\w+)\]", rf"[\g<1>.\g<2>_{at}]", CASES[name], flags=re.MULTILINE)
    found = problems_of(text)
    assert [(problem.line, problem.rule, problem.nearest) for problem in found] == expected_in(text)
    assert len(found) > 15
