"""What applying another model means: names that came, went and changed, and the changes a database cannot
take.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from milepost.model import (
    Model,
    ModelChange,
    SectionChange,
    definition_hash,
    diff_models,
    model_fingerprint,
    parse_model,
    to_json,
)

FITNESS = (Path(__file__).parent / "models" / "fitness.toml").read_text()

OLD = """\
name = "base"
time_zone = "UTC"
terms.spring = { first = 2026-02-01, last = 2026-06-30 }
groups.league = {}
groups.team = { parent = "league", attributes = { goal = "integer", motto = "text" } }
verbs.run.measures.distance_m = "decimal(1)"
verbs.run.data.device = { type = "text", filter = true }
verbs.run.data.shoes = "text"
verbs.walk.measures.steps = "integer"
rollups.km = { of = ["run"], by = ["group"], values = ["sum(distance_m)"] }
rollups.season = { of = ["run", "walk"], by = ["actor"], values = ["count"], per = ["week", "spring"] }
latest.last_run = { of = ["run"], by = ["actor"], values = ["distance_m", "data.device"] }
pairs.outing = { open = ["run"], close = ["walk"] }
goals.far = { value = "km.sum(distance_m)", target = 100 }
boards.best = { rank = "actor", within = "everywhere", by = "count", of = "run", windows = ["week", "spring"] }
keep.default.hot = "1 year"
"""


def change(*edits: tuple[str, str]) -> ModelChange:
    """The change from OLD to OLD with some of its text replaced."""
    text = OLD
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return diff_models(parse_model(OLD), parse_model(text), text=text)


def differing(found: ModelChange) -> set[str]:
    return {name for name, part in vars(found).items() if isinstance(part, SectionChange) and part}


def test_the_same_model_written_differently_is_the_same() -> None:
    """Comments, order, short forms and defaults written out do not make another model."""
    found = change(
        ('name = "base"', '# a comment\nname   = "base"'),
        ('"decimal(1)"', '{ type = "decimal(1)" }'),
        ('of = ["run", "walk"], by = ["actor"]', 'by = "actor", of = ["walk", "run"], ancestors = true'),
        ('per = ["week", "spring"]', 'per = ["spring", "week"]'),
    )
    assert found.same
    assert differing(found) == set()
    assert found.refusals == ()


def test_names_that_came_and_went() -> None:
    """Sections list what was added and removed; a new measure or filter is a new column."""
    found = change(
        ("groups.league = {}\n", "groups.league = {}\ngroups.club = {}\n"),
        ('"integer"\nrollups', '"integer"\nverbs.swim.measures.lengths = "integer"\nrollups'),
        ('shoes = "text"', 'shoes = { type = "text", filter = true }'),
        ('goals.far = { value = "km.sum(distance_m)", target = 100 }\n', ""),
    )
    assert differing(found) == {"groups", "verbs", "measures", "columns", "goals"}
    assert found.groups.added == ("club",)
    assert found.verbs == SectionChange(added=("swim",), changed=("run",))
    assert found.measures == SectionChange(added=("lengths",))
    assert found.columns == SectionChange(added=("shoes",))
    assert found.goals == SectionChange(removed=("far",))
    assert found.refusals == ()
    assert not found.same


@pytest.mark.parametrize(
    ("old", "new", "refilled"),
    [
        ('by = ["group"], values', 'by = ["group", "verb"], values', {"rollups": ("km",)}),
        ('values = ["sum(distance_m)"]', 'values = ["sum(distance_m)", "count"]', {"rollups": ("km",)}),
        ('values = ["count"], per', 'values = ["count"], ancestors = false, per', {"rollups": ("season",)}),
        ("first = 2026-02-01", "first = 2026-03-01", {"rollups": ("season",), "boards": ("best",)}),
        ('"UTC"', '"Asia/Kolkata"', {"rollups": ("km", "season"), "boards": ("best",)}),
        ('by = ["actor"], values = ["distance_m"', 'by = ["object"], values = ["distance_m"', {"latest": ("last_run",)}),
        ('open = ["run"], close', 'open = ["run"], close = ["walk", "rest"] }\nverbs.rest = {}\n#', {"pairs": ("outing",)}),
        ('windows = ["week", "spring"]', 'windows = ["week", "spring"], order = "up"', {"boards": ("best",)}),
        ("target = 100", "target = 200", {}),
        ('"1 year"', '"2 years"', {}),
        ('decimal(1)"', 'decimal(1)" # not another type', {}),
    ],
)  # fmt: skip
def test_what_changed_is_filled_again(old: str, new: str, refilled: dict[str, tuple[str, ...]]) -> None:
    """A derived thing whose definition changed, by itself or by what it depends on, is removed and added."""
    text = OLD.replace("goals.far", "# goals.far") if "verb" in new else OLD
    after = text.replace(old, new)
    found = diff_models(parse_model(text), parse_model(after))
    for section in ("rollups", "latest", "pairs", "boards", "pending"):
        names = refilled.get(section, ())
        assert getattr(found, section) == SectionChange(added=names, removed=names), section


def test_a_changed_goal_is_only_changed() -> None:
    """A goal has no rows of its own."""
    found = change(("target = 100", "target = 200"))
    assert found.goals == SectionChange(changed=("far",))


def test_a_group_kind_or_verb_can_go() -> None:
    """Kinds that nothing needs, and verbs that nothing names any more, can be removed; what named them is
    filled again.
    """
    assert change(("groups.team =", "groups.crew =")).refusals == ()
    found = change(
        ('verbs.walk.measures.steps = "integer"\n', ""),
        ('of = ["run", "walk"]', 'of = ["run"]'),
        ('pairs.outing = { open = ["run"], close = ["walk"] }\n', ""),
    )
    assert found.verbs == SectionChange(removed=("walk",))
    assert found.rollups == SectionChange(added=("season",), removed=("season",))
    assert found.refusals == ()


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "rule"),
    [
        ('"decimal(1)"', '"decimal(2)"', 6, "verbs.run.measures.distance_m", "measure-scale-changed"),
        ('{ type = "text", filter', '{ type = "integer", filter', 7, "verbs.run.data.device", "field-type-changed"),
        ('motto = "text" }', 'motto = "integer" }', 5, "groups.team.attributes.motto", "attribute-type-changed"),
    ],
)
def test_an_incompatible_change_is_refused(old: str, new: str, line: int, path: str, rule: str) -> None:
    """What is stored one way cannot be another: the refusal has the new text's line and says what to do
    instead.
    """
    found = change((old, new), ("target = 100", 'target = "group.motto"' if "motto" in new else "target = 100"))
    (refusal,) = found.refusals
    assert (refusal.line, refusal.path, refusal.rule) == (line, path, rule)
    assert "with another name" in refusal.message


def test_a_field_that_is_no_column_may_change() -> None:
    """It lies in `data` as it was sent; only columns have one type for ever."""
    assert change(('shoes = "text"', 'shoes = "integer"')).refusals == ()


def test_an_attribute_that_is_no_target_may_change() -> None:
    """Attributes are kept as they were put; only what a goal reads must have been a number."""
    assert change(('motto = "text"', 'motto = "integer"')).refusals == ()


def test_a_removed_verb_that_is_still_named_is_refused() -> None:
    """Also for models built in Python, which no parser has checked; without a text there is no line."""
    old = parse_model(OLD)
    new = replace(old, verbs={"run": old.verbs["run"]})
    found = diff_models(old, new)
    assert [(refusal.line, refusal.path, refusal.rule) for refusal in found.refusals] == [
        (0, "rollups.season.of", "verb-in-use"),
        (0, "pairs.outing.close", "verb-in-use"),
    ]


def shuffled(model: Model, seed: int) -> Model:
    """The model with every section's entries in another order."""
    chance = random.Random(seed)
    sections = {name: part for name, part in vars(model).items() if isinstance(part, dict)}
    mixed: dict[str, Any] = {name: dict(chance.sample(list(part.items()), len(part))) for name, part in sections.items()}
    return replace(model, **mixed)


def test_the_fingerprint_does_not_depend_on_order() -> None:
    """Nor on the process: text hashes are salted, and this one must not be."""
    model = parse_model(FITNESS)
    assert {model_fingerprint(shuffled(model, seed)) for seed in range(5)} == {model_fingerprint(model)}
    program = "import sys; from milepost.model import *; print(model_fingerprint(parse_model(sys.stdin.read())))"
    ran = subprocess.run([sys.executable, "-c", program], input=FITNESS, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == model_fingerprint(model)


def test_any_change_of_meaning_changes_the_fingerprint() -> None:
    """Each single value of the text counts."""
    texts = [
        FITNESS,
        FITNESS.replace("UTC", "Europe/Berlin"),
        FITNESS.replace("max = 500_000", "max = 500_001"),
        FITNESS.replace('"captain"', '"chief"').replace("captain", "chief"),
        FITNESS.replace("[25, 50", "[20, 50"),
        FITNESS.replace('"earliest"', '"shared"'),
        FITNESS.replace("13 months", "14 months"),
    ]
    assert len({model_fingerprint(parse_model(text)) for text in texts}) == len(texts)


def test_the_json_is_canonical_and_complete() -> None:
    """One line of ASCII, keys sorted, with every section of the model."""
    written = to_json(parse_model(OLD))
    assert written.isascii()
    assert "\n" not in written
    read = json.loads(written)
    assert json.dumps(read, sort_keys=True, separators=(",", ":")) == written
    assert set(tomllib.loads(OLD)) <= set(read)
    assert read["terms"]["spring"] == {"name": "spring", "first": "2026-02-01", "last": "2026-06-30"}


def test_a_definition_is_told_apart_by_kind_and_by_what_it_depends_on() -> None:
    """Changes elsewhere in the model leave the hash of a rollup as it is."""
    model = parse_model(OLD)
    other = parse_model(OLD.replace("target = 100", "target = 5").replace('steps = "integer"', 'steps = "decimal(2)"'))
    for name in ("km", "season"):
        assert definition_hash(model.rollups[name], model) == definition_hash(other.rollups[name], other)
    assert definition_hash(model.rollups["km"], model) != definition_hash(model.rollups["season"], model)


def test_a_map_changes_nothing_that_is_stored() -> None:
    """Another order of its sections is a change of the map and of nothing else: the first that fits counts."""
    sections = [
        '[[maps.segment.activities]]\nverb = "run"\n',
        '[[maps.segment.activities]]\nwhere = { event = "Ride" }\nverb = "ride"\n',
    ]
    old, new = (parse_model(FITNESS + "".join(order)) for order in (sections, sections[::-1]))
    found = diff_models(old, new)
    assert not found.same
    assert differing(found) == {"maps"}
    assert found.maps == SectionChange(changed=("segment",))
