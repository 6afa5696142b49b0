"""A plain model of the truth: what milepost must show after a history, computed the slow and obvious way.

It keeps activities in a dict and history as the list of what was said; every number is computed from scratch, by going through
all activities. It shares no code with milepost but the model, as read.
"""

from __future__ import annotations

import copy
import itertools
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from milepost.model import Board

ALWAYS = datetime.min.replace(tzinfo=UTC)
Identity = tuple[tuple[str, ...], datetime]
VERSIONED = {"hand_in"}


@dataclass(frozen=True)
class Activity:
    public: Identity
    occurred_at: datetime
    actor: str
    verb: str
    object: tuple[str, str] | None = None
    groups: tuple[str, ...] = ()
    measures: dict[str, Fraction] = field(default_factory=dict)
    device: str | None = None
    due: datetime | None = None
    note: str | None = None
    content: dict[str, Any] | None = None
    source: str = ""
    status: str = ""
    visibility: str = "group"
    version: int = 1
    tie: int = 0  # decides the order of activities of one moment: the hash in milepost's id, which it keeps for life

    @property
    def order(self) -> tuple[datetime, int]:
        return self.occurred_at, self.tie


class Truth:
    """One tenant. Times are aware; a timeline is the list of (from when, value) in the order in which it was said."""

    def __init__(self, zone: str = "UTC") -> None:
        self.zone = zone
        self.activities: dict[Identity, Activity] = {}
        self.gone: dict[Identity, Identity | None] = {}
        self.ledger: dict[tuple[str, str], Identity] = {}
        self.versions: dict[
            Identity, dict[int, Activity]
        ] = {}  # by the public identity: what it was, from the first correction on
        self.parents: dict[str, list[tuple[datetime, str | None]]] = defaultdict(list)
        self.zones: dict[str, list[tuple[datetime, str | None]]] = defaultdict(list)
        self.members: dict[tuple[str, str], list[tuple[datetime, bool]]] = defaultdict(list)
        self.targets: dict[str, Fraction] = {}
        self.hidden: set[tuple[str, str]] = set()  # from which board, who
        self.follows: set[tuple[str, str, str]] = set()
        self.kept: list[Truth] = []  # what retention removed, as it was attributed then: totals count it for ever
        self.erased: set[str] = set()

    # ── what happens ──

    def send(self, activity: Activity, *, timeless_key: tuple[str, str] | None = None) -> bool:
        """False: a duplicate, or of somebody who was erased. timeless_key: (source, key), where the client gave a key but no time."""
        if activity.actor in self.erased:
            return False
        identity = activity.public
        if timeless_key is not None:
            identity = self.ledger.setdefault(timeless_key, identity)
        if identity in self.activities or identity in self.gone:
            return False
        self.activities[identity] = replace(activity, public=identity)
        return True

    def find(self, public: Identity) -> Identity | None:
        current = self.gone.get(public) or public
        return current if current in self.activities else None

    def retract(self, public: Identity) -> bool:
        current = self.find(public)
        if current is None:
            return False
        self.versions.pop(self.activities.pop(current).public, None)
        self._follow(current, None)
        self.gone[current] = None
        return True

    def correct(self, public: Identity, **changed: Any) -> str:
        """ "done", "absent", or "conflict" with another activity's identity."""
        current = self.find(public)
        if current is None:
            return "absent"
        was = self.activities[current]
        becomes = replace(was, version=was.version + 1, **changed)
        there = (current[0], becomes.occurred_at)
        if there != current:
            if there in self.activities or (there in self.gone and self.gone[there] != current):
                return "conflict"
            self.gone.pop(there, None)
            self._follow(current, there)
            self.gone[current] = there
            del self.activities[current]
        self.activities[there] = becomes
        if becomes.verb in VERSIONED:
            self.versions.setdefault(was.public, {}).update({was.version: was, becomes.version: becomes})
        return "done"

    def go_back(self, public: Identity, version: int) -> None:
        """To what it was then; what it is called, and its place among those of its moment, no correction changes."""
        then = self.versions[public][version]
        fixed = ("public", "version", "tie")
        self.correct(public, **{name: value for name, value in vars(then).items() if name not in fixed})

    def retain(self, before: datetime) -> None:
        """What occurred before goes; what it counted for stays, whatever becomes of groups and members later."""
        over = {identity: item for identity, item in self.activities.items() if item.occurred_at < before}
        if over:
            kept = copy.deepcopy(self)
            kept.activities, kept.kept, kept.erased = over, [], self.erased
            self.kept.append(kept)
        for identity in over:
            self.retract(identity)

    def erase(self, actor: str) -> None:
        """Numbers shrink by what it did, but for what retention had removed before, which is nobody's now. What it did does not come back."""
        nobody = f"nobody {len(self.erased)}"
        self.erased |= {actor, nobody}
        for kept in self.kept:
            kept.activities = {
                identity: replace(item, actor=nobody) if item.actor == actor else item
                for identity, item in kept.activities.items()
            }
            for group in [group for group, member in kept.members if member == actor]:
                kept.members[group, nobody] = kept.members.pop((group, actor))
        for identity in [identity for identity, item in self.activities.items() if item.actor == actor]:
            self.retract(identity)
        for public, versions in list(self.versions.items()):
            self.versions[public] = {version: item for version, item in versions.items() if item.actor != actor}
        self.members = defaultdict(list, {key: said for key, said in self.members.items() if key[1] != actor})
        self.hidden = {(board, member) for board, member in self.hidden if member != actor}
        self.follows = {one for one in self.follows if actor != one[0] and ("actor", actor) != one[1:]}

    def _follow(self, current: Identity, to: Identity | None) -> None:
        for identity, leads_to in self.gone.items():
            if leads_to == current:
                self.gone[identity] = to

    # ── what held when ──

    @staticmethod
    def at(timeline: list[tuple[datetime, Any]], moment: datetime) -> Any:
        """The last that was said of a time up to `moment`: each word replaces all that held from its own moment on."""
        held = [value for since, value in timeline if since <= moment]
        return held[-1] if held else None

    def reach(self, group: str, moment: datetime) -> list[str]:
        found = [group]
        while (parent := self.at(self.parents[found[-1]], moment)) is not None:
            found.append(parent)
        return found

    def belongs(self, actor: str, moment: datetime) -> list[str]:
        return [group for (group, member), timeline in self.members.items() if member == actor and self.at(timeline, moment)]

    def zone_of(self, group: str | None, moment: datetime) -> ZoneInfo:
        said = self.at(self.zones[group], moment) if group is not None else None
        return ZoneInfo(said or self.zone)

    # ── who sees what ──

    def reads(self, viewer: str, group: str) -> bool:
        """By a membership that holds now, in the group or in one above it."""
        now = datetime.now(UTC)
        return not set(self.reach(group, now)).isdisjoint(self.belongs(viewer, now))

    def sees(self, viewer: str | None, item: Activity, group: str | None = None) -> bool:
        """group: in whose feed. What several groups share is in the feed of each for those who may read that one."""
        if viewer is None or item.visibility == "public":
            return True
        if item.visibility == "private" or not item.groups:
            return item.actor == viewer
        return any(self.reads(viewer, one) for one in ([group] if group else item.groups))

    def at_home(self, viewer: str, item: Activity) -> bool:
        """Whether the viewer follows it and may see it: of a group, by being able to read that one."""
        return any(
            {
                "actor": item.actor == one and self.sees(viewer, item),
                "group": one in item.groups and self.sees(viewer, item, one),
                "object": item.object is not None and "/".join(item.object) == one and self.sees(viewer, item),
            }[kind]
            for who, kind, one in self.follows
            if who == viewer
        )

    # ── what follows ──

    def contributions(
        self, of: set[str], by: tuple[str, ...], belongs: str, ancestors: bool
    ) -> list[tuple[tuple[Any, ...], datetime, Activity]]:
        """(keys, local time, activity), as one activity counts for each group it reaches, once."""
        found = []
        for activity in self.activities.values():
            if activity.verb not in of or ("object" in by and activity.object is None):
                continue
            if "actor" in by and activity.actor in self.erased:
                continue
            groups: list[str | None] = [None]
            if "group" in by:
                start = self.belongs(activity.actor, activity.occurred_at) if belongs == "membership" else activity.groups
                reached = [self.reach(group, activity.occurred_at) if ancestors else [group] for group in start]
                groups = list(dict.fromkeys(itertools.chain.from_iterable(reached)))
            for group in groups:
                local = activity.occurred_at.astimezone(self.zone_of(group, activity.occurred_at)).replace(tzinfo=None)
                keys: list[Any] = []
                for key in by:
                    match key:
                        case "group":
                            keys.append(group)
                        case "actor":
                            keys.append(activity.actor)
                        case "object":
                            keys += list(activity.object or ())
                        case "data.device":
                            keys.append(activity.device or "")
                        case "verb" | "source" | "status":
                            keys.append(getattr(activity, key))
                found.append((tuple(keys), local, activity))
        return [*found, *itertools.chain.from_iterable(kept.contributions(of, by, belongs, ancestors) for kept in self.kept)]

    def rollup(
        self,
        of: set[str],
        by: tuple[str, ...],
        per: tuple[str, ...],
        belongs: str,
        terms: dict[str, tuple[datetime, datetime]],
        *,
        ancestors: bool = True,
    ) -> dict[tuple[Any, ...], list[Activity]]:
        """(keys…, per, bucket) → the activities that count there."""
        rows: dict[tuple[Any, ...], list[Activity]] = defaultdict(list)
        for keys, local, activity in self.contributions(of, by, belongs, ancestors):
            for name, bucket in buckets(local, per, terms):
                rows[*keys, name, bucket].append(activity)
        return rows

    def board(self, board: Board, terms: dict[str, tuple[datetime, datetime]]) -> dict[tuple[Any, ...], list[Activity]]:
        """(group or None for everywhere, member, per, bucket) → the activities that count there."""
        rows: dict[tuple[Any, ...], list[Activity]] = defaultdict(list)
        for activity in self.activities.values():
            if activity.verb in board.of and activity.visibility in board.scores:
                for group, member in self.ranked(board, activity):
                    local = activity.occurred_at.astimezone(self.zone_of(group, activity.occurred_at)).replace(tzinfo=None)
                    for name, bucket in buckets(local, board.windows, terms):
                        rows[group, member, name, bucket].append(activity)
        for kept in self.kept:
            for key, activities in kept.board(board, terms).items():
                rows[key] += activities
        return rows

    def ranked(self, board: Board, activity: Activity) -> set[tuple[str | None, str]]:
        """On whose boards an activity counts, and for whom."""
        if board.rank == "actor" and activity.actor in self.erased:
            return set()
        moment = activity.occurred_at
        start = self.belongs(activity.actor, moment) if board.belongs == "membership" else activity.groups
        found: set[tuple[str | None, str]] = set()
        for within in board.within:
            if within == "everywhere":
                found |= {(None, activity.actor)} if board.rank == "actor" else {(None, group) for group in start}
            elif board.rank == "actor":
                found |= {
                    (above, activity.actor)
                    for group in start
                    for above in (self.reach(group, moment) if board.ancestors else [group])
                }
            else:
                found |= {(above, group) for group in start for above in self.reach(group, moment)[1:]}
        return found

    def latest(self, of: set[str], by: tuple[str, ...]) -> dict[tuple[Any, ...], Activity]:
        """By the keys: the newest; ids sort by time."""
        found: dict[tuple[Any, ...], Activity] = {}
        for activity in sorted(self.activities.values(), key=lambda item: item.order):
            if activity.verb in of and (activity.object is not None or "object" not in by):
                for group in activity.groups if "group" in by else (None,):
                    keys = {"group": group, "object": activity.object, "actor": activity.actor}
                    found[tuple(keys[key] for key in by)] = activity
        return found

    def pending(
        self, actor: str, given: str, done: set[str], now: datetime, *, dated: bool
    ) -> list[tuple[datetime | None, Activity, str]]:
        """What is due when, by what it was given, to which group: of those the actor is in now. In no order."""
        theirs = {item.object for item in self.activities.values() if item.verb in done and item.actor == actor}
        newest = self.latest({given}, ("group", "object"))
        groups = self.belongs(actor, now)
        return [
            (item.due if dated else None, item, group)
            for (group, target), item in newest.items()
            if group in groups and target not in theirs
        ]

    def pairs(self, opens: set[str], closes: set[str]) -> list[tuple[tuple[str, str], Activity, datetime | None]]:
        """Of each object: what opened, and when it was closed."""
        found: list[tuple[tuple[str, str], Activity, datetime | None]] = []
        objects = sorted({activity.object for activity in self.activities.values() if activity.object})
        for target in objects:
            opened: Activity | None = None
            events = [activity for activity in self.activities.values() if activity.object == target]
            for activity in sorted(events, key=lambda item: item.order):
                if activity.verb in opens and opened is None:
                    opened = activity
                elif activity.verb in closes and opened is not None:
                    found.append((target, opened, activity.occurred_at))
                    opened = None
            if opened is not None:
                found.append((target, opened, None))
        return found


def buckets(local: datetime, per: tuple[str, ...], terms: dict[str, tuple[datetime, datetime]]) -> list[tuple[str, datetime]]:
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    found: list[tuple[str, datetime]] = []
    for name in dict.fromkeys(("day", *per)):
        match name:
            case "hour":
                found.append((name, local.replace(minute=0, second=0, microsecond=0)))
            case "day":
                found.append((name, day))
            case "week":
                found.append((name, day - timedelta(days=day.weekday())))
            case "month":
                found.append((name, day.replace(day=1)))
            case "all":
                found.append((name, datetime(1, 1, 1)))
            case _:
                first, last = terms[name]
                if first <= day <= last:
                    found.append((f"term:{name}", first))
    return found
