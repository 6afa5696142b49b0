"""The two example models read whole, with every default, and no text makes the parser raise anything but ModelError."""

from __future__ import annotations

import pickle
import tomllib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milepost.model import (
    Board,
    Content,
    Field,
    Goal,
    GroupKind,
    Keep,
    Latest,
    Measure,
    ModelError,
    Pair,
    Pending,
    Report,
    Rollup,
    Term,
    Value,
    parse_model,
)

MODELS = Path(__file__).parent / "models"
LEFT_OUT = "# ── what the example on one page leaves out ──"
FITNESS = (MODELS / "fitness.toml").read_text()
CLASSROOM = (MODELS / "classroom.toml").read_text()


def test_fitness_reads_as_declared() -> None:
    """Groups, verbs, rollups, goals, boards and keep come out as written, defaults filled in."""
    model = parse_model(FITNESS)
    assert (model.name, model.time_zone, model.filters) == ("fitness", "UTC", ("verb",))
    assert model.groups["league"] == GroupKind(name="league")
    assert model.groups["team"] == GroupKind(
        name="team",
        parent="league",
        roles={"captain": ("read", "write", "invite", "correct"), "member": ("read", "write")},
        attributes={"goal_m": "integer"},
    )
    run = model.verbs["run"]
    assert run.object == "workout"
    assert run.measures["distance_m"] == Measure(name="distance_m", scale=1, minimum=0, maximum=500_000)
    assert run.measures["duration_s"] == Measure(name="duration_s", minimum=0)
    assert run.data == {"note": Field(name="note", search="english"), "device": Field(name="device", filter=True)}
    distance = Value(function="sum", arguments=("distance_m",), text="sum(distance_m)")
    assert model.rollups["team_distance"] == Rollup(
        name="team_distance",
        of=("run", "ride", "walk"),
        by=("group",),
        belongs="membership",
        per=("day", "week", "all"),
        values=(
            Value(function="count", text="count"),
            distance,
            Value(function="distinct", arguments=("actor",), text="distinct(actor)"),
        ),
    )
    assert model.goals["team_goal"] == Goal(
        name="team_goal", rollup="team_distance", value=distance, target="group.goal_m", milestones=(25, 50, 75, 100)
    )
    assert model.boards["distance"] == Board(
        name="distance",
        rank="actor",
        within=("group", "everywhere"),
        by=distance,
        of=("run", "ride", "walk"),
        windows=("day", "week", "month", "all"),
        scores=("public", "group"),
    )
    assert model.keep["default"] == Keep(name="default", hot="13 months", archive="5 years", then="delete")
    assert model.column_fields() == ("device",)


def test_classroom_reads_as_declared() -> None:
    """Content, latest, pending, reports and a keep of its own come out as written."""
    model = parse_model(CLASSROOM)
    assert model.verbs["assign"].content == Content(versions=True, offload_over=4096)
    assert model.verbs["assign"].data["weight"] == Field(name="weight", type="decimal", scale=3)
    assert model.verbs["grade"].content is None
    assert model.latest["grade_book"] == Latest(
        name="grade_book", of=("grade",), by=("group", "object", "actor"), values=("score",)
    )
    assert model.pending["assessments"] == Pending(
        name="assessments", given="assign", done=("submit", "excuse"), by="object", due="assign.due"
    )
    assert model.reports["class_grades"] == Report(
        name="class_grades",
        source="grade_book",
        by=("group", "actor"),
        values=("weighted_avg(score, assign.weight)", "share(score >= 40)"),
    )
    assert model.keep["assessment"] == Keep(
        name="assessment", of=("assign", "submit", "grade"), age="last change", hot="3 years", archive="7 years"
    )


@pytest.mark.parametrize(("text", "missing"), [(FITNESS, {"ride", "walk"}), (CLASSROOM, {"school", "submit", "excuse"})])
def test_only_declarations_are_missing_from_the_examples(text: str, missing: set[str]) -> None:
    """An example cut to one page has nothing wrong with it but the verbs and kinds it does not declare."""
    with pytest.raises(ModelError) as caught:
        parse_model(text[: text.index(LEFT_OUT)])
    assert {problem.rule for problem in caught.value.problems} <= {"unknown-verb", "unknown-group-kind"}
    assert {problem.message.split('"')[1] for problem in caught.value.problems} == missing


def test_short_and_long_forms_mean_the_same() -> None:
    """A measure, a data field and a list of one may be written short."""
    short = """
        name = "shop"
        filters = ["verb", "source", "status"]
        verbs.buy.measures.price = "decimal(2)"
        verbs.buy.data.coupon = "text"
        rollups.sales = { of = "buy", by = "tenant", values = "sum( price )", per = "day" }
    """
    long = """
        name = "shop"
        filters = ["verb", "source", "status"]
        [verbs.buy]
        measures.price = { type = "decimal(2)" }
        data.coupon = { type = "text", filter = false }
        [rollups.sales]
        of = ["buy"]
        by = ["tenant"]
        values = ["sum(price)"]
        per = ["day"]
        belongs = "addressed"
        ancestors = true
    """
    assert parse_model(short) == parse_model(long)
    assert parse_model(short).filters == ("verb", "source", "status")


def test_terms_pairs_and_every_value() -> None:
    """A term is a bucket of its own; each value function reads its arguments."""
    model = parse_model("""
        name = "help"
        time_zone = "Asia/Kathmandu"
        terms.spring = { first = 2026-02-01, last = 2026-06-30 }
        [verbs.open_issue]
        object = "issue"
        data.severity = { type = "integer" }
        measures.minutes = "integer"
        measures.weight = "decimal(3)"
        [verbs.resolve_issue]
        object = "issue"
        [pairs.resolution]
        open = ["open_issue"]
        close = ["resolve_issue"]
        [rollups.effort]
        of = ["open_issue", "resolve_issue"]
        by = ["tenant", "actor", "verb", "object", "source", "status", "data.severity"]
        ancestors = false
        per = ["hour", "day", "week", "month", "spring", "all"]
        values = ["count", "sum(minutes)", "avg(minutes)", "weighted_avg(minutes,weight)", "min(minutes)",
                  "max(minutes)", "distinct(actor)", "distinct(data.severity)", "first_at", "last_at",
                  "share(weight>=0.250)", "share(minutes < -5)"]
    """)
    assert model.terms["spring"] == Term(name="spring", first=date(2026, 2, 1), last=date(2026, 6, 30))
    assert model.pairs["resolution"] == Pair(name="resolution", open=("open_issue",), close=("resolve_issue",))
    effort = model.rollups["effort"]
    assert effort.ancestors is False
    assert [value.text for value in effort.values][3] == "weighted_avg(minutes, weight)"
    assert effort.values[-2] == Value(
        function="share", arguments=("weight",), comparison=">=", threshold="0.25", text="share(weight >= 0.25)"
    )
    assert (effort.values[-1].comparison, effort.values[-1].threshold) == ("<", "-5")
    assert model.column_fields() == ("severity",)


def test_a_filter_of_one_verb_is_a_filter_of_the_field() -> None:
    """A field that any verb declares as a filter is a column, in whichever order the verbs stand."""
    for first, second in (("true", "false"), ("false", "true")):
        model = parse_model(f"""
            name = "any"
            verbs.run.data.device = {{ type = "text", filter = {first} }}
            verbs.ride.data.device = {{ type = "text", filter = {second} }}
        """)
        assert model.fields()["device"].filter
        assert model.column_fields() == ("device",)


def test_the_error_tells_everything_at_once() -> None:
    """The error's text is a heading with the file's name, then a line a mistake; it survives pickling."""
    text = 'name = "x"\nverbs.run.objekt = "y"\nkeep.default.hot = "13 moons"\n'
    with pytest.raises(ModelError) as caught:
        parse_model(text, "my.toml")
    assert str(caught.value).splitlines() == [
        "my.toml has 2 mistakes",
        '  line 2: verbs.run.objekt: unknown key "objekt"; known here: object, measures, data, search_data, content, files; '
        'did you mean "object"? [unknown-key]',
        '  line 3: keep.default.hot: "13 moons" is not a duration: write one such as 90 days or 13 months; '
        'did you mean "13 months"? [bad-duration]',
    ]
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.problems, again.filename, str(again)) == (caught.value.problems, "my.toml", str(caught.value))


# ── garbage ──

_SECTIONS = ["groups", "verbs", "rollups", "latest", "pairs", "goals", "terms", "boards", "pending", "reports", "keep"]
_KEYS = [
    "name", "time_zone", "filters", "parent", "roles", "attributes", "object", "measures", "data", "content", "type",
    "min", "max", "filter", "search", "versions", "offload_over", "files", "types", "most", "of", "by", "belongs", "ancestors", "per", "values",
    "open", "close", "value", "target", "milestones", "first", "last", "rank", "within", "windows", "scores", "ties",
    "order", "given", "done", "due", "from", "age", "hot", "archive", "then", "x", "run", "default", '"a b"', '""',
]  # fmt: skip
_VALUES = [
    '"run"', '"x"', '""', '"group"', '"sum(x)"', '"share(x >= 1.5)"', '"x.sum(x)"', '"group.x"', '"data.x"',
    '"decimal(2)"',
    '"integer"', '"4 KiB"', '"13 months"', "true", "0", "-1", "1e400", "nan", "0.1", "2026-02-01",
    "2026-02-01T00:00:00Z",
    "07:32:00", "[]", "{}", '["run", "run", 1, ""]', "[50, 20, true]", "{ x = 1 }", "[[1], {a.b = 2}]", '"""\na"b\n"""',
    "0x" + "f" * 5000, '"' + "y" * 300 + '"', '"Europe/Berln"', '"\\u0000"',
]  # fmt: skip


@st.composite
def almost_models(draw: st.DrawFn) -> str:
    lines = []
    for _ in range(draw(st.integers(0, 12))):
        if draw(st.integers(0, 3)) == 0:
            lines.append(f"[{draw(st.sampled_from(_SECTIONS))}.{draw(st.sampled_from(_KEYS))}]")
        parts = draw(st.lists(st.sampled_from(_KEYS + _SECTIONS), min_size=1, max_size=4))
        lines.append(f"{'.'.join(parts)} = {draw(st.sampled_from(_VALUES))}")
    return "\n".join(lines)


def refused_or_read(text: str) -> None:
    try:
        parse_model(text)
    except ModelError as error:
        assert error.problems
        lines = [problem.line for problem in error.problems]
        assert lines == sorted(lines)
        assert lines[0] >= 1
        assert lines[-1] <= text.count("\n") + 1
        assert str(error)


@settings(max_examples=400, deadline=None)
@given(almost_models())
def test_nearly_a_model_never_breaks_the_parser(text: str) -> None:
    """Keys and values of the language in the wrong places make problems, each with a line of the text."""
    refused_or_read(text)


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("ab_.=[]{}\"'\\\n\r\t #,1-:é\x00\ud800"), max_size=60))
def test_garbage_never_breaks_the_parser(text: str) -> None:
    """Any text at all is read or refused."""
    refused_or_read(text)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_model_never_breaks_the_parser(data: st.DataObject) -> None:
    """A good model with a few pieces cut out, doubled or put elsewhere is read or refused."""
    text = FITNESS if data.draw(st.booleans()) else CLASSROOM
    for _ in range(data.draw(st.integers(1, 4))):
        start, end = sorted(data.draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
        piece = text[start : min(end, start + 80)]
        at = data.draw(st.integers(0, len(text)))
        text = data.draw(st.sampled_from([text.replace(piece, "", 1), text[:at] + piece + text[at:]]))
    refused_or_read(text)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "{a = " * 100_000,
        ".".join(["a"] * 100_000) + " = 1",
        "a = " + "9" * 5000,
        "[" + ".".join(["'a'"] * 1000) + "]",
        'name = "x"\n' + "#" * 1_100_000,
        "x" * 1_000_000,
        '"' * 1_000_000,
        "a.b " * 200_000,
        "'" * 500_000 + "\n" + '"' * 500_000,
    ],
    ids=lambda text: text[:12],
)
def test_hostile_texts_are_refused_quickly(text: str) -> None:
    """Deep nesting, long keys and long numbers end in a problem, not in exhaustion."""
    with pytest.raises(ModelError):
        parse_model(text)


def test_the_examples_are_toml() -> None:
    """What the tests call left out is only a comment: the whole file is one valid TOML text."""
    assert tomllib.loads(FITNESS)["name"] == "fitness"
    assert tomllib.loads(CLASSROOM)["name"] == "classroom"
