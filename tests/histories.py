"""Random histories, run against milepost and the plain model at once (`reading` compares what each then shows)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from matching import WORDS
from milepost import faults
from milepost.activity import HASH_MASK
from milepost.intake.accept import Acceptor
from milepost.intake.load import Lane
from milepost.intake.queue import Queue
from milepost.model import Model, parse_model
from milepost.postgres import Database
from milepost.schema.models import apply_model
from milepost.search.indexer import Indexer
from milepost.settings import Settings
from milepost.storage.content import Contents
from milepost.storage.moving import move_out
from milepost.storage.objects import object_store
from truth import ALWAYS, Activity, Identity, Truth

MODEL = """
name = "history"
time_zone = "Europe/Berlin"
filters = ["verb", "status"]

[groups.team]
attributes.goal_m = "integer"
roles.member = ["read"]

[verbs.run]
measures.distance_m = { type = "decimal(1)" }
measures.duration_s = "integer"
data.device = { type = "text", filter = true }
data.note = { type = "text", search = "simple" }
[verbs.ride]
measures.distance_m = { type = "decimal(1)" }
search_data = "simple"
[verbs.open_issue]
data.due = "time"
[verbs.close_issue]
[verbs.hand_in]
content = { versions = true, offload_over = "1 KiB" }

[terms.spring]
first = 2026-03-01
last = 2026-03-29

[rollups.by_team]
of = ["run", "ride"]
by = ["group"]
per = ["hour", "week", "all", "spring"]
values = ["count", "sum(distance_m)", "distinct(actor)", "min(distance_m)", "max(distance_m)", "latest(distance_m)", "first_at", "last_at"]

[rollups.by_member]
of = ["run"]
by = ["group", "actor"]
belongs = "membership"
per = ["month", "all"]
values = ["count", "avg(distance_m)", "weighted_avg(distance_m, duration_s)", "share(distance_m >= 50)", "min(duration_s)"]

[rollups.by_device]
of = ["run", "ride"]
by = ["actor", "data.device"]
per = ["day"]
values = ["sum(distance_m)", "max(distance_m)", "distinct(group)", "distinct(object)"]

[rollups.everything]
of = ["run", "ride", "open_issue", "close_issue"]
by = ["tenant"]
per = ["week"]
values = ["count", "distinct(data.device)", "last_at"]

[rollups.own_group]
of = ["ride"]
by = ["group", "verb", "status"]
ancestors = false
per = ["day"]
values = ["count"]

[rollups.by_actor]
of = ["run", "ride"]
by = ["actor"]
per = ["month"]
values = ["avg(distance_m)"]

[latest.last_run]
of = "run"
by = ["group", "object", "actor"]
values = ["distance_m", "data.device"]

[pairs.issue]
open = "open_issue"
close = "close_issue"

[pending.issues]
given = "open_issue"
done = ["close_issue"]
due = "open_issue.due"

[pending.rides]
given = "ride"
done = ["run", "close_issue"]
roles = ["member"]

[boards.distance]
rank = "actor"
within = ["group", "everywhere"]
by = "sum(distance_m)"
of = ["run", "ride"]
windows = ["day", "week", "spring", "all"]
scores = ["public", "group"]

[boards.teams]
rank = "group"
within = ["group", "everywhere"]
belongs = "membership"
by = "count"
of = ["run", "ride"]
windows = ["week", "all"]
ties = "shared"
minimum = 2

[boards.addressed]
rank = "group"
within = ["group", "everywhere"]
by = "distinct(actor)"
of = ["run", "ride"]
windows = ["month", "all"]

[boards.farthest]
rank = "actor"
within = ["group"]
belongs = "membership"
ancestors = false
by = "max(distance_m)"
of = ["run"]
windows = ["month", "all"]

[boards.slowest]
rank = "actor"
within = ["everywhere"]
by = "avg(distance_m)"
of = ["run", "ride"]
windows = ["week"]
order = "up"

[boards.lately]
rank = "actor"
within = ["group", "everywhere"]
by = "latest(distance_m)"
of = ["run", "ride"]
windows = ["week", "all"]

[reports.team_days]
from = "by_team"
by = "group"
per = "day"
values = ["count", "sum(distance_m)", "distinct(actor)", "min(distance_m)", "max(distance_m)", "latest(distance_m)", "first_at", "last_at"]

[reports.team_compared]
from = "by_team"
by = "group"
values = ["count", "sum(distance_m)", "distinct(actor)", "max(distance_m)"]
compare = "previous"

[reports.team_hours]
from = "by_team"
by = "group"
per = "hour_of_day"
values = ["count", "distinct(actor)"]
hours = [0, 4]

[reports.devices]
from = "by_device"
by = "data.device"
values = ["count", "distinct(object)", "distinct(actor)", "count(data.device = fenix)"]

[reports.everything]
from = "everything"
values = ["count", "distinct(data.device)", "last_at"]

[reports.times]
from = "issue"
by = "group"
values = ["count", "open", "p50(seconds)", "p90(seconds)", "max(seconds)", "sum(seconds)"]

[reports.book]
from = "last_run"
by = ["group", "actor"]
values = ["count", "sum(distance_m)", "weighted_avg(distance_m, ride.distance_m)", "share(distance_m >= 50)", "distinct(object)", "last_at"]

[reports.roster]
from = "memberships"
by = ["group", "actor"]
values = ["role", "members", "by_member.count", "by_team.distinct(actor)"]

[reports.engaged]
from = "by_team"
by = "group"
values = ["engagement", "members"]

[reports.open_issues]
from = "issues"
by = ["group", "actor"]
values = ["count", "overdue"]

[goals.team_sum]
value = "by_team.sum(distance_m)"
target = "group.goal_m"
milestones = [25, 50, 100]

[goals.team_week]
value = "by_team.count"
target = 3
per = "week"
milestones = [60, 100]

[goals.team_spring]
value = "by_team.distinct(actor)"
target = 2
per = "spring"
milestones = [100]

[goals.team_hour]
value = "by_team.max(distance_m)"
target = 100.5
per = "hour"

[goals.actor_month]
value = "by_actor.avg(distance_m)"
target = 60
per = "month"
milestones = [50, 100, 150]
"""

# What the model may change into, and back: a rollup gone, one changed, one and a latest table new.
MODELS = [
    MODEL,
    MODEL.replace('"first_at", "last_at"]', '"last_at"]')
    .replace('done = ["close_issue"]', 'done = ["close_issue", "ride"]')
    .replace('[rollups.everything]\nof = ["run", "ride", "open_issue", "close_issue"]', '[rollups.everything]\nof = ["run"]')
    .replace(
        "[latest.last_run]", '[latest.last_ride]\nof = "ride"\nby = ["actor"]\nvalues = ["distance_m"]\n\n[latest.last_run]'
    ),
    MODEL.replace(
        "[rollups.own_group]",
        '[rollups.other_group]\nof = ["run"]\nby = ["group"]\nper = ["day"]\nvalues = ["max(duration_s)"]\n\n[rollups.own_group]',
    ).replace('data.note = { type = "text", search = "simple" }', 'data.note = "text"'),
]

# Around both changes of Berlin's clocks, in a zone with half hours, before 1970, and in the first week of a year.
TIMES = [
    datetime(2026, 3, 28, 22, 30, tzinfo=UTC),
    datetime(2026, 3, 29, 0, 30, tzinfo=UTC),
    datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
    datetime(2026, 3, 29, 21, 59, 59, 999999, tzinfo=UTC),
    datetime(2025, 10, 26, 0, 30, tzinfo=UTC),
    datetime(2025, 10, 26, 1, 30, tzinfo=UTC),
    datetime(2025, 12, 31, 23, 30, tzinfo=UTC),
    datetime(2026, 1, 1, 0, 30, tzinfo=UTC),
    datetime(1969, 7, 20, 20, 17, 40, tzinfo=UTC),
]
ZONES = ["Asia/Kolkata", "America/St_Johns", "Pacific/Auckland", None]
ACTORS = ["ana", "ben", "cem"]
GROUPS = ["a", "b", "c", "d"]  # a group's parent comes later in the alphabet, so no cycle is asked for
OBJECTS = [("issue", "1"), ("issue", "2")]
DEVICES = ["fenix", "watch"]
FOLLOWED = [("actor", "ana"), ("actor", "ben"), ("group", "a"), ("group", "c"), ("object", "issue/1")]
# Small and large ones, which leave their rows, each nearly like another.
CONTENTS: list[dict[str, Any]] = [
    {"n": 1},
    {"n": 1, "text": "a" * 1200},
    {"n": 2, "text": "a" * 1200 + "b"},
    {"n": 2, "list": [1, 2]},
]
FAULTS = ["load.copied", "load.inserted", "load.folded", "load.before_commit", "load.after_commit"]

times = st.builds(lambda base, seconds: base + timedelta(seconds=seconds), st.sampled_from(TIMES), st.integers(-90000, 90000))
since = st.one_of(st.just(ALWAYS), times)
visibilities = st.sampled_from(["group", "group", "public", "private"])
distances = st.integers(0, 2000).map(lambda units: Fraction(units, 10))


notes = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)


@st.composite
def activities(draw: st.DrawFn) -> dict[str, Any]:
    verb = draw(st.sampled_from(["run", "run", "ride", "open_issue", "close_issue", "hand_in"]))
    activity: dict[str, Any] = {"actor": draw(st.sampled_from(ACTORS)), "verb": verb}
    identified = draw(st.sampled_from(["both", "both", "key", "neither"]))
    if identified != "neither":
        activity["key"] = draw(st.sampled_from(["k1", "k2", "k3", "k4", "k5", "k6"]))
    if identified == "both" or draw(st.booleans()):
        activity["occurred_at"] = draw(times)
    if draw(st.booleans()) or verb.endswith("issue"):
        activity["object"] = draw(st.sampled_from(OBJECTS))
    groups = draw(st.lists(st.sampled_from(GROUPS), max_size=3, unique=True))
    if groups:
        activity["groups"] = groups
    if verb == "open_issue" and draw(st.booleans()):
        activity["due"] = draw(times)
    if verb in ("run", "ride") and draw(st.booleans()):
        activity["distance_m"] = draw(distances)
    if verb == "run" and draw(st.booleans()):
        activity["duration_s"] = Fraction(draw(st.integers(0, 500)))
        activity["device"] = draw(st.sampled_from(DEVICES))
    if verb == "hand_in" and draw(st.booleans()):
        activity["content"] = draw(st.sampled_from(CONTENTS))
    elif draw(st.booleans()):
        activity["note"] = draw(notes)
    activity["source"] = draw(st.sampled_from(["", "strava"]))
    activity["visibility"] = draw(visibilities)
    return activity


@st.composite
def corrections(draw: st.DrawFn) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    what = draw(
        st.sampled_from(
            [
                "distance_m",
                "occurred_at",
                "actor",
                "groups",
                "status",
                "verb",
                "visibility",
                "due",
                "note",
                "content",
                "content",
            ]
        )
    )
    match what:
        case "distance_m":
            changed[what] = draw(st.one_of(distances, st.none()))
        case "occurred_at":
            changed[what] = draw(times)
        case "actor":
            changed[what] = draw(st.sampled_from(ACTORS))
        case "groups":
            changed[what] = draw(st.lists(st.sampled_from(GROUPS), min_size=1, max_size=3, unique=True))
        case "status":
            changed[what] = draw(st.sampled_from(["ok", "failed"]))
        case "verb":
            changed[what] = draw(st.sampled_from(["run", "ride"]))
        case "visibility":
            changed[what] = draw(visibilities)
        case "note":
            changed[what] = draw(notes)
        case "content":
            changed[what] = draw(st.sampled_from([*CONTENTS, None]))
        case "due":
            changed[what] = draw(times)
    return changed


steps = st.one_of(
    st.tuples(st.just("send"), st.lists(activities(), min_size=1, max_size=6)),
    st.tuples(st.just("send"), st.lists(activities(), min_size=1, max_size=6)),
    st.tuples(st.just("resend"), st.integers(0, 50)),
    st.tuples(st.just("retract"), st.integers(0, 50)),
    st.tuples(st.just("correct"), st.integers(0, 50), corrections()),
    st.tuples(st.just("go_back"), st.integers(0, 50), st.integers(0, 5)),
    st.tuples(st.just("parent"), st.integers(0, 2), st.integers(1, 4), since),
    st.tuples(st.just("zone"), st.sampled_from(GROUPS), st.sampled_from(ZONES), since),
    st.tuples(st.just("target"), st.sampled_from(GROUPS), st.integers(1, 500)),
    st.tuples(st.just("join"), st.sampled_from(GROUPS), st.sampled_from(ACTORS), since),
    st.tuples(st.just("leave"), st.sampled_from(GROUPS), st.sampled_from(ACTORS), since),
    st.tuples(st.just("show"), st.sampled_from(["distance", "slowest", "farthest"]), st.integers(0, 2), st.booleans()),
    st.tuples(st.just("follow"), st.sampled_from(ACTORS), st.sampled_from(FOLLOWED), st.booleans()),
    st.tuples(st.just("load")),
    st.tuples(st.just("index")),
    st.tuples(st.just("crash"), st.sampled_from(FAULTS)),
)
histories = st.lists(steps, min_size=3, max_size=25)
changing_histories = st.lists(st.one_of(steps, steps, st.tuples(st.just("model"), st.integers(0, 2))), min_size=5, max_size=25)

# One that is long enough for pages: of every audience, in groups of several zones, through several groups at once.
BUSY: list[tuple[Any, ...]] = [
    ("zone", "a", "Asia/Kolkata", ALWAYS),
    ("zone", "b", "America/St_Johns", ALWAYS),
    ("parent", 0, 2, ALWAYS),
    ("target", "a", 300),
    ("join", "b", "ana", ALWAYS),
    (
        "send",
        [
            {
                "actor": ACTORS[number // 2 % 3],
                "verb": "ride" if number % 5 == 0 else "run",
                "key": f"busy{number}",
                "occurred_at": TIMES[0] + timedelta(minutes=7 * number),
                "groups": [["a"], ["b", "a"], ["c", "b"], ["a", "d", "b"]][number % 4],
                "distance_m": Fraction(number, 2),
                "note": " ".join((*WORDS, *WORDS)[number % 4 : number % 4 + number % 3 + 1]),
                "source": ("", "strava")[number // 3 % 2],
                "visibility": ("private", "group", "public")[number % 3],
            }
            for number in range(60)
        ],
    ),
    (
        "send",
        [
            {
                "actor": ACTORS[number % 3],
                "verb": "close_issue" if number % 4 == 3 else "open_issue",
                "key": f"issue{number}",
                "occurred_at": TIMES[0] + timedelta(minutes=11 * number),
                "groups": [["b"], ["b", "c"]][number % 2],
                "object": ("issue", str(number % 9)),
                "due": TIMES[0] + timedelta(hours=9 * number % 40),
                "source": "",
                "visibility": "group",
            }
            for number in range(16)
        ],
    ),
    # So many closed pairs in one group that a percentile is not also another one, nor between two values.
    (
        "send",
        [
            {
                "actor": ACTORS[number % 3],
                "verb": "close_issue" if closes else "open_issue",
                "key": f"fix{number}-{closes}",
                "occurred_at": TIMES[0] + timedelta(minutes=number, seconds=(60 + 37 * number % 101) * closes),
                "groups": ["a"],
                "object": ("issue", f"fix-{number}"),
                "source": "",
                "visibility": "group",
            }
            for number in range(13)
            for closes in (0, 1)
        ],
    ),
    (
        "send",
        [
            {
                "actor": ACTORS[number % 2],
                "verb": "hand_in",
                "key": f"essay{number}",
                "occurred_at": TIMES[0] + timedelta(minutes=17 * number),
                "groups": ["a"],
                "content": CONTENTS[number % 4],
                "source": "",
                "visibility": "group",
            }
            for number in range(4)
        ],
    ),
    ("join", "c", "ana", TIMES[0]),
    *(("correct", 102 + number % 4, {"content": CONTENTS[(number * 3 + 1) % 4]}) for number in range(8)),
    ("correct", 103, {"actor": "cem"}),
    ("correct", 104, {"occurred_at": TIMES[2]}),
    ("go_back", 105, 0),
    ("correct", 62, {"due": TIMES[4]}),
    ("retract", 63),
    ("follow", "ana", ("actor", "ben"), True),
    ("follow", "ana", ("group", "a"), True),
    ("follow", "ben", ("group", "b"), True),
    ("correct", 7, {"occurred_at": TIMES[1]}),
    ("correct", 8, {"status": "failed"}),
    ("correct", 9, {"visibility": "private"}),
    ("retract", 10),
    ("index",),
    ("correct", 12, {"note": "blue red"}),
    ("retract", 13),
    ("show", "distance", 0, True),
    ("show", "farthest", 1, True),
    ("show", "farthest", 1, False),
    ("zone", "a", "Pacific/Auckland", TIMES[0] + timedelta(hours=4)),
]


# What is added cancels out what is taken back, but for the best and the latest value, which is gone.
VALUE_GONE: list[tuple[Any, ...]] = [
    (
        "send",
        [
            {"actor": "ana", "verb": "run", "key": "k", "occurred_at": TIMES[0], "groups": ["a"], "distance_m": Fraction(5)}
            | {"source": "", "visibility": "group"}
        ],
    ),
    ("load",),
    ("correct", 0, {"distance_m": None}),
]

# Zones of half and three quarters of an hour, one whose clocks change by half an hour, and around both changes of each that has any.
ODD_ZONES = {"a": "Asia/Kolkata", "b": "Asia/Kathmandu", "c": "Australia/Lord_Howe", "d": "America/St_Johns"}
CLOCK_CHANGES = [
    datetime(2025, 3, 9, 5, 30, tzinfo=UTC),  # St. John's, forward
    datetime(2025, 11, 2, 4, 30, tzinfo=UTC),  # and back
    datetime(2025, 4, 5, 15, 0, tzinfo=UTC),  # Lord Howe, back
    datetime(2025, 10, 4, 15, 30, tzinfo=UTC),  # and forward
    datetime(2026, 3, 29, 1, 0, tzinfo=UTC),  # Berlin, forward: everywhere's
    datetime(2025, 10, 26, 1, 0, tzinfo=UTC),  # and back
]


def around_midnights(change: datetime, zone: str) -> list[datetime]:
    """The change itself, the midnights around it and that of the week's end, with the last moment before each of them."""
    day = change.astimezone(ZoneInfo(zone)).date()
    days = [day, day + timedelta(days=1), day + timedelta(days=7 - day.weekday())]
    midnights = [datetime.combine(one, time.min, ZoneInfo(zone)).astimezone(UTC) for one in days]
    return [edge - before for edge in (change, *midnights) for before in (timedelta(microseconds=1), timedelta(0))]


ODD_TIMES = sorted(
    {moment for change in CLOCK_CHANGES for zone in ODD_ZONES.values() for moment in around_midnights(change, zone)}
)


@st.composite
def local_histories(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Runs in groups of odd zones, at the edges of their days and weeks, of which some change, and groups that move to another zone."""
    history: list[tuple[Any, ...]] = [("zone", group, zone, ALWAYS) for group, zone in ODD_ZONES.items()]
    history += [("target", group, 200) for group in ODD_ZONES]
    edges = st.sampled_from(ODD_TIMES)
    kept = draw(
        st.lists(st.tuples(edges, st.sampled_from(GROUPS), st.sampled_from(ACTORS)), min_size=6, max_size=12, unique=True)
    )
    runs = [
        {
            "actor": actor,
            "verb": "ride" if number % 4 == 3 else "run",
            "key": f"local{number}",
            "occurred_at": moment,
            "groups": [group],
            "distance_m": Fraction(number + 1, 2),
            "source": "",
            "visibility": "group",
        }
        for number, (moment, group, actor) in enumerate(kept)
    ]
    moves = st.tuples(
        st.just("zone"),
        st.sampled_from(GROUPS),
        st.sampled_from([*ODD_ZONES.values(), None]),
        st.one_of(st.just(ALWAYS), edges),
    )
    changes = st.tuples(st.just("correct"), st.integers(0, len(runs) - 1), st.builds(lambda at: {"occurred_at": at}, edges))
    history.append(("send", runs[: len(runs) // 2]))
    history += draw(st.lists(moves, min_size=1, max_size=3))
    history.append(("send", runs[len(runs) // 2 :]))
    return history + draw(st.lists(st.one_of(moves, changes, st.tuples(st.just("load"))), max_size=6))


class Crash(BaseException):
    """The loader dies here."""


@dataclass
class Sent:
    """What a client could name later: the public id milepost gave, and the truth's identity."""

    id: str
    identity: Identity
    body: dict[str, Any]


class Player:
    """Plays a history into one tenant of a database, and into a Truth."""

    def __init__(
        self, db: Database, url: str, queue: Queue, settings: Settings, model: Model, tenant_id: int, lane: int, version: int
    ) -> None:
        self.db, self.url, self.queue, self.settings = db, url, queue, settings
        self.declared, self.tenant_id, self.lane_number, self.version = model, tenant_id, lane, version
        self.acceptor = Acceptor(model, version)
        self.truth = Truth(model.time_zone)
        self.sent: list[Sent] = []
        self.now = datetime(2026, 4, 1, tzinfo=UTC)
        self.numbers = itertools.count()
        self.lane: Lane | None = None

    async def play(self, history: list[tuple[Any, ...]]) -> None:
        for step in history:
            await getattr(self, step[0])(*step[1:])
        await self.load()

    async def close(self) -> None:
        if self.lane is not None:
            await self.lane.close()
            self.lane = None

    # ── activities ──

    async def send(self, batch: list[dict[str, Any]]) -> None:
        self.now += timedelta(seconds=1)
        body = json.dumps({"activities": [as_json(item) for item in batch]}).encode()
        accepted = self.acceptor.accept(self.tenant_id, body, self.now)
        assert not accepted.rejected, accepted.rejected
        for item, number in zip(batch, accepted.ids, strict=True):
            self.send_one(item, f"{number:032x}")
        await self.queue.enqueue(
            tenant_id=self.tenant_id,
            lane=self.lane_number,
            kind=0,
            model=self.version,
            rows=accepted.rows,
            payload=accepted.payload,
        )

    def send_one(self, item: dict[str, Any], id_: str) -> None:
        key, source = item.get("key"), item["source"]
        moment = item.get("occurred_at", self.now)
        identity: Identity = (("key", source, key) if key else ("random", str(next(self.numbers))), moment)
        timeless = (source, key) if key and "occurred_at" not in item else None
        activity = Activity(
            public=identity,
            occurred_at=moment,
            actor=item["actor"],
            verb=item["verb"],
            object=item.get("object"),
            groups=tuple(item.get("groups", ())),
            measures={name: item[name] for name in ("distance_m", "duration_s") if name in item},
            device=item.get("device"),
            due=item.get("due"),
            note=item.get("note"),
            content=item.get("content"),
            source=source,
            visibility=item["visibility"],
            tie=int(id_, 16) & HASH_MASK,
        )
        if self.truth.send(activity, timeless_key=timeless):
            self.sent.append(Sent(id_, identity, item))

    async def resend(self, which: int) -> None:
        """A retry by a client that stamped its activity: the same key and time."""
        if found := self.pick(which):
            body = dict(found.body)
            if "key" in body:
                await self.send([body])

    async def retract(self, which: int) -> None:
        if found := self.pick(which):
            self.truth.retract(found.identity)
            await self.command({"do": "retract", "id": found.id})

    async def correct(self, which: int, changed: dict[str, Any]) -> None:
        found = self.pick(which)
        current = self.truth.find(found.identity) if found else None
        if found is None or current is None:
            return
        was = self.truth.activities[current]
        patch: dict[str, Any] = {}
        becomes: dict[str, Any] = {}
        for name, value in changed.items():
            match name:
                case "distance_m":
                    if was.verb not in ("run", "ride"):
                        return
                    patch["measures"] = {name: None if value is None else float(value)}
                    rest = {key: kept for key, kept in was.measures.items() if key != name}
                    becomes["measures"] = rest if value is None else {**rest, name: value}
                case "occurred_at":
                    patch[name], becomes[name] = value.isoformat(), value
                case "note":
                    patch["data"], becomes[name] = {name: value}, value
                case "content":
                    if was.verb != "hand_in":
                        return
                    # A merge patch: what is there and not in the new one is taken away.
                    gone = dict.fromkeys(was.content or {}, None)
                    patch[name], becomes[name] = value if value is None else {**gone, **value}, value
                case "due":
                    if was.verb != "open_issue":
                        return
                    patch["data"], becomes[name] = {name: value.isoformat()}, value
                case "groups":
                    patch[name], becomes[name] = value, tuple(value)
                case "verb":
                    if was.verb != "ride":  # a run's duration and device are not a ride's
                        return
                    patch[name], becomes[name] = value, value
                case _:
                    patch[name], becomes[name] = value, value
        self.truth.correct(found.identity, **becomes)
        await self.command({"do": "correct", "id": found.id, "patch": patch})

    async def go_back(self, which: int, version: int) -> None:
        """An earlier version of an activity becomes its newest."""
        found = self.pick(which)
        kept = sorted(self.truth.versions.get(found.identity, {})) if found else []
        if found and kept:
            version = kept[version % len(kept)]
            self.truth.go_back(found.identity, version)
            await self.command({"do": "restore", "id": found.id, "version": version})

    def pick(self, which: int) -> Sent | None:
        return self.sent[which % len(self.sent)] if self.sent else None

    # ── groups ──

    async def parent(self, child: int, above: int, from_when: datetime) -> None:
        name = GROUPS[child]
        parent = GROUPS[above] if child < above < len(GROUPS) else None
        self.truth.parents[name].append((from_when, parent))
        await self.command({"do": "put_group", "id": name, "parent": parent, "since": moment(from_when)})

    async def zone(self, group: str, zone: str | None, from_when: datetime) -> None:
        self.truth.zones[group].append((from_when, zone))
        await self.command({"do": "put_group", "id": group, "time_zone": zone, "since": moment(from_when)})

    async def target(self, group: str, goal_m: int) -> None:
        self.truth.targets[group] = Fraction(goal_m)
        await self.command({"do": "put_group", "id": group, "attributes": {"goal_m": goal_m}})

    async def follow(self, actor: str, followed: tuple[str, str], on: bool) -> None:
        kind, one = followed
        this = (actor, kind, one)
        if (kind == "actor" and one == actor) or (not on and this not in self.truth.follows):
            return
        self.truth.follows = self.truth.follows | {this} if on else self.truth.follows - {this}
        await self.command({"do": "follow" if on else "unfollow", "actor": actor, "kind": kind, "id": one})

    async def join(self, group: str, actor: str, from_when: datetime) -> None:
        self.truth.members[group, actor].append((from_when, True))
        await self.command({"do": "put_member", "group": group, "actor": actor, "role": "member", "since": moment(from_when)})

    async def leave(self, group: str, actor: str, from_when: datetime) -> None:
        self.truth.members[group, actor].append((from_when, False))
        await self.command({"do": "remove_member", "group": group, "actor": actor, "at": moment(from_when)})

    async def show(self, board: str, which: int, hidden: bool) -> None:
        """Hides a member of a board, or shows it again; one that nobody has heard of yet cannot be."""
        known = sorted({item.actor for item in self.truth.activities.values()})
        if known:
            actor = known[which % len(known)]
            (self.truth.hidden.add if hidden else self.truth.hidden.discard)((board, actor))
            shown = "hidden" if hidden else "all"
            await self.command({"do": "show_member", "board": board, "member": actor, "shown": shown})

    async def command(self, command: Mapping[str, Any]) -> int:
        """→ its batch."""
        payload = json.dumps(command).encode()
        receipt = await self.queue.enqueue(
            tenant_id=self.tenant_id, lane=self.lane_number, kind=1, model=self.version, rows=1, payload=payload
        )
        return receipt.batch_id

    # ── loading ──

    async def load(self) -> None:
        if self.lane is None:
            self.lane = Lane(self.db, self.queue, self.lane_number, "test", self.settings)
            assert await self.lane.open()
        await self.lane.run_once()

    async def index(self) -> None:
        """Whatever is loaded by now is indexed, its contents are moved, and what comes after is not, until the next time."""
        await Indexer(self.db).run_once()
        async with await self.db.owner() as owner:
            while await move_out(owner, Contents(object_store(self.settings))):
                pass

    async def model(self, which: int) -> None:
        """Another model is applied to the live database; what comes next is accepted under it."""
        async with await Database.connect_owner(self.url) as owner:
            applied = await apply_model(owner, MODELS[which])
        self.declared, self.version = parse_model(MODELS[which]), applied.version
        self.acceptor = Acceptor(self.declared, self.version)

    async def crash(self, wanted: str) -> None:
        """The loader dies at a named point; another begins where it left off."""

        def die(point: str) -> None:
            if point == wanted:
                raise Crash

        reach = faults.reach
        faults.reach = die
        try:
            await self.load()
        except Crash:
            assert self.lane is not None
            await self.lane.conn.close()
            self.lane = None
        finally:
            faults.reach = reach


def as_json(item: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {
        name: item[name] for name in ("actor", "verb", "key", "groups", "source", "visibility") if name in item
    }
    if "occurred_at" in item:
        body["occurred_at"] = item["occurred_at"].isoformat()
    if "object" in item:
        body["object"] = {"kind": item["object"][0], "id": item["object"][1]}
    measures = {name: float(item[name]) for name in ("distance_m", "duration_s") if name in item}
    if measures:
        body["measures"] = measures
    data = {"device": item["device"]} if "device" in item else {}
    if "note" in item:
        data["note"] = item["note"]
    if "due" in item:
        data["due"] = item["due"].isoformat()
    if data:
        body["data"] = data
    if "content" in item:
        body["content"] = item["content"]
    return body


def moment(when: datetime) -> str:
    return "always" if when == ALWAYS else when.isoformat()
