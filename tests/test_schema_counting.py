"""What activities of some verbs count for: the parts of a compiled model that a load of few runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from histories import MODEL
from milepost.model import parse_model
from milepost.schema.compile import (
    CompiledBoard,
    CompiledLatest,
    CompiledMilestones,
    CompiledModel,
    CompiledPair,
    CompiledRollup,
    compile_model,
)

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*/model.toml"))
MODELS = {"histories": MODEL} | {path.parent.name: path.read_text(encoding="utf-8") for path in EXAMPLES}
VERBS = re.compile(r"\bverb IN \(([^)]*)\)")


def statements(
    part: CompiledRollup | CompiledLatest | CompiledPair | CompiledBoard | CompiledMilestones,
) -> Iterator[str]:
    """Those that read the delta."""
    match part:
        case CompiledMilestones():
            yield part.touch
        case CompiledPair():
            yield part.note_dirty
        case CompiledLatest():
            yield from (part.fold, part.note_dirty)
        case CompiledBoard():
            yield from (part.tally.fold, part.tally.note_dirty or part.tally.fold)
        case CompiledRollup():
            yield from (part.fold, part.note_dirty or part.fold)


@pytest.fixture(params=MODELS)
def compiled(request: pytest.FixtureRequest) -> CompiledModel:
    return compile_model(parse_model(MODELS[request.param]))


def test_each_part_reads_the_verbs_that_it_is_of(compiled: CompiledModel) -> None:
    """And no others: without any of them in the delta, its statements would change nothing."""
    for part in compiled.derived():
        for statement in statements(part):
            found = VERBS.findall(statement)
            assert found, part.name
            for verbs in found:
                assert {verb.strip(" '") for verb in verbs.split(",")} == set(part.of), part.name


def test_what_verbs_count_for(compiled: CompiledModel) -> None:
    """Parts of other verbs are left out; those of all verbs together are all."""
    verbs = compiled.model.verbs
    for verb in verbs:
        assert list(compiled.counting([verb]).derived()) == [part for part in compiled.derived() if verb in part.of]
    assert list(compiled.counting(verbs).derived()) == list(compiled.derived())
    assert list(compiled.counting([]).derived()) == []
