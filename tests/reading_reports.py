"""What reports answer, compared with the plain model: each is computed anew, from the activities of the days asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import ceil, floor
from typing import Any

from milepost.model import Model
from milepost.postgres import Connection, Database
from milepost.rollups.reports.read import Question, read_report
from truth import Activity, Truth

__all__ = ["ReportReader"]

PAGE = 3
FIRST, LAST = date(2026, 3, 20), date(2026, 4, 20)
BEFORE = FIRST - (LAST - FIRST)


@dataclass(frozen=True, kw_only=True)
class ReportReader:
    db: Database
    tenant_id: int
    model: Model
    truth: Truth
    groups: Mapping[str, int]
    actors: Mapping[str, int]
    now: datetime

    async def compare(self) -> None:
        async with self.db.transaction("analytics", tenant_id=self.tenant_id, snapshot=True) as conn:
            if "by_team" in self.model.rollups:
                await self.of_teams(conn)
            if "everything" in self.model.reports:
                await self.of_everything(conn)
            await self.of_devices(conn)
            await self.of_pairs(conn)
            await self.of_latest(conn)
            await self.of_members(conn)

    async def read(self, conn: Connection, name: str, **question: Any) -> list[Any]:
        """Every page."""
        items: list[Any] = []
        after = None
        days: dict[str, Any] = (
            {} if name in ("book", "roster", "open_issues") else {"first": midnight(FIRST), "last": midnight(LAST)}
        )
        while True:
            asked = Question(**days, **question)
            found = await read_report(conn, self.tenant_id, self.model, name, asked, now=self.now, limit=PAGE, after=after)
            items += found["items"]
            after = found["next"]
            if after is None:
                return items

    # ── rollups ──

    def counted(self, rollup: str, first: date = FIRST, last: date = LAST) -> list[tuple[tuple[Any, ...], datetime, Activity]]:
        declared = self.model.rollups[rollup]
        by = tuple(key for key in declared.by if key != "tenant")
        found = self.truth.contributions(set(declared.of), by, declared.belongs, declared.ancestors)
        return [one for one in found if midnight(first) <= one[1] < midnight(last)]

    async def of_teams(self, conn: Connection) -> None:
        by_day = grouped(((keys[0], local.date().isoformat()), item) for keys, local, item in self.counted("by_team"))
        kept = self.model.reports["team_days"].values
        expected = [
            {"bucket": day, "keys": {"group": group}, "values": {text: numbers(items)[text] for text in kept}}
            for (group, day), items in sorted(by_day.items(), key=lambda one: (one[0][1], self.groups[one[0][0]]))
        ]
        assert await self.read(conn, "team_days") == expected

        now = grouped((keys[0], item) for keys, _, item in self.counted("by_team"))
        then = grouped((keys[0], item) for keys, _, item in self.counted("by_team", BEFORE, FIRST))
        found = await self.read(conn, "team_compared")
        kept = self.model.reports["team_compared"].values
        assert [(row["keys"]["group"], row["values"], row["previous"]) for row in found] == [
            (group, *({text: numbers(side.get(group, []))[text] for text in kept} for side in (now, then)))
            for group in sorted(now.keys() | then.keys(), key=self.groups.__getitem__)
        ]

        by_hour = grouped(((keys[0], local.hour), item) for keys, local, item in self.counted("by_team") if local.hour < 4)
        assert [
            (row["keys"]["group"], row["bucket"], *row["values"].values()) for row in await self.read(conn, "team_hours")
        ] == [
            (group, hour, len(items), len({item.actor for item in items}))
            for (group, hour), items in sorted(by_hour.items(), key=lambda one: (one[0][1], self.groups[one[0][0]]))
        ]

        members = self.members()
        expected_of = {}
        for group, items in now.items():
            active = members[group] & {item.actor for item in items}
            part = rounded(Fraction(len(active), len(members[group])), 6) if members[group] else None
            expected_of[group] = (part, len(members[group]))
        found = await self.read(conn, "engaged")
        assert {row["keys"]["group"]: tuple(row["values"].values()) for row in found} == expected_of

    async def of_devices(self, conn: Connection) -> None:
        rows = grouped((keys[1], item) for keys, _, item in self.counted("by_device"))
        expected = [
            (
                {"data.device": device or None},
                [
                    len(items),
                    len({item.object for item in items if item.object}),
                    len({item.actor for item in items}),
                    len(items) if device == "fenix" else 0,
                ],
            )
            for device, items in sorted(rows.items())
        ]
        assert [(row["keys"], list(row["values"].values())) for row in await self.read(conn, "devices")] == expected

    async def of_everything(self, conn: Connection) -> None:
        items = [item for _, _, item in self.counted("everything")]
        times = [item.occurred_at for item in items]
        (row,) = await self.read(conn, "everything")
        devices = {item.device for item in items if item.device}
        assert list(row["values"].values()) == [len(items), len(devices), rfc3339(max(times)) if times else None]

    # ── pairs, latest, members ──

    async def of_pairs(self, conn: Connection) -> None:
        declared = self.model.pairs["issue"]
        zone = self.truth.zone_of(None, self.now)
        first, last = (midnight(day).replace(tzinfo=zone) for day in (FIRST, LAST))
        rows: dict[str, list[Fraction | None]] = defaultdict(list)
        for _, opened, closed in self.truth.pairs(set(declared.open), set(declared.close)):
            for group in self.truth.reach(opened.groups[0], opened.occurred_at) if opened.groups else ():
                if closed is None:
                    rows[group].append(None)
                elif first <= closed < last:
                    rows[group].append(Fraction((closed - opened.occurred_at) // timedelta(microseconds=1), 10**6))
        expected = {}
        for group, times in rows.items():
            known = sorted(time for time in times if time is not None)
            parts = [known[ceil(len(known) * Fraction(part)) - 1] if known else None for part in ("0.5", "0.9", "1")]
            expected[group] = [len(known), len(times) - len(known), *parts, sum(known)]
        found = await self.read(conn, "times")
        assert {row["keys"]["group"]: list(row["values"].values()) for row in found} == expected

    async def of_latest(self, conn: Connection) -> None:
        rows = grouped(
            ((group, actor), item)
            for (group, _, actor), item in self.truth.latest({"run"}, ("group", "object", "actor")).items()
        )
        rides = {key[0]: item for key, item in self.truth.latest({"ride"}, ("object",)).items()}
        expected = []
        for (group, actor), items in sorted(rows.items(), key=lambda one: (self.groups[one[0][0]], self.actors[one[0][1]])):
            known = [item.measures["distance_m"] for item in items if "distance_m" in item.measures]
            weighed = [
                (item.measures["distance_m"], rides[item.object].measures["distance_m"])
                for item in items
                if "distance_m" in item.measures and item.object in rides and "distance_m" in rides[item.object].measures
            ]
            weights = sum((weight for _, weight in weighed), Fraction(0))
            mean = rounded(sum((a * b for a, b in weighed), Fraction(0)) / weights, 7) if weights else None
            values = [
                len(items),
                sum(known),
                mean,
                rounded(Fraction(len([one for one in known if one >= 50]), len(known)), 6) if known else None,
                len({item.object for item in items}),
                rfc3339(max(item.occurred_at for item in items)),
            ]
            expected.append(({"group": group, "actor": actor}, values))
        assert [(row["keys"], list(row["values"].values())) for row in await self.read(conn, "book")] == expected

    async def of_members(self, conn: Connection) -> None:
        members = self.members()
        counts = self.truth.contributions({"run"}, ("group", "actor"), "membership", ancestors=True)
        counted = grouped((keys, item) for keys, _, item in counts)
        teams = self.truth.contributions({"run", "ride"}, ("group",), "addressed", ancestors=True)
        of_team = grouped((keys[0], item) for keys, _, item in teams)
        for group in self.groups:
            own = sorted(
                (actor for actor in self.actors if group in self.truth.belongs(actor, self.now)), key=self.actors.__getitem__
            )
            expected = [
                (actor, ["member", len(members[group]), len(counted.get((group, actor), [])), len({one.actor for one in of_team.get(group, [])})])
                for actor in own
            ]  # fmt: skip
            found = await self.read(conn, "roster", keys={"group": group})
            assert [(row["keys"]["actor"], list(row["values"].values())) for row in found] == expected, group
            done = set(self.model.pending["issues"].done)
            open_ones = {
                actor: [
                    due for due, _, one in self.truth.pending(actor, "open_issue", done, self.now, dated=True) if one == group
                ]
                for actor in own
            }
            found = await self.read(conn, "open_issues", keys={"group": group})
            assert [(row["keys"]["actor"], list(row["values"].values())) for row in found] == [
                (actor, [len(dues), len([due for due in dues if due is not None and due < self.now])])
                for actor, dues in open_ones.items()
                if dues
            ]

    def members(self) -> dict[str, set[str]]:
        """Of each group and those below it, now."""
        found: dict[str, set[str]] = {group: set() for group in self.groups}
        for actor in self.actors:
            for group in self.truth.belongs(actor, self.now):
                for above in self.truth.reach(group, self.now):
                    found[above].add(actor)
        return found


def grouped(items: Iterable[tuple[Any, Activity]]) -> dict[Any, list[Activity]]:
    found: dict[Any, list[Activity]] = defaultdict(list)
    for key, item in items:
        found[key].append(item)
    return dict(found)


def numbers(items: list[Activity]) -> dict[str, Any]:
    """Every value that a report of teams may be asked for."""
    known = [item.measures["distance_m"] for item in items if "distance_m" in item.measures]
    times = [item.occurred_at for item in items]
    best: Callable[[Callable[..., Any]], Any] = lambda pick: pick(known) if known else None  # noqa: E731
    return {
        "count": len(items),
        "sum(distance_m)": sum(known),
        "distinct(actor)": len({item.actor for item in items}),
        "min(distance_m)": best(min),
        "max(distance_m)": best(max),
        "latest(distance_m)": latest_of(items),
        "first_at": rfc3339(min(times)) if times else None,
        "last_at": rfc3339(max(times)) if times else None,
    }


def latest_of(items: list[Activity]) -> Any:
    having = [(item.occurred_at, item.measures["distance_m"]) for item in items if "distance_m" in item.measures]
    return max(having)[1] if having else None


def midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time())


def rounded(number: Fraction, digits: int) -> Fraction:
    return Fraction(floor(number * 10**digits + Fraction(1, 2)), 10**digits)


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
