"""The examples: each model is valid, each map fits its model, and each data set becomes what a plain count says."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import lzma
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from effort import LONG, long_only
from fix_import import data_set
from milepost.importing import Outcome, Refused, Sent, Summary, check_map, load_map, run_import
from milepost.intake.accept import Acceptor
from milepost.model import Model, parse_model

EXAMPLES = Path(__file__).parents[1] / "examples"
MAPS = sorted(EXAMPLES.glob("*/*.map.toml"), key=lambda path: path.name)
# What each map is given to import: a file of the data set, or its whole folder.
FILES = {
    "running-log": "activities.csv.gz",
    "powerlifting-results": "results.csv.gz",
    "cloudtrail": "events.jsonl.gz",
    "windows-audit": "events.jsonl.gz",
    "xapi-statements": "statements.jsonl.gz",
    "webplatform-json-versions": "document_versions.jsonl.xz",
}


def name_of(path: Path) -> str:
    return path.name.removesuffix(".map.toml")


def model_of(path: Path) -> Model:
    return parse_model((path.parent / "model.toml").read_text())


class AcceptingSink:
    """Checks each activity against the model as the server does, and counts it by its id; keeps commands and verbs."""

    identity = "accepting"

    def __init__(self, model: Model) -> None:
        self.acceptor = Acceptor(model, 1)
        self.ids: set[int] = set()
        self.verbs: Counter[str] = Counter()
        self.commands: list[dict[str, Any]] = []

    async def send(self, activities: Sequence[bytes]) -> Sent:
        body = b'{"activities":[' + b",".join(activities) + b"]}"
        accepted = self.acceptor.accept(1, body, datetime.now(UTC))
        refused = tuple(Refused(index=one.index, pointer=one.pointer, detail=one.detail) for one in accepted.rejected)
        wrong = {one.index for one in refused}
        self.verbs.update(_verb(one) for index, one in enumerate(activities) if index not in wrong)
        self.ids |= set(accepted.ids)
        return Sent(receipt=accepted.rows, accepted=accepted.rows, refused=refused)

    async def command(self, commands: Sequence[bytes]) -> int:
        self.commands += [msgspec.json.decode(one) for one in commands]
        return 0

    async def wait(self, receipt: int) -> Outcome:
        return Outcome(loaded=receipt)

    def done(self, what: str) -> list[dict[str, Any]]:
        return [command for command in self.commands if command["do"] == what]


def _verb(activity: bytes) -> str:
    return activity.partition(b'"verb":"')[2].partition(b'"')[0].decode()


async def load(name: str, tmp_path: Path, target: Path | None = None) -> tuple[Summary, AcceptingSink]:
    """target: instead of the data set as it is."""
    (path,) = (path for path in MAPS if name_of(path) == name)
    sink = AcceptingSink(model_of(path))
    if target is None:
        folder = data_set(name)
        target = folder / FILES[name] if name in FILES else folder
    summary = await run_import(
        target,
        load_map(path),
        sink,
        tenant="test",
        progress_folder=tmp_path,
        rejects_path=tmp_path / "rejects.jsonl",
        batch_rows=10_000,
    )
    return summary, sink


def csv_rows(name: str, file: str) -> Iterator[dict[str, str]]:
    with gzip.open(data_set(name) / file, "rt", newline="") as opened:
        yield from csv.DictReader(opened)


def json_rows(name: str, file: str) -> Iterator[dict[str, Any]]:
    opener = lzma.open if file.endswith(".xz") else gzip.open
    with opener(data_set(name) / file, "rt") as opened:
        yield from map(json.loads, opened)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/model.toml")), ids=lambda path: path.parent.name)
def test_model(path: Path) -> None:
    """The model of each of the four systems is valid, and is called as its folder."""
    assert parse_model(path.read_text(), str(path)).name == path.parent.name


@pytest.mark.parametrize("path", MAPS, ids=name_of)
def test_map_fits_its_model(path: Path) -> None:
    """Each map is valid, and speaks only of what its system's model declares."""
    assert check_map(load_map(path), model_of(path)) == ()


def test_every_data_set_has_a_map() -> None:
    """No data set is left without an example of how to load it."""
    known = {folder.name for folder in data_set("oulad").parent.iterdir() if (folder / "SOURCE.md").exists()}
    assert known <= {name_of(path) for path in MAPS}


async def test_running_log(tmp_path: Path) -> None:
    """Every workout comes in but road trips further than anybody trains; what is zero is no measure."""
    summary, sink = await load("running-log", tmp_path)
    rows = list(csv_rows("running-log", "activities.csv.gz"))
    too_far = [row for row in rows if float(row["distance_m"]) > 250_000 and row["type"] not in ("Ride", "VirtualRide")]
    assert summary.counts.read == len(rows)
    assert summary.counts.rejected == len(too_far)
    assert set(summary.counts.reasons) == {"activities[1] /measures/distance_m: Expected float <= 250000.0"}
    assert summary.counts.accepted == len(sink.ids) == len(rows) - len(too_far)
    assert summary.counts.members == len({row["athlete_id"] for row in rows})
    assert sink.verbs["run"] == sum("run" in row["type"].lower() for row in rows)
    assert len({command["group"] for command in sink.commands if "group" in command}) == 6


@long_only
async def test_powerlifting_results(tmp_path: Path) -> None:
    """Every result comes in, those that stand there twice too; clubs stand below their federation."""
    summary, sink = await load("powerlifting-results", tmp_path)
    rows = list(csv_rows("powerlifting-results", "results.csv.gz"))
    clubs = {(row["federation"], row["team"]) for row in rows if row["team"]}
    assert (summary.counts.read, summary.counts.rejected) == (len(rows), 0)
    assert summary.counts.accepted == len(sink.ids) == len(rows)
    assert summary.counts.groups == len({row["federation"] for row in rows}) + len(clubs)


@long_only
async def test_research_activity(tmp_path: Path) -> None:
    """Every commit and merge comes in; each collaborator is a member of the study since the first activity."""
    summary, sink = await load("research-activity", tmp_path)
    kinds = Counter(row["kind"] for row in csv_rows("research-activity", "activities.csv.gz"))
    assert sink.verbs == {"commit": kinds["commit"], "merge": kinds["merge"], "start": kinds["initial"]}
    assert summary.counts.accepted == len(sink.ids) == kinds.total()
    assert summary.counts.members == sum(1 for _ in csv_rows("research-activity", "collaborators.csv.gz"))
    assert (summary.counts.groups, summary.counts.rejected) == (23, 0)


async def test_k8s_org_roles(tmp_path: Path) -> None:
    """The events, replayed as memberships, end in exactly the members that the tables of the last commit have."""
    summary, sink = await load("k8s-org-roles", tmp_path)
    events = list(csv_rows("k8s-org-roles", "membership_events.csv.gz"))
    assert summary.counts.accepted == len(sink.ids) == len(events)
    assert summary.counts.rejected == 0
    members: dict[tuple[str, str], str] = {}
    for command in sink.commands:
        if command["do"] == "put_member":
            members[command["group"], command["actor"]] = command["role"]
        elif command["do"] == "remove_member":
            members.pop((command["group"], command["actor"]), None)
    wanted = {(row["organisation"], row["user_id"]): row["role"] for row in csv_rows("k8s-org-roles", "org_members.csv.gz")}
    for row in csv_rows("k8s-org-roles", "team_members.csv.gz"):
        wanted[f"{row['organisation']}/{row['team']}", row["user_id"]] = row["role"]
    assert members == wanted
    active = {one["id"] for one in sink.done("put_group") if one["kind"] == "team" and one["status"] == "active"}
    assert active == {f"{row['organisation']}/{row['team']}" for row in csv_rows("k8s-org-roles", "teams.csv.gz")}


@long_only
async def test_oulad(tmp_path: Path) -> None:
    """Every table becomes its verbs; a student who left before the beginning is no member."""
    summary, sink = await load("oulad", tmp_path)
    registrations = list(csv_rows("oulad", "student_registration.csv.gz"))
    submissions = list(csv_rows("oulad", "student_assessment.csv.gz"))
    students = list(csv_rows("oulad", "student.csv.gz"))
    never = [
        row
        for row in registrations
        if row["date_unregistration"] and int(row["date_unregistration"]) <= int(row["date_registration"] or 0)
    ]
    assert sink.verbs == {
        "enrol": len(registrations),
        "withdraw": sum(row["date_unregistration"] != "" for row in registrations),
        "assign": sum(1 for _ in csv_rows("oulad", "assessment.csv.gz")),
        "publish": sum(1 for _ in csv_rows("oulad", "vle.csv.gz")),
        "submit": len(submissions),
        "grade": sum(row["score"] != "" for row in submissions),
        "finish": sum(row["final_result"] != "Withdrawn" for row in students),
    }
    assert summary.counts.accepted == len(sink.ids) == sink.verbs.total()
    assert summary.counts.reasons == {"members[2] /until: is not after since": len(never)}
    assert summary.counts.skipped == sum(row["final_result"] == "Withdrawn" for row in students)
    assert {command["id"] for command in sink.done("put_actor")} == {row["id_student"] for row in students}
    kept = {(row["code_module"], row["code_presentation"], row["id_student"]) for row in registrations}
    kept -= {(row["code_module"], row["code_presentation"], row["id_student"]) for row in never}
    put = {(one["group"], one["actor"]) for one in sink.done("put_member") if one["role"] == "student"}
    assert put == {(f"{module}-{presentation}", student) for module, presentation, student in kept}


async def test_xapi_statements(tmp_path: Path) -> None:
    """Every statement comes in under its own id, and its learner is in its class."""
    summary, sink = await load("xapi-statements", tmp_path)
    rows = list(json_rows("xapi-statements", "statements.jsonl.gz"))
    learners = {(row["context"]["contextActivities"]["parent"][0]["id"], row["actor"]["account"]["name"]) for row in rows}
    assert summary.counts.accepted == len(sink.ids) == len(rows)
    assert (summary.counts.members, summary.counts.rejected) == (len(learners), 0)
    assert sink.verbs["play"] == sum(row["verb"]["id"].endswith("/played") for row in rows)


@pytest.mark.parametrize("name", ["exercise-versions", "webplatform-json-versions"])
async def test_document_versions(tmp_path: Path, name: str) -> None:
    """Every version comes in with its content, but those with a character that cannot be stored."""
    summary, sink = await load(name, tmp_path)
    files = [file.name for file in data_set(name).glob("*.jsonl.*")]
    rows = [row for file in files for row in json_rows(name, file)]
    nul = sum("\\u0000" in json.dumps(row) for row in rows)
    assert nul == (5 if name == "exercise-versions" else 0)
    assert (summary.counts.read, summary.counts.rejected) == (len(rows), nul)
    assert summary.counts.accepted == len(sink.ids) == len(rows) - nul
    assert sink.verbs["archive"] == sum("deleted" in row for row in rows)
    assert all("U+0000" in reason for reason in summary.counts.reasons)


async def test_cloudtrail(tmp_path: Path) -> None:
    """Every record comes in: calls that only read, calls that change, and sign-ins."""
    summary, sink = await load("cloudtrail", tmp_path)
    rows = list(json_rows("cloudtrail", "events.jsonl.gz"))
    calls = [row for row in rows if row["eventType"] != "AwsConsoleSignIn"]
    assert sink.verbs == {
        "sign_in": len(rows) - len(calls),
        "read": sum(row["readOnly"] for row in calls),
        "change": sum(not row["readOnly"] for row in calls),
    }
    assert summary.counts.accepted == len(sink.ids) == len(rows)


async def test_windows_audit(tmp_path: Path) -> None:
    """Every event comes in, once, whichever of its two time formats and however often the same line stands there."""
    every = 1 if LONG else 6  # of the lines, from the first to the last
    hosts, lines, target = set(), 0, tmp_path / "events.jsonl.gz"
    with gzip.open(data_set("windows-audit") / "events.jsonl.gz", "rb") as opened, gzip.open(target, "wb", 1) as file:
        for line in itertools.islice(opened, 0, None, every):
            hosts.add(line.partition(b'"host":"')[2].partition(b'"')[0].lower())
            lines += 1
            file.write(line)
    summary, sink = await load("windows-audit", tmp_path, target)
    assert summary.counts.accepted == len(sink.ids) == summary.counts.read == lines
    assert (summary.counts.groups, summary.counts.rejected) == (len(hosts) + 1, 0)
    assert sink.verbs["note"] < lines / 50, "few events have no better name"
