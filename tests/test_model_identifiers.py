"""The table names that the model checks are those that the compiler makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from milepost.model import parse_model
from milepost.model._identifiers import IDENTIFIER_BYTES_MAX, identifiers

MODELS = Path(__file__).parent / "models"

EVERYTHING = """
name = "everything"
filters = []
verbs.open.measures.minutes = "integer"
verbs.open.data.place = { type = "text", filter = true }
verbs.close = {}
latest.last = { of = ["open"], by = ["actor"], values = ["minutes"] }
pairs.times = { open = ["open"], close = ["close"] }
[rollups.work]
of = ["open"]
by = ["data.place"]
values = [
  "min(minutes)",
  "distinct(actor)", "distinct(group)", "distinct(object)", "distinct(source)", "distinct(data.place)",
]
"""


@pytest.mark.parametrize("text", [EVERYTHING, (MODELS / "fitness.toml").read_text(), (MODELS / "classroom.toml").read_text()])
def test_the_compiler_makes_no_name_that_is_not_checked(text: str) -> None:
    """Every table, temporary table and named index of a compiled model is one that was looked at for length
    and clashes.
    """
    compile_model = pytest.importorskip("milepost.schema.compile").compile_model
    model = parse_model(text)
    compiled = compile_model(model)
    statements = [*compiled.activity.ddl, *(part for derived in compiled.derived() for part in derived.ddl)]
    statements += [part for derived in compiled.derived() for part in derived.temp_ddl]
    made = set()
    for statement in statements:
        made |= set(re.findall(r"CREATE (?:TEMP )?TABLE (?:IF NOT EXISTS )?(?:milepost\.)?(\w+) \(", statement))
        made |= set(re.findall(r"CREATE INDEX (?:IF NOT EXISTS )?(\w+) ON ", statement))
    of_filters = {f"activity_{name}" for name in model.filters}
    assert made - of_filters <= {identifier for _, identifier in identifiers(model)}
    assert made


def test_a_name_of_full_length_fits_everywhere_but_with_another() -> None:
    """48 letters leave room for what is put around one name; only a distinct field's table holds two."""
    long = "n" * 48
    model = parse_model(f"""
        name = "{long}"
        verbs.{long} = {{ measures.{long} = "integer", data.{long} = {{ filter = true }} }}
        rollups.{long} = {{ of = "{long}", by = "actor", values = ["sum({long})"] }}
        latest.{"l" * 48} = {{ of = "{long}", by = "actor" }}
        pairs.{"p" * 48} = {{ open = "{long}", close = "other" }}
        verbs.other = {{}}
    """)
    assert max(len(identifier) for _, identifier in identifiers(model)) <= IDENTIFIER_BYTES_MAX
