"""docs/import.md: its examples make what it says, and it names every word that a map may have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fix_import import made_of
from milepost.importing._types import ReadOptions
from milepost.importing.mapping import COMMON, LOOKUP, READ, TOP
from milepost.importing.record import Counts
from milepost.importing.run import Summary
from milepost.mapping.entities import KEYS
from milepost.mapping.values import EVERY, OPTIONS

PAGE = (Path(__file__).parents[1] / "docs" / "import.md").read_text()
EXAMPLES = re.findall(r"`([\w.]+)`:\n\n```csv\n(.*?)```.*?```toml\n(.*?)```.*?```json\n(.*?)```", PAGE, re.DOTALL)


def objects(text: str) -> list[dict[str, Any]]:
    """JSON objects one after another, each over several lines."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text.rstrip()):
        one, end = decoder.raw_decode(text, at)
        found.append(one)
        at = end + 1
    return found


@pytest.mark.parametrize(("name", "rows", "map_text", "wanted"), EXAMPLES, ids=[example[0] for example in EXAMPLES])
async def test_example(tmp_path: Path, name: str, rows: str, map_text: str, wanted: str) -> None:
    """The file and the map of each example make what stands below them."""
    sink = await made_of(tmp_path, rows, map_text, name=name)
    assert [*sink.commands, *sink.activities] == objects(wanted)


def test_examples_were_found() -> None:
    """All three examples of the page are run."""
    assert len(EXAMPLES) == PAGE.count("```toml") == 3


def test_every_word_is_documented() -> None:
    """A key that a map may have, and a figure that an import prints, is on the page."""
    words = {*TOP, *LOOKUP, *READ, *COMMON, *EVERY}
    words |= {word for keys in KEYS.values() for word in keys} | {word for options in OPTIONS.values() for word in options}
    words |= set(Summary.__struct_fields__) - {"counts"} | set(Counts.__struct_fields__)
    said = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", PAGE))))
    assert words - said == set()
    assert set(READ) == set(ReadOptions.__dataclass_fields__)
