"""The line index finds the line of every key and array element that tomllib reads, however the text is laid out."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milepost.model._lines import LineIndex, Path, dotted

TRICKY = '''\
# a comment with [brackets] and "quotes
top = 1 # [not.a.header]
a.b . c = 2
"quoted.key"."with \\"escape\\u0041" = 3
'literal "key"' = 4
text = """
[not.a.header]
looks = "like a key" \\
""" # after
raw = \'\'\'
''also not' = 1
five = \'\'\'\'\'
ends = """x"""""
array = [ # comment ] here
  1, "two ] [", # three
  [ 4,
    5 ], { x = 6, y.z = [
      7 ] },

  \'\'\'
eight\'\'\', 2026-02-01 07:00:00,
]
inline = { a = "}", b = { c = [] }, "d e" = \'#\' }

[ table . "x y" ]
key = true

[table]
later = 1979-05-27T07:32:00Z
[[many]]
n = 1
[[many]]
n = 2
sub.key = 3
[many.table]
deep = 4
[[many.inner]]
m = 5
[[many.inner]]
'''

LINES: list[tuple[Path, int]] = [
    (("top",), 2),
    (("a",), 3),
    (("a", "b", "c"), 3),
    (("quoted.key", 'with "escapeA'), 4),
    (('literal "key"',), 5),
    (("text",), 6),
    (("raw",), 10),
    (("ends",), 13),
    (("array",), 14),
    (("array", 0), 15),
    (("array", 1), 15),
    (("array", 2), 16),
    (("array", 2, 0), 16),
    (("array", 2, 1), 17),
    (("array", 3, "x"), 17),
    (("array", 3, "y"), 17),
    (("array", 3, "y", "z", 0), 18),
    (("array", 4), 20),
    (("array", 5), 21),
    (("inline", "b", "c"), 23),
    (("inline", "d e"), 23),
    (("table", "x y"), 25),
    (("table", "x y", "key"), 26),
    (("table",), 28),
    (("table", "later"), 29),
    (("many",), 30),
    (("many", 0), 30),
    (("many", 0, "n"), 31),
    (("many", 1), 32),
    (("many", 1, "n"), 33),
    (("many", 1, "sub", "key"), 34),
    (("many", 1, "table", "deep"), 36),
    (("many", 1, "inner", 0, "m"), 38),
    (("many", 1, "inner", 1), 39),
]


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from paths(part, (*path, key))


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_every_form_of_key_has_its_line(line_end: str) -> None:
    """Dotted, quoted and inline keys, tables, arrays of tables, and what follows values of many lines."""
    text = TRICKY.replace("\n", line_end)
    index = LineIndex(text)
    assert [(path, index.line(path)) for path, _ in LINES] == LINES
    assert set(index._lines) == set(paths(tomllib.loads(text)))


def test_what_is_not_there_has_the_line_of_what_it_would_be_in() -> None:
    """A missing key is looked for in its table; a position in a list of one, written as a text, at the text."""
    index = LineIndex('\n[verbs.run]\nobject = "x"\n')
    assert index.line(("verbs", "run", "data", "x")) == 2
    assert index.line(("verbs", "run", "object", 0)) == 3
    assert index.line(("nothing",)) == 1
    assert index.known_part(("verbs", "run", "object", 0)) == ("verbs", "run", "object")
    assert LineIndex("").line(("x",)) == 1


def test_a_path_is_written_as_toml_would() -> None:
    """Keys that need quotes have them, and positions stand in brackets."""
    assert dotted(()) == ""
    assert dotted(("rollups", "km", "of", 1)) == "rollups.km.of[1]"
    assert dotted(("verbs", "a b", "x")) == 'verbs."a b".x'


_key = st.sampled_from(["a", "b-1", '"q.r"', "'l \"x'", '"\\u00e9\\"="', "''", '"""'[:2]])
_dotted = st.lists(_key, min_size=1, max_size=3).map(" . ".join)
_blank = st.sampled_from(["", " ", "\t"])
_gap = st.sampled_from(["", " ", "\n", " # ] } \" '''\n ", "\n\n"])
_scalar = st.sampled_from(
    [
        '"s"',
        '"a]\\"}#"',
        "'[{#'",
        '"""\n[x]\n"\\"""""',
        "'''\n''y''''",
        "1",
        "-1.5e3",
        "true",
        "2026-02-01 07:00:00",
        "inf",
    ]
)


def _array(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    element = st.tuples(_gap, inner, _gap).map("".join)
    closing = st.sampled_from(["]", ",]", ", # last ]\n]"])
    full = st.tuples(st.lists(element, min_size=1, max_size=3).map(",".join), closing).map("".join)
    return st.one_of(full, _gap.map(lambda gap: gap + "]")).map("[".__add__)


def _inline(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(_blank, _dotted, st.just(" ="), _blank, inner, _blank).map("".join)
    return st.lists(pair, max_size=3).map(lambda pairs: "{" + ",".join(pairs) + "}")


_value = st.recursive(_scalar, lambda inner: _array(inner) | _inline(inner), max_leaves=6)
_line = st.one_of(
    st.tuples(_blank, _dotted, _blank, st.just("="), _blank, _value, st.sampled_from(["", " # x = [1]"])).map("".join),
    _dotted.map(lambda key: f"[ {key} ]"),
    _dotted.map(lambda key: f"[[{key}]]"),
    st.sampled_from(["", "# [comment]"]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(_line, max_size=6).map("\n".join))
def test_the_index_holds_exactly_the_paths_that_tomllib_reads(text: str) -> None:
    """Whatever valid TOML the text is, no key or element is missed, made up, or placed outside of it."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    index = LineIndex(text)
    assert set(index._lines) == set(paths(document))
    assert all(1 <= line <= text.count("\n") + 1 for line in index._lines.values())
