"""MAP.toml: what it says, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fix_import import RecordingSink, imported, made_of
from milepost.importing import ImportRefused, MapError, check_map, parse_map
from milepost.model import parse_model

RUNS = """
[[activities]]
key = "{id}"
occurred_at = "{at}"
actor = "{who}"
verb = "run"
"""


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "a map has at least one of"),
        ("[[activity]]", "m.toml:1: activity: is not known here, did you mean 'activities'?"),
        ("[activities]", "activities: is written [[activities]]"),
        ("zone = 'Nowhere'" + RUNS, "m.toml:1: zone: 'Nowhere' is not a time zone"),
        (RUNS + 'verbs = "x"', "m.toml:7: activities[1].verbs: is not known here, did you mean 'verb'?"),
        ("[[activities]]\nverb = 'x'", "activities[1]: needs occurred_at"),
        (RUNS + "measures.km = { frm = 'a' }", "m.toml:7: activities[1].measures.km: 'frm' is not known here, did you mean"),
        (RUNS + "object = { kind = 'x' }", "activities[1].object: is a table such as"),
        (RUNS + "groups = ['a']\ngroup = 'b'", "activities[1]: has either group or groups"),
        (RUNS + "drop = ['a']", "drop only says what rest = true leaves out"),
        (RUNS + "rest = 'yes'", "rest is true or false"),
        (RUNS + "join.kurs = '{a}'", "there is no [lookups.kurs]"),
        (RUNS + "file = 'a'\nrows = []", "has either file or rows"),
        (RUNS + "where = 'x'", "activities[1].where: a condition is a table"),
        ("[[members]]\ngroup = 'g'\nactor = '{a}'", "members[1]: needs role (who joins), until (who leaves), or both"),
        ("[read]\nformat = 'xml'" + RUNS, "read.format: is one of csv, jsonl, parquet"),
        ("[read]\nencoding = 'utf-16'" + RUNS, "read.encoding: is utf-8"),
        ("[read]\ndelimiter = '||'" + RUNS, "read.delimiter: is one character"),
        ("[read]\nstrip_nul = 1" + RUNS, "read.strip_nul: is a bool"),
        ("[lookups.a]\nkey = 'x'" + RUNS, "lookups.a: needs one of file, rows (each with key) and values"),
        ("[lookups.a]\nfile = 'x'" + RUNS, "lookups.a: file and rows need a key, values have none"),
        ("a = ", "m.toml: Invalid value"),
    ],
)
def test_problem(text: str, wanted: str) -> None:
    """Each mistake is named with its line, its place and the nearest known word."""
    with pytest.raises(MapError) as caught:
        parse_map(text, "m.toml")
    assert wanted in str(caught.value)


def test_all_problems_at_once() -> None:
    """A map with several mistakes names all of them."""
    with pytest.raises(MapError) as caught:
        parse_map(RUNS + "verbs = 'x'\ncontent = { frm = 'a' }\nstatus = []")
    assert len(caught.value.problems) == 4  # two of the content: an unknown word, and no source


async def test_activity_in_full(tmp_path: Path) -> None:
    """Every field of an activity can come from a row."""
    sink = await made_of(
        tmp_path,
        "id,at,who,kind,sport,team,club,km,note,extra,left\n"
        "w1,2026-03-01T07:12:00Z,ann,Run,road,t1,c1,5.2,river loop,x,y\n"
        "w2,2026-03-02 08:00,bob,Walk,,,c1,,,,\n",
        """
        zone = "Europe/Berlin"

        [[activities]]
        key = "{id}"
        occurred_at = "{at}"
        actor = "{who}"
        verb = { from = "kind", map = { Run = "run", Walk = "walk" } }
        object = [{ kind = "race", id = "{race}", when = { kind = "Race" } }, { kind = "workout", id = "{id}" }]
        groups = ["{team}", "{club}"]
        measures.distance_m = { from = "km", times = 1000 }
        data.note = "{note}"
        data.sport = "{sport}"
        rest = true
        drop = ["left"]
        source = "csv"
        status = "ok"
        visibility = { from = "kind", map = { Run = "public" }, default = "private" }
        content = { from = "note" }
        """.replace('"{race}"', '"{sport}"'),
    )
    assert sink.activities == [
        {
            "key": "w1",
            "occurred_at": "2026-03-01T07:12:00Z",
            "actor": "ann",
            "verb": "run",
            "source": "csv",
            "status": "ok",
            "visibility": "public",
            "groups": ["t1", "c1"],
            "object": {"kind": "workout", "id": "w1"},
            "measures": {"distance_m": 5200},
            "data": {"extra": "x", "note": "river loop", "sport": "road"},
            "content": "river loop",
        },
        {
            "key": "w2",
            "occurred_at": "2026-03-02T08:00:00+01:00",
            "actor": "bob",
            "verb": "walk",
            "source": "csv",
            "status": "ok",
            "visibility": "private",
            "groups": ["c1"],
            "object": {"kind": "workout", "id": "w2"},
        },
    ]


async def test_short_lists(tmp_path: Path) -> None:
    """Measures and data under their own names can be listed."""
    text = "id,at,who,km,note\n1,2026-03-01T07:12:00Z,ann,5,hi\n"
    sink = await made_of(tmp_path, text, RUNS + "measures = ['km']\ndata = ['note']")
    assert sink.activities[0]["measures"] == {"km": 5}
    assert sink.activities[0]["data"] == {"note": "hi"}


async def test_rest_of_nested_json(tmp_path: Path) -> None:
    """`rest` keeps what nothing took whole, an object of which a part was used too, and joined rows never."""
    sink = await made_of(
        tmp_path,
        '{"id": 1, "at": "2026-03-01T07:12:00Z", "who": {"name": "ann", "zip": 5}, "n": null, "deep": [{"a": 1}]}\n',
        RUNS.replace("{who}", "{who.name}") + "rest = true\njoin.fact = '{id}'\n[lookups.fact]\nvalues = { 1 = 'x' }",
        name="rows.jsonl",
    )
    assert sink.activities[0]["key"] == "1"
    assert sink.activities[0]["data"] == {"who": {"name": "ann", "zip": 5}, "deep": [{"a": 1}]}


async def test_keys_without_key(tmp_path: Path) -> None:
    """A map without a key gives rows keys that are the same each time, differ between sections, and know the file."""
    text = "at,who\n2026-03-01T07:12:00Z,ann\n2026-03-01T07:12:00Z,ann\n"
    two = RUNS.replace('key = "{id}"\n', "") * 2
    one, again = await made_of(tmp_path / "a", text, two), await made_of(tmp_path / "b", text, two)
    assert [row["key"] for row in one.activities] == [row["key"] for row in again.activities]
    assert len({row["key"] for row in one.activities}) == 4
    other = await made_of(tmp_path / "c", text.replace("ann", "eve"), two)
    assert not {row["key"] for row in one.activities} & {row["key"] for row in other.activities}


async def test_lookups(tmp_path: Path) -> None:
    """Rows are joined to other files and to values, one join feeding the next."""
    (tmp_path / "course.csv").write_text("id,term\nmaths,B\nart,J\n")
    sink = await made_of(
        tmp_path,
        "id,who,course,day\n1,ann,maths,3\n2,bob,art,-1\n3,eve,,1\n4,dan,music,1\n",
        """
        zone = "Europe/London"
        [lookups.start]
        values = { B = "2014-02-01", J = "2014-10-01" }
        [lookups.course_row]
        file = "course.csv"
        key = "{id}"

        [[activities]]
        join.course_row = "{course}"
        join.start = "{course_row.term}"
        key = "{id}"
        occurred_at = { from = "day", unit = "days", after = "{start}" }
        actor = "{who}"
        verb = "learn"
        """,
    )
    assert [row["occurred_at"] for row in sink.activities] == ["2014-02-04T00:00:00Z", "2014-09-30T00:00:00+01:00"]
    rejects = (tmp_path / "rejects.jsonl").read_text()
    assert '"pointer":"/course_row","reason":"is not in the lookup","detail":"music"' in rejects
    assert '"pointer":"/occurred_at","reason":"is missing"' in rejects
    assert "term" not in rejects, "what was joined is not part of the rejected row"


async def test_optional_lookup(tmp_path: Path) -> None:
    """An optional lookup that has no row leaves its names missing."""
    text = "id,at,who\n1,2026-03-01T07:12:00Z,ann\n"
    lookup = "join.nick = '{who}'\ndata.nick = '{nick}'\n[lookups.nick]\noptional = true\nvalues = { bob = 'B' }"
    sink = await made_of(tmp_path, text, RUNS + lookup)
    assert "data" not in sink.activities[0]


async def test_groups_come_parents_first(tmp_path: Path) -> None:
    """A table of groups may name a parent that it describes later; several rows of one group make one."""
    sink = await made_of(
        tmp_path,
        "id,parent,goal,note\nteam,league,5,\nleague,union,,first\nunion,,,\nteam,league,7,later\n",
        """
        [[groups]]
        id = "{id}"
        kind = "any"
        parent = "{parent}"
        attributes.goal = { from = "goal", type = "integer" }
        attributes.note = "{note}"
        """,
    )
    assert [command["id"] for command in sink.commands] == ["union", "league", "team"]
    assert sink.commands[2]["attributes"] == {"goal": 7, "note": "later"}


async def test_groups_in_a_circle(tmp_path: Path) -> None:
    """A group among its own ancestors stops the import, by name."""
    circle = "[[groups]]\nid = '{id}'\nkind = 'any'\nparent = '{parent}'"
    with pytest.raises(ImportRefused, match="own ancestors"):
        await made_of(tmp_path, "id,parent\na,b\nb,a\n", circle)


async def test_members_join_and_leave_in_order(tmp_path: Path) -> None:
    """Sections on one file share one pass: who joins, leaves and joins again does so in the file's order."""
    sink = await made_of(
        tmp_path,
        "at,who,what\n2020-01-01,ann,added\n2020-02-01,ann,added\n2020-03-01,ann,removed\n2020-04-01,ann,added\n",
        """
        zone = "UTC"
        [[members]]
        where = { what = "added" }
        group = "g"
        actor = "{who}"
        role = "member"
        since = "{at}"
        permissions = ["read", "{none}"]
        [[members]]
        where = { what = "removed" }
        group = "g"
        actor = "{who}"
        until = "{at}"
        """.replace('"{none}"', '"write"'),
    )
    assert [(command["do"], str(command.get("since", command.get("at")))[:10]) for command in sink.commands] == [
        ("put_member", "2020-01-01"),
        ("remove_member", "2020-03-01"),
        ("put_member", "2020-04-01"),
    ]
    assert sink.commands[0]["permissions"] == ["read", "write"]


async def test_members_since_and_until(tmp_path: Path) -> None:
    """One row can say both ends; an end before the beginning is rejected; without `since` a member always was."""
    sink = await made_of(
        tmp_path,
        "who,a,b\nann,2020-01-01,2020-02-01\nbob,2020-01-01,\neve,2020-03-01,2020-02-01\n",
        "zone = 'UTC'\n[[members]]\ngroup = 'g'\nactor = '{who}'\nrole = 'member'\nsince = '{a}'\nuntil = '{b}'\n"
        "[[members]]\ngroup = 'h'\nactor = '{who}'\nrole = 'member'\n",
    )
    in_g = [(command["do"], command["actor"]) for command in sink.commands if command["group"] == "g"]
    assert in_g == [("put_member", "ann"), ("remove_member", "ann"), ("put_member", "bob")]
    assert {command["since"] for command in sink.commands if command["group"] == "h"} == {"always"}
    assert '"reason":"is not after since"' in (tmp_path / "rejects.jsonl").read_text()


async def test_actors_are_sent_once(tmp_path: Path) -> None:
    """An actor that many rows describe alike is declared once; a different description is sent again."""
    sink = await made_of(tmp_path, "who,age\nann,5\nann,5\nbob,\nann,6\n", "[[actors]]\nid = '{who}'\nattributes = ['age']")
    assert [(command["id"], command["attributes"]) for command in sink.commands] == [
        ("ann", {"age": "5"}),
        ("bob", {}),
        ("ann", {"age": "6"}),
    ]


async def test_folder_and_file(tmp_path: Path) -> None:
    """Of a folder each section finds its files; of one file, only the sections that read it run."""
    for name in ("day-1.csv", "day-2.csv"):
        (tmp_path / name).write_text(f"id,at,who\n{name},2026-03-01T07:12:00Z,ann\n")
    (tmp_path / "people.csv").write_text("who\nann\n")
    whole = parse_map(RUNS + "file = 'day-*.csv'\n[[actors]]\nfile = 'people.csv'\nid = '{who}'")
    sink = RecordingSink()
    summary = await imported(tmp_path, whole, sink, tmp_path)
    assert [row["key"] for row in sink.activities] == ["day-1.csv", "day-2.csv"]
    assert (summary.counts.actors, summary.left_out) == (1, ())
    summary = await imported(tmp_path / "day-2.csv", whole, sink, tmp_path)
    assert (summary.counts.read, summary.counts.duplicates, summary.left_out) == (1, 1, ("actors[1]",))
    with pytest.raises(ImportRefused, match=r"reads day-\*.csv, people.csv: other.csv is none of them"):
        (tmp_path / "other.csv").write_text("x\n")
        await imported(tmp_path / "other.csv", whole, sink, tmp_path)


async def test_missing_column_and_files(tmp_path: Path) -> None:
    """A column, file or folder that is not there stops the import before anything is sent, and says which is near."""
    with pytest.raises(MapError, match=r"activities\[1\].actor: there is no column 'who', did you mean 'whom'?"):
        await made_of(tmp_path, "id,at,whom\n1,2026-03-01,ann\n", RUNS)
    sink = RecordingSink()
    with pytest.raises(ImportRefused, match="there is no file"):
        await imported(tmp_path / "nothing.csv", parse_map(RUNS), sink, tmp_path)
    with pytest.raises(ImportRefused, match="does not say which file of the folder"):
        await imported(tmp_path, parse_map(RUNS), sink, tmp_path)
    with pytest.raises(ImportRefused, match=r"reads x-\*.csv, and .* has no such file"):
        await imported(tmp_path, parse_map(RUNS + "file = 'x-*.csv'"), sink, tmp_path)
    assert not sink.sends


MODEL = """
name = "fitness"
[groups.team]
roles.member = ["read"]
[verbs.run]
object = "workout"
measures.distance_m = "integer"
[verbs.walk]
object = "workout"
"""


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (RUNS.replace("run", "rum"), "activities[1].verb: 'rum' is no verb of the model, did you mean 'run'?"),
        (RUNS + "measures.distance = '{d}'", "activities[1].measures.distance: no measure of run, did you mean 'distance_m'?"),
        (
            RUNS.replace("run", "rum") + "measures.distance = '{d}'",
            "activities[1].measures.distance: no measure of any verb of the model, did you mean 'distance_m'?",
        ),
        (RUNS + "object = { kind = 'workshop', id = '{d}' }", "'workshop' is not what run is done to, did you mean 'workout'?"),
        (RUNS + "visibility = 'all'", "activities[1].visibility: 'all' is no visibility of the model"),
        (
            "[[groups]]\nid = '{x}'\nkind = 'tean'",
            "groups[1].kind: 'tean' is no kind of group of the model, did you mean 'team'?",
        ),
        ("[[members]]\ngroup = 'g'\nactor = '{x}'\nrole = 'boss'", "members[1].role: 'boss' is no role of any kind of group"),
    ],
)
def test_map_and_model(text: str, wanted: str) -> None:
    """What a map says outright is compared with the model before the first row."""
    problems = check_map(parse_map(text), parse_model(MODEL))
    assert any(wanted in problem for problem in problems), problems


def test_map_and_model_agree() -> None:
    """Words that come out of the rows are left to the rows."""
    text = RUNS.replace('"run"', "{ from = 'v', map = { a = 'run', b = 'walk' } }") + "measures.distance_m = '{d}'"
    assert check_map(parse_map(text), parse_model(MODEL)) == ()
    assert check_map(parse_map(RUNS.replace('"run"', "'{v}'")), parse_model(MODEL)) == ()
