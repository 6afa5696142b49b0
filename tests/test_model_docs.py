"""docs/model.md is the reference of the language: its TOML is one valid model, and it leaves out no key and no rule."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from milepost.model import (
    RULES,
    Board,
    Content,
    Field,
    Goal,
    GroupKind,
    Keep,
    Latest,
    Map,
    Measure,
    Model,
    Pair,
    Pending,
    Report,
    Rollup,
    Term,
    Verb,
    parse_model,
)

PAGE = (Path(__file__).parents[1] / "docs" / "model.md").read_text()
BLOCKS = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))

KINDS: list[tuple[str, type]] = [
    ("groups", GroupKind),
    ("verbs", Verb),
    ("verbs", Measure),
    ("verbs", Field),
    ("verbs", Content),
    ("terms", Term),
    ("rollups", Rollup),
    ("latest", Latest),
    ("pairs", Pair),
    ("goals", Goal),
    ("boards", Board),
    ("pending", Pending),
    ("reports", Report),
    ("keep", Keep),
    ("maps", Map),
]
# Fields that the language calls otherwise, or that follow from what it says.
WORDS = {
    "source": "from",
    "minimum": "min",
    "maximum": "max",
    "scale": "type",
    "rollup": "value",
    "activities_min": "minimum",
    "searched": "search",
}


def test_the_page_is_one_model() -> None:
    """Its blocks, one after the other, parse, and declare something in every section."""
    model = parse_model("\n".join(BLOCKS), "docs/model.md")
    assert all(getattr(model, section) for section in {name for name, _ in KINDS})
    assert len(BLOCKS) == PAGE.count("```toml")


@pytest.mark.parametrize(("section", "kind"), KINDS, ids=lambda part: part if isinstance(part, str) else part.__name__)
def test_every_key_of_a_section_is_explained(section: str, kind: type) -> None:
    """Each field of what the section declares has a row in a table of it, under the word of the language."""
    rows = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| ([^|]*) \|", SECTIONS[section], re.MULTILINE))))
    keys = {WORDS.get(part.name, part.name) for part in dataclasses.fields(kind)} - {"name"}
    assert keys <= rows


def test_every_section_and_key_of_the_whole_is_explained() -> None:
    """What is not a section has a row in the first table."""
    head = PAGE[: PAGE.index("\n## ")]
    for part in dataclasses.fields(Model):
        assert part.name in SECTIONS or f"| `{part.name}` |" in head


def test_every_rule_is_explained() -> None:
    """The table of rules holds each rule once, and no other."""
    rows = re.findall(r"^\| `([a-z-]+)` \|", SECTIONS["Rules"], re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == RULES
