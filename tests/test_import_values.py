"""Values of a map: what a line of MAP.toml makes of a row."""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from milepost.mapping.paths import Scope, Unfit, compile_condition, parse_path
from milepost.mapping.values import Kind, compile_value


def value(spec: str, row: dict[str, Any], kind: Kind = "any", **options: Any) -> Any:
    """What `x = SPEC` in a map gives for a row."""
    scope = Scope()
    get = compile_value(tomllib.loads(f"x = {spec}")["x"], kind, scope, "x", "/x", **options)
    assert not scope.problems, scope.problems
    return get(row)


def problems(spec: str, kind: Kind = "any", columns: frozenset[str] | None = None) -> list[str]:
    scope = Scope(columns=columns)
    compile_value(tomllib.loads(f"x = {spec}")["x"], kind, scope, "x", "/x")
    return scope.problems


@pytest.mark.parametrize(
    ("spec", "row", "wanted"),
    [
        ('"run"', {}, "run"),
        ('"{a}"', {"a": "1"}, "1"),
        ('"{a}"', {"a": [1, 2]}, [1, 2]),
        ('"{a}-{b}"', {"a": "x", "b": 2}, "x-2"),
        ('"{a}-{b}"', {"a": "x", "b": ""}, None),
        ('"{a}-{b}"', {"a": "x", "b": None}, None),
        ('"{{{a}}}"', {"a": "x"}, "{x}"),
        ("5", {}, 5),
        ("true", {}, True),
        ('["{a}", "{b}", "none"]', {"b": "second"}, "second"),
        ('["{a}", "{b}", "none"]', {}, "none"),
        ('"{a.b.1}"', {"a": {"b": ["x", "y"]}}, "y"),
        ('"{a.b.7}"', {"a": {"b": ["x", "y"]}}, None),
        ('"{a.b}"', {"a": "no object"}, None),
        ("""'{a."x.y/z".c}'""", {"a": {"x.y/z": {"c": 3}}}, 3),
        ('{ from = "a" }', {"a": "v"}, "v"),
        ('{ value = "v" }', {}, "v"),
        ('{ text = "{a}!" }', {"a": "v"}, "v!"),
        ('{ from = "a", map = { x = "y" } }', {"a": "x"}, "y"),
        ('{ from = "a", map = { 1 = "one" } }', {"a": 1}, "one"),
        ('{ from = "a", map = { true = "yes" } }', {"a": True}, "yes"),
        ('{ from = "a", map = { x = "y" }, default = "z" }', {"a": "other"}, "z"),
        ('{ from = "a", map = { x = "y" }, default = "z" }', {}, "z"),
        ('{ from = "a", map = { x = "y" }, default = "" }', {"a": "other"}, None),
        ('{ from = "a", when = { b = "1" } }', {"a": "v", "b": 1}, "v"),
        ('{ from = "a", when = { b = "1" } }', {"a": "v", "b": 2}, None),
        ('{ from = "a", missing = ["-", "NULL"] }', {"a": "NULL"}, None),
        ('{ from = "*" }', {"a": 1, "b": None}, {"a": 1, "b": None}),
    ],
)
def test_value(spec: str, row: dict[str, Any], wanted: Any) -> None:
    """Strings are templates, lists are alternatives, tables say more; a missing part makes the whole missing."""
    assert value(spec, row) == wanted


@pytest.mark.parametrize(
    ("spec", "given", "wanted"),
    [
        ('"{a}"', "5200.0", 5200),
        ('"{a}"', "5200.5", 5200.5),
        ('"{a}"', "-3", -3),
        ('"{a}"', 7.0, 7),
        ('"{a}"', "", None),
        ('"{a}"', "12345678901234567.25", Decimal("12345678901234567.25")),
        ('{ from = "a", times = 0.45359237 }', "100", Decimal("45.359237")),
        ('{ from = "a", times = 1000 }', "5.2", 5200),
        ('{ from = "a", decimals = 2 }', "2.345", Decimal("2.35")),
        ('{ from = "a", decimals = 2 }', 2.345, Decimal("2.35")),
        ('{ from = "a", decimals = 2 }', "2.3", Decimal("2.3")),
        ('{ from = "a", missing = [0] }', "0.0", None),
        ('{ from = "a", missing = [0] }', "0.5", 0.5),
        ('{ from = "a", missing_below = 0 }', "-182.5", None),
        ('{ from = "a", missing_below = 0 }', "0", 0),
        ('{ from = "a", missing_above = 10 }', "11", None),
    ],
)
def test_number(spec: str, given: Any, wanted: Any) -> None:
    """Numbers keep their digits; units, rounding and what counts as missing are the map's."""
    found = value(spec, {"a": given}, "number")
    assert found == wanted
    assert wanted is None or isinstance(found, type(wanted))


@pytest.mark.parametrize("given", ["abc", "1_000", "nan", "inf", "1e400", "0x10", True, [1], "5,2"])
def test_number_unfit(given: Any) -> None:
    """What is no finite number is said to be none, with the field's pointer and what was found."""
    with pytest.raises(Unfit) as caught:
        value('"{a}"', {"a": given}, "number")
    assert caught.value.pointer == "/x"
    assert caught.value.value == given
    assert "number" in caught.value.rule


@pytest.mark.parametrize(
    ("spec", "given", "wanted"),
    [
        ('"{a}"', "2020-06-10T02:50:56.537Z", datetime(2020, 6, 10, 2, 50, 56, 537000, UTC)),
        ('"{a}"', "2020-06-10T02:50:56+02:00", datetime(2020, 6, 10, 0, 50, 56, tzinfo=UTC)),
        ('{ from = "a", zone = "UTC" }', "2020-10-18 10:56:18.799", datetime(2020, 10, 18, 10, 56, 18, 799000, UTC)),
        ('{ from = "a", zone = "Europe/Berlin" }', "2020-07-01 12:00", datetime(2020, 7, 1, 10, tzinfo=UTC)),
        ('{ from = "a", zone = "Europe/Berlin" }', "1974-11-09", datetime(1974, 11, 8, 23, tzinfo=UTC)),
        ('{ from = "a", zone = "Europe/Berlin" }', "2020-07-01T12:00Z", datetime(2020, 7, 1, 12, tzinfo=UTC)),
        ('{ from = "a", format = "%d/%m/%Y", zone = "UTC" }', "31/12/2019", datetime(2019, 12, 31, tzinfo=UTC)),
        ('{ from = "a", format = ["iso", "%d.%m.%y"], zone = "UTC" }', "1.2.20", datetime(2020, 2, 1, tzinfo=UTC)),
        ('{ from = "a", format = "unix" }', 1.5, datetime(1970, 1, 1, 0, 0, 1, 500000, UTC)),
        ('{ from = "a", format = "unix_ms" }', "1600000000123", datetime(2020, 9, 13, 12, 26, 40, 123000, UTC)),
        ('{ from = "a", format = "unix" }', -86400, datetime(1969, 12, 31, tzinfo=UTC)),
        ('{ from = "a", zone = "UTC" }', date(2020, 1, 2), datetime(2020, 1, 2, tzinfo=UTC)),
        ('{ from = "a", zone = "UTC" }', datetime(2020, 1, 2, 3), datetime(2020, 1, 2, 3, tzinfo=UTC)),
        ('{ from = "a", unit = "days", after = "2014-02-01T00:00Z" }', "-5", datetime(2014, 1, 27, tzinfo=UTC)),
        ('{ from = "a", unit = "hours", after = "2014-02-01T00:00Z" }', "1.5", datetime(2014, 2, 1, 1, 30, tzinfo=UTC)),
        ("2014-02-01T00:00:00Z", None, datetime(2014, 2, 1, tzinfo=UTC)),
    ],
)
def test_time(spec: str, given: Any, wanted: datetime) -> None:
    """Times come in many forms, and leave with a zone."""
    assert value(spec, {"a": given}, "time") == wanted


def test_days_after_keep_the_hour_through_summer_time() -> None:
    """Ten days after a midnight is a midnight; ten times 24 hours is not, where the clocks change."""
    spec = '{{ from = "a", unit = "{}", after = "2014-03-25" }}'
    days = value(spec.format("days"), {"a": "10"}, "time", zone="Europe/London")
    hours = value(spec.format("hours"), {"a": "240"}, "time", zone="Europe/London")
    assert days == datetime(2014, 4, 3, 23, tzinfo=UTC)
    assert hours == datetime(2014, 4, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize("given", ["yesterday", "2020-13-01", "2020-06-10T02:50:56", 5, "99999999999999999999"])
def test_time_unfit(given: Any) -> None:
    """A time without a zone is nobody's, and what is no time is rejected."""
    with pytest.raises(Unfit):
        value('"{a}"', {"a": given}, "time")


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ('{ from = "a", lower = true }', "pedro01"),
        ('{ from = "a", lower = true, map = { pedro01 = "one" } }', "one"),
        ('{ from = "a", buckets = 1 }', "0"),
        ('{ from = "a", buckets = 4, map = { 0 = "n", 1 = "e", 2 = "s", 3 = "w" } }', "s"),
    ],
)
def test_text(spec: str, wanted: str) -> None:
    """Texts can be lowered and dealt into buckets before the map sees them; one text always falls into one bucket."""
    assert value(spec, {"a": "PEDRO01"}, "text") == wanted


def test_shorten_keeps_two_texts_two() -> None:
    """A long text is cut and ends in a hash of the whole."""
    spec = '{ from = "a", shorten = 64 }'
    one, two = value(spec, {"a": "x" * 100}, "text"), value(spec, {"a": "x" * 101}, "text")
    assert len(one) == len(two) == 64
    assert one != two
    assert value(spec, {"a": "x" * 64}, "text") == "x" * 64


@pytest.mark.parametrize(
    ("type_", "given", "wanted"),
    [("integer", "7", 7), ("decimal", "7.5", 7.5), ("boolean", "False", False), ("boolean", "1", True), ("text", 7, "7")],
)
def test_type(type_: str, given: Any, wanted: Any) -> None:
    """A CSV has only texts; `type` makes of one what the model declares."""
    assert value(f'{{ from = "a", type = "{type_}" }}', {"a": given}) == wanted
    assert value(f'{{ from = "a", type = "{type_}" }}', {}) is None


@pytest.mark.parametrize(("type_", "given"), [("integer", "7.5"), ("boolean", "perhaps")])
def test_type_unfit(type_: str, given: str) -> None:
    """What does not fit its type is rejected, not bent."""
    with pytest.raises(Unfit):
        value(f'{{ from = "a", type = "{type_}" }}', {"a": given})


def test_not_in_the_map_is_rejected() -> None:
    """A value that a map without default does not name is a reason to reject the row."""
    with pytest.raises(Unfit, match="not in the map"):
        value('{ from = "a", map = { x = "y" } }', {"a": "z"})


@pytest.mark.parametrize(
    ("condition", "row", "holds"),
    [
        ('{ a = "1" }', {"a": 1}, True),
        ('{ a = ["x", "y"] }', {"a": "y"}, True),
        ('{ a = ["x", "y"] }', {"a": "z"}, False),
        ('{ a = "x", b = "y" }', {"a": "x", "b": "z"}, False),
        ('{ a = { not = "x" } }', {"a": "y"}, True),
        ('{ a = { not = "x" } }', {}, True),
        ("{ a = { missing = true } }", {"a": ""}, True),
        ("{ a = { missing = false } }", {"a": "0"}, True),
        ("{ a = true }", {"a": True}, True),
        ('{ "a.b" = "x" }', {"a": {"b": "x"}}, True),
        ('{ a = "x" }', {"a": {"b": "x"}}, False),
        ('{ a = { like = "order.*" } }', {"a": "order.paid"}, True),
        ('{ a = { like = "order.*" } }', {"a": "reorder.paid"}, False),
        ('{ a = { like = "*a*b" } }', {"a": "ab"}, True),
        ('{ a = { like = "ab*ba" } }', {"a": "aba"}, False),
        ('{ a = { like = "run" } }', {"a": "running"}, False),
        ('{ a = { not = "x" }, b = { at_least = 9 } }', {"b": "9"}, True),
        ("{ a = { at_least = 9, at_most = 16 } }", {"a": 17}, False),
        ("{ a = { at_least = 9 } }", {"a": "many"}, False),
        ("{ a = { at_most = 9 } }", {}, False),
    ],
)
def test_condition(condition: str, row: dict[str, Any], holds: bool) -> None:
    """A condition looks at texts and JSON values alike."""
    scope = Scope()
    test = compile_condition(tomllib.loads(f"x = {condition}")["x"], scope, "x")
    assert not scope.problems
    assert test(row) is holds


@pytest.mark.parametrize(
    ("spec", "kind", "wanted"),
    [
        ('{ form = "a" }', "any", "x: 'form' is not known here, did you mean 'from'?"),
        ('{ from = "a", value = 1 }', "any", "x: needs one of from, text, value"),
        ('{ from = "a", forma = "%Y" }', "time", "x: 'forma' is not known here, did you mean 'format'?"),
        ('{ from = "a", decimals = 12 }', "number", "x.decimals: is a number of decimal places, 0 to 9"),
        ('{ from = "a", type = "date" }', "any", "x.type: is one of text, integer, decimal, boolean, time"),
        ('{ from = "a", zone = "Mars/Base" }', "time", "x.zone: 'Mars/Base' is not a time zone"),
        ('{ from = "a", unit = "days" }', "time", "x: an offset has unit"),
        ('"{a"', "any", "x: a '{' does not close"),
        ('"a}"', "any", "x: a '}' has no '{'"),
        ('"{}"', "any", "x: '' has an empty part"),
        ("""'{a."b}'""", "any", "x: a '{' does not close"),
        ('"{dist}"', "any", "x: there is no column 'dist', did you mean 'distance'?"),
        ('{ from = "a", map = { x = "y" }, default = "abc" }', "number", "x.default: is not a number"),
        ("[]", "any", "x: an empty list gives nothing"),
    ],
)
def test_problem(spec: str, kind: Kind, wanted: str) -> None:
    """A mistake in the map is named with its place and the nearest known word, before any row is read."""
    assert any(wanted in found for found in problems(spec, kind, frozenset({"a", "distance"})))


@pytest.mark.parametrize("text", ["", "a.", ".a", "a..b", '"a', '"a"b'])
def test_path_malformed(text: str) -> None:
    """A path that cannot be read raises a sentence."""
    with pytest.raises(ValueError, match=r"empty part|does not close|is expected"):
        parse_path(text)
