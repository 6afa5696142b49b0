"""Random histories, run against milepost and the plain model at once, and the comparison of what each then shows."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from milepost import faults
from milepost.activity import HASH_MASK
from milepost.intake.accept import Acceptor
from milepost.intake.load import Lane
from milepost.intake.queue import Queue
from milepost.model import Model, parse_model
from milepost.postgres import Database
from milepost.schema.models import apply_model
from milepost.settings import Settings
from truth import ALWAYS, Activity, Identity, Truth

MODEL = """
name = "history"
time_zone = "Europe/Berlin"
filters = ["verb", "status"]

[verbs.run]
measures.distance_m = { type = "decimal(1)" }
measures.duration_s = "integer"
data.device = { type = "text", filter = true }
[verbs.ride]
measures.distance_m = { type = "decimal(1)" }
[verbs.open_issue]
[verbs.close_issue]

[terms.spring]
first = 2026-03-01
last = 2026-03-29

[rollups.by_team]
of = ["run", "ride"]
by = ["group"]
per = ["hour", "week", "all", "spring"]
values = ["count", "sum(distance_m)", "distinct(actor)", "min(distance_m)", "max(distance_m)", "first_at", "last_at"]

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

[latest.last_run]
of = "run"
by = ["group", "object", "actor"]
values = ["distance_m", "data.device"]

[pairs.issue]
open = "open_issue"
close = "close_issue"
"""

# What the model may change into, and back: a rollup gone, one changed, one and a latest table new.
MODELS = [
    MODEL,
    MODEL.replace('"first_at", "last_at"]', '"last_at"]')
    .replace('[rollups.everything]\nof = ["run", "ride", "open_issue", "close_issue"]', '[rollups.everything]\nof = ["run"]')
    .replace(
        "[latest.last_run]", '[latest.last_ride]\nof = "ride"\nby = ["actor"]\nvalues = ["distance_m"]\n\n[latest.last_run]'
    ),
    MODEL.replace(
        "[rollups.own_group]",
        '[rollups.other_group]\nof = ["run"]\nby = ["group"]\nper = ["day"]\nvalues = ["max(duration_s)"]\n\n[rollups.own_group]',
    ),
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
FAULTS = ["load.copied", "load.inserted", "load.folded", "load.before_commit", "load.after_commit"]

times = st.builds(lambda base, seconds: base + timedelta(seconds=seconds), st.sampled_from(TIMES), st.integers(-90000, 90000))
since = st.one_of(st.just(ALWAYS), times)
distances = st.integers(0, 2000).map(lambda units: Fraction(units, 10))


@st.composite
def activities(draw: st.DrawFn) -> dict[str, Any]:
    verb = draw(st.sampled_from(["run", "run", "ride", "open_issue", "close_issue"]))
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
    if verb in ("run", "ride") and draw(st.booleans()):
        activity["distance_m"] = draw(distances)
    if verb == "run" and draw(st.booleans()):
        activity["duration_s"] = Fraction(draw(st.integers(0, 500)))
        activity["device"] = draw(st.sampled_from(DEVICES))
    activity["source"] = draw(st.sampled_from(["", "strava"]))
    return activity


@st.composite
def corrections(draw: st.DrawFn) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    what = draw(st.sampled_from(["distance_m", "occurred_at", "actor", "groups", "status", "verb"]))
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
    return changed


steps = st.one_of(
    st.tuples(st.just("send"), st.lists(activities(), min_size=1, max_size=6)),
    st.tuples(st.just("send"), st.lists(activities(), min_size=1, max_size=6)),
    st.tuples(st.just("resend"), st.integers(0, 50)),
    st.tuples(st.just("retract"), st.integers(0, 50)),
    st.tuples(st.just("correct"), st.integers(0, 50), corrections()),
    st.tuples(st.just("parent"), st.integers(0, 2), st.integers(1, 4), since),
    st.tuples(st.just("zone"), st.sampled_from(GROUPS), st.sampled_from(ZONES), since),
    st.tuples(st.just("join"), st.sampled_from(GROUPS), st.sampled_from(ACTORS), since),
    st.tuples(st.just("leave"), st.sampled_from(GROUPS), st.sampled_from(ACTORS), since),
    st.tuples(st.just("load")),
    st.tuples(st.just("crash"), st.sampled_from(FAULTS)),
)
histories = st.lists(steps, min_size=3, max_size=25)
changing_histories = st.lists(st.one_of(steps, steps, st.tuples(st.just("model"), st.integers(0, 2))), min_size=5, max_size=25)


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
            source=source,
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

    async def join(self, group: str, actor: str, from_when: datetime) -> None:
        self.truth.members[group, actor].append((from_when, True))
        await self.command({"do": "put_member", "group": group, "actor": actor, "role": "member", "since": moment(from_when)})

    async def leave(self, group: str, actor: str, from_when: datetime) -> None:
        self.truth.members[group, actor].append((from_when, False))
        await self.command({"do": "remove_member", "group": group, "actor": actor, "at": moment(from_when)})

    async def command(self, command: Mapping[str, Any]) -> None:
        payload = json.dumps(command).encode()
        await self.queue.enqueue(
            tenant_id=self.tenant_id, lane=self.lane_number, kind=1, model=self.version, rows=1, payload=payload
        )

    # ── loading ──

    async def load(self) -> None:
        if self.lane is None:
            self.lane = Lane(self.db, self.queue, self.lane_number, "test", self.settings)
            assert await self.lane.open()
        await self.lane.run_once()

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
    body: dict[str, Any] = {name: item[name] for name in ("actor", "verb", "key", "groups", "source") if name in item}
    if "occurred_at" in item:
        body["occurred_at"] = item["occurred_at"].isoformat()
    if "object" in item:
        body["object"] = {"kind": item["object"][0], "id": item["object"][1]}
    measures = {name: float(item[name]) for name in ("distance_m", "duration_s") if name in item}
    if measures:
        body["measures"] = measures
    if "device" in item:
        body["data"] = {"device": item["device"]}
    return body


def moment(when: datetime) -> str:
    return "always" if when == ALWAYS else when.isoformat()


# ── comparing ──


async def shown(db: Database, model: Model, tenant_id: int) -> dict[str, Any]:
    """What milepost's tables say, in the terms of the truth."""
    found: dict[str, Any] = {}
    async with db.transaction("analytics", tenant_id=tenant_id, snapshot=True) as conn:

        async def rows(query: str) -> list[tuple[Any, ...]]:
            return await (await conn.execute(query)).fetchall()

        groups = dict(await rows("SELECT group_id, external_id FROM milepost.groups"))
        actors = dict(await rows("SELECT actor_id, external_id FROM milepost.actor"))
        for name, rollup in model.rollups.items():
            keys = []
            for key in rollup.by:
                match key:
                    case "tenant":
                        pass
                    case "group" | "actor":
                        keys.append(f"{key}_id")
                    case "object":
                        keys += ["object_kind", "object_id"]
                    case _:
                        keys.append(key.replace("data.", "d_"))
            cursor = await conn.execute(f"SELECT * FROM milepost.rollup_{name} WHERE n <> 0")
            assert cursor.description is not None
            columns = [column.name for column in cursor.description]
            table = {}
            for row in await cursor.fetchall():
                values = dict(zip(columns, row, strict=True))
                key_values = [
                    groups[values[key]] if key == "group_id" else actors[values[key]] if key == "actor_id" else values[key]
                    for key in keys
                ]
                rest = {
                    column: value for column, value in values.items() if column not in ("tenant_id", "per", "bucket", *keys)
                }
                table[*key_values, values["per"], values["bucket"]] = rest
            found[name] = table
        found["last_run"] = {
            (groups[row[0]], row[1], row[2], actors[row[3]]): row[4:]
            for row in await rows(
                "SELECT group_id, object_kind, object_id, actor_id, occurred_at, m_distance_m, d_device FROM milepost.latest_last_run"
            )
        }
        found["issue"] = sorted(
            ((row[0], row[1]), row[2], row[3])
            for row in await rows("SELECT object_kind, object_id, opened_at, closed_at FROM milepost.pairs_issue")
        )
        found["feeds"] = {
            groups[row[0]]: row[1]
            for row in await rows(
                "SELECT group_id, array_agg(occurred_at ORDER BY id DESC) FROM ("
                " SELECT group_id, id, occurred_at FROM milepost.activity WHERE group_id IS NOT NULL UNION ALL"
                " SELECT s.group_id, s.id, a.occurred_at FROM milepost.activity_stream s JOIN milepost.activity a USING (tenant_id, id)"
                ") f GROUP BY group_id"
            )
        }
    return found


def expected(truth: Truth, model: Model) -> dict[str, Any]:
    """What the truth says milepost's tables must hold, in stored units."""
    found: dict[str, Any] = {}
    terms = {
        name: (datetime(*term.first.timetuple()[:3]), datetime(*term.last.timetuple()[:3]))
        for name, term in model.terms.items()
    }
    for name, rollup in model.rollups.items():
        by = tuple(key for key in rollup.by if key != "tenant")
        if not rollup.ancestors:
            flat = Truth(truth.zone)
            flat.activities, flat.zones = truth.activities, truth.zones
            rows = flat.rollup(set(rollup.of), by, rollup.per, rollup.belongs, terms)
        else:
            rows = truth.rollup(set(rollup.of), by, rollup.per, rollup.belongs, terms)
        found[name] = {key: stored(rollup.values, items) for key, items in rows.items()}
    found["last_run"] = {
        key: (item.occurred_at, units(item, "distance_m"), item.device) for key, item in truth.latest({"run"}).items()
    }
    found["issue"] = sorted(truth.pairs({"open_issue"}, {"close_issue"}))
    feeds: dict[str, list[datetime]] = {}
    for item in sorted(truth.activities.values(), key=lambda item: item.occurred_at, reverse=True):
        for group in item.groups:
            feeds.setdefault(group, []).append(item.occurred_at)
    found["feeds"] = feeds
    return found


def units(item: Activity, measure: str) -> int | None:
    value = item.measures.get(measure)
    return None if value is None else int(value * (10 if measure == "distance_m" else 1))


def stored(values: tuple[Any, ...], items: list[Activity]) -> dict[str, Any]:
    row: dict[str, Any] = {"n": len(items)}
    for index, value in enumerate(values):
        argument = value.arguments[0] if value.arguments else ""
        known = [number for item in items if (number := units(item, argument)) is not None]
        match value.function:
            case "sum":
                row[f"sum_{argument}"] = sum(known)
            case "avg":
                row[f"sum_{argument}"], row[f"n_{argument}"] = sum(known), len(known)
            case "weighted_avg":
                weight = value.arguments[1]
                both = [
                    (number, heavy)
                    for item in items
                    if (number := units(item, argument)) is not None and (heavy := units(item, weight)) is not None
                ]
                row[f"weighted_{index}"] = sum(number * heavy for number, heavy in both)
                row[f"weight_{index}"] = sum(heavy for _, heavy in both)
            case "min" | "max":
                row[f"{value.function}_{argument}"] = {"min": min, "max": max}[value.function](known) if known else None
            case "first_at":
                row["first_at"] = min(item.occurred_at for item in items)
            case "last_at":
                row["last_at"] = max(item.occurred_at for item in items)
            case "share":
                row[f"n_{argument}"] = len(known)
                row[f"passed_{index}"] = len([number for number in known if number >= 500])
            case "distinct":
                what = argument.replace("data.", "d_")
                row[f"distinct_{what}"] = len(distinct(argument, items))
    return row


def distinct(what: str, items: list[Activity]) -> set[Any]:
    match what:
        case "actor":
            return {item.actor for item in items}
        case "group":
            return {item.groups[0] for item in items if item.groups}
        case "object":
            return {item.object for item in items if item.object}
        case _:
            return {item.device for item in items if item.device}
