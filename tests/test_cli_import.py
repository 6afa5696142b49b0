"""`milepost import`: what it prints, where it leaves rejects, and how it says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fix_cli import Command

pytest_plugins = ["fix_cli"]

MODEL = """
name = "fitness"
[verbs.run]
object = "workout"
measures.distance_m = { type = "decimal(1)", min = 0, max = 1000 }
"""
MAP = """
[[activities]]
key = "{id}"
occurred_at = "{at}"
actor = "{who}"
verb = "run"
measures.distance_m = "{m}"
"""
ROWS = "id,at,who,m\na,2026-03-01T07:12:00Z,ann,10.5\nb,2026-03-02T07:12:00Z,bob,5000\n"


@pytest.fixture
def ready(command: Command, tmp_path: Path) -> Command:
    """A database with a model and a tenant; model, map and rows lie in the current folder."""
    (tmp_path / "model.toml").write_text(MODEL)
    (tmp_path / "map.toml").write_text(MAP)
    (tmp_path / "rows.csv").write_text(ROWS)
    assert command("model", "apply", "model.toml").code == 0
    assert command("tenant", "create", "demo").code == 0
    return command


def test_json(ready: Command, tmp_path: Path) -> None:
    """`--json` prints one object and nothing else; a rejected row is no failure, and lies in the rejects file."""
    answer = ready("import", "rows.csv", "--map", "map.toml", "--tenant", "demo", "--json")
    assert answer.code == 0, answer.err
    found = answer.json
    assert (found["read"], found["accepted"], found["loaded"], found["duplicates"], found["rejected"]) == (2, 1, 1, 0, 1)
    assert found["reasons"] == {"activities[1] /measures/distance_m: Expected float <= 1000.0": 1}
    assert found["rejects"] == "rows.csv.rejects.jsonl"
    reject = json.loads((tmp_path / "rows.csv.rejects.jsonl").read_text())
    assert (reject["line"], reject["row"]["id"]) == (3, "b")


def test_text(ready: Command, tmp_path: Path) -> None:
    """A person is told the same, also that a second import brought nothing."""
    ready("import", "rows.csv", "--map", "map.toml", "--tenant", "demo", "--rejects", "bad.jsonl")
    answer = ready("import", "rows.csv", "--map", "map.toml", "--tenant", "demo", "--rejects", "bad.jsonl")
    assert answer.code == 0, answer.err
    assert "rows.csv: 2 rows in" in answer.out
    assert "accepted: 1 activities, 1 of them were there already" in answer.out
    assert "rejected: 1, in bad.jsonl" in answer.out
    assert "1 × activities[1] /measures/distance_m: Expected float <= 1000.0" in answer.out
    assert len((tmp_path / "bad.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        (MAP.replace("verb", "verbs"), [], "map.toml:6: activities[1].verbs: is not known here, did you mean 'verb'?"),
        (MAP.replace('"run"', '"rum"'), [], "activities[1].verb: 'rum' is no verb of the model, did you mean 'run'?"),
        (MAP.replace("{who}", "{whom}"), [], "activities[1].actor: there is no column 'whom', did you mean 'who'?"),
        (MAP + 'file = "x.csv"', [], "map.toml reads x.csv: rows.csv is none of them"),
        (MAP, ["--batch-rows", "20000"], "--batch-rows"),
    ],
)
def test_wrong_use(ready: Command, tmp_path: Path, change: str, words: list[str], said: str) -> None:
    """A map that does not fit the file or the model stops the import before anything is sent."""
    (tmp_path / "map.toml").write_text(change)
    answer = ready("import", "rows.csv", "--map", "map.toml", "--tenant", "demo", *words)
    assert answer.code == 2
    assert said in answer.err


def test_unknown_tenant(ready: Command) -> None:
    """A tenant that is not there ends the command with a sentence."""
    answer = ready("import", "rows.csv", "--map", "map.toml", "--tenant", "nobody")
    assert answer.code == 3
    assert "nobody" in answer.err
