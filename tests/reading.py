"""What a tenant's readers get, compared with the plain model: feeds, lists, rollups, latest tables, pairs and goals.

Lists are read over HTTP, page by page, with pages so small that histories have several; what comes must be what the truth says, in
its order, with nothing left out and nothing twice. Goals are read as their handler reads them, at moments of the history.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import floor
from typing import Any
from urllib.parse import quote

import httpx

from matching import SEARCHES, words_searched
from milepost.model import Board, Model, Value
from milepost.postgres import Database
from milepost.rollups.goals import read_goal
from milepost.rollups.pending import Wanted, read_pending
from reading_reports import ReportReader
from truth import VERSIONED, Activity, Identity, Truth, buckets

__all__ = ["Reader"]

PAGE = 7
VIEWERS = (None, "ana", "ben", "nobody")  # None: the key itself
SCALES = {"distance_m": 1, "duration_s": 0}
ADDING_UP = ("count", "sum", "distinct")


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One tenant's. public: the id that a client knows of each activity."""

    client: httpx.AsyncClient
    db: Database
    tenant_id: int
    key: str
    model: Model
    truth: Truth
    public: Mapping[Identity, str]

    async def compare(self, now: datetime) -> None:
        """now: the moment at which goals are asked for."""
        groups, actors = await self.numbers()
        await self.compare_feeds()
        await self.compare_contents()
        await self.compare_homes()
        await self.compare_days()
        await self.compare_rollups(groups, actors)
        await self.compare_latest(groups, actors)
        await self.compare_pairs()
        await self.compare_goals(groups, actors, now)
        await self.compare_milestones()
        await self.compare_pending(groups, actors, now)
        await self.compare_boards(groups, actors)
        await self.compare_search()
        await ReportReader(
            db=self.db, tenant_id=self.tenant_id, model=self.model, truth=self.truth, groups=groups, actors=actors, now=now
        ).compare()

    async def compare_local(self, now: datetime) -> None:
        """Of that, what is counted by local days."""
        groups, actors = await self.numbers()
        await self.compare_days()
        await self.compare_rollups(groups, actors)
        await self.compare_goals(groups, actors, now)
        await self.compare_milestones()
        await self.compare_boards(groups, actors)

    async def numbers(self) -> tuple[dict[str, int], dict[str, int]]:
        """Groups and actors in the order in which rows of rollups stand: of their numbers."""
        async with self.db.transaction("point", tenant_id=self.tenant_id) as conn:
            groups = await (await conn.execute("SELECT external_id, group_id FROM milepost.groups")).fetchall()
            actors = await (await conn.execute("SELECT external_id, actor_id FROM milepost.actor")).fetchall()
        return dict(groups), dict(actors)

    async def pages(self, path: str, viewer: str | None = None, **asked: str) -> list[Any]:
        """Every item of a list, as a viewer or the key itself sees it. What does not exist has none."""
        items: list[Any] = []
        following: str | None = None
        while True:
            cursor = {} if following is None else {"cursor": following}
            answer = await self.client.get(
                f"/v1/{path}",
                params={**asked, **cursor, "limit": PAGE},
                headers={"authorization": f"Bearer {self.key}"} | ({} if viewer is None else {"milepost-viewer": viewer}),
            )
            if answer.status_code == 404 and not items:
                return []
            assert answer.status_code == 200, answer.text
            page = json.loads(answer.content, parse_float=Fraction)
            assert len(page["items"]) <= PAGE
            items += page["items"]
            if page["next"] is None:
                return items
            assert page["next"] != following, "the next page is this one"
            following = page["next"]

    async def ask(self, path: str) -> httpx.Response:
        return await self.client.get(f"/v1/{path}", headers={"authorization": f"Bearer {self.key}"})

    # ── feeds ──

    async def compare_feeds(self) -> None:
        newest_first = sorted(self.truth.activities.values(), key=lambda item: item.order, reverse=True)
        for viewer in VIEWERS:
            for path, asked, wanted in questions(self.truth):
                found = await self.pages(path, viewer, **asked)
                found = [item for item in found if item["verb"] != "milestone"]  # see `compare_milestones`
                for item in found:
                    del item["received_at"]
                group = asked.get("group") or (path.split("/")[1] if path.startswith("groups/") else None)
                seen = [item for item in newest_first if wanted(item) and self.truth.sees(viewer, item, group)]
                assert found == [self.shown(item) for item in seen], (viewer, path, asked)

    async def compare_contents(self) -> None:
        """Each content, whole, and each version of it."""
        for item in self.truth.activities.values():
            if item.verb not in VERSIONED:
                continue
            path = f"activities/{dashed(self.public[item.public])}"
            answer = await self.ask(f"{path}/content")
            assert (answer.json() if answer.status_code == 200 else None) == item.content, path
            versions = self.truth.versions.get(item.public, {})
            listed = [one["version"] for one in await self.pages(f"{path}/versions")]
            assert listed == sorted(versions, reverse=True), path
            for number, then in versions.items():
                answer = await self.ask(f"{path}/versions/{number}")
                assert answer.status_code == 200, answer.text
                was = answer.json()["activity"]
                found = (was["actor"], was.get("content"), datetime.fromisoformat(was["occurred_at"]), was.get("status", ""))
                assert found == (then.actor, then.content, then.occurred_at, then.status), (path, number)

    async def compare_homes(self) -> None:
        newest_first = sorted(self.truth.activities.values(), key=lambda item: item.order, reverse=True)
        for viewer in ("ana", "ben", "nobody"):
            found = [item for item in await self.pages("home", viewer) if item["verb"] != "milestone"]
            for item in found:
                del item["received_at"]
            assert found == [self.shown(item) for item in newest_first if self.truth.at_home(viewer, item)], viewer

    async def compare_days(self) -> None:
        """A feed put together by local days: by the group's clock as it is now, whatever it was when something happened."""
        newest_first = sorted(self.truth.activities.values(), key=lambda item: item.order, reverse=True)
        for group in ("a", "b", "c", "d"):
            zone = self.truth.zone_of(group, datetime.now(UTC))
            expected: dict[tuple[str, str], int] = {}
            for item in newest_first:
                if group in item.groups:
                    of = (item.occurred_at.astimezone(zone).date().isoformat(), item.verb)
                    expected[of] = expected.get(of, 0) + 1
            found = [one for one in await self.pages(f"groups/{group}/feed", aggregate="true") if one["verb"] != "milestone"]
            assert [((one["day"], one["verb"]), one["count"]) for one in found] == list(expected.items()), group

    def shown(self, item: Activity) -> dict[str, Any]:
        body: dict[str, Any] = {
            "id": dashed(self.public[item.public]),
            "version": item.version,
            "occurred_at": rfc3339(item.occurred_at),
            "actor": item.actor,
            "verb": item.verb,
            "visibility": item.visibility,
        }
        if item.object:
            body["object"] = {"kind": item.object[0], "id": item.object[1]}
        if item.groups:
            body["group"] = item.groups[0]
        if len(item.groups) > 1:
            body["groups"] = [item.groups[0], *sorted(item.groups[1:])]
        if item.measures:
            body["measures"] = item.measures
        data = {"device": item.device} if item.device is not None else {}
        if item.note is not None:
            data["note"] = item.note
        if item.due is not None:
            data["due"] = item.due.isoformat()
        if data:
            body["data"] = data
        key = {"key": item.public[0][2]} if item.public[0][0] == "key" else {}
        return body | {name: value for name, value in (("source", item.source), ("status", item.status)) if value} | key

    # ── search ──

    async def compare_search(self) -> None:
        """Each search alone and with one of the filters, for the key and a viewer; by relevance, the same in another order."""
        newest_first = sorted(self.truth.activities.values(), key=lambda item: item.order, reverse=True)
        filters = [(asked, wanted) for path, asked, wanted in questions(self.truth) if path == "activities"]
        for number, (q, matches) in enumerate(SEARCHES):
            for asked, wanted in (filters[0], filters[1 + number % (len(filters) - 1)]):
                for viewer in (None, "ana"):
                    expected = [
                        dashed(self.public[item.public])
                        for item in newest_first
                        if (words := words_searched(self.model, item))
                        and matches(words)
                        and wanted(item)
                        and self.truth.sees(viewer, item)
                    ]
                    found = await self.pages("activities", viewer, q=q, **asked)
                    assert [item["id"] for item in found] == expected, (viewer, q, asked)
                    ranked = await self.pages("activities", viewer, q=q, order="relevance", **asked)
                    # How many are ranked is bounded; which are, are the newest.
                    newest = expected[: len(ranked)]
                    assert sorted(item["id"] for item in ranked) == sorted(newest), (viewer, q, asked)
                    assert bool(ranked) or not expected or asked or q.startswith("-"), (viewer, q)

    # ── rollups ──

    async def compare_rollups(self, groups: dict[str, int], actors: dict[str, int]) -> None:
        terms = terms_of(self.model)
        for name, rollup in self.model.rollups.items():
            by = tuple(key for key in rollup.by if key != "tenant")
            rows = self.truth.rollup(set(rollup.of), by, rollup.per, rollup.belongs, terms, ancestors=rollup.ancestors)
            for per in dict.fromkeys(("day", *rollup.per)):
                stored = f"term:{per}" if per in terms else per
                wanted = {key: items for key, items in rows.items() if key[-2] == stored}

                def place(key: tuple[Any, ...], by: tuple[str, ...] = by) -> tuple[Any, ...]:
                    order = [key[-1]]
                    for part, value in zip(by, key, strict=False):
                        order.append({"group": groups, "actor": actors}[part][value] if part in ("group", "actor") else value)
                    return tuple(order)

                expected = [
                    {
                        "bucket": shown_bucket(per, key[-1], terms),
                        "keys": {part: value or (None if part.startswith("data.") else value) for part, value in zip(by, key, strict=False)},
                        "values": {value.text: read_value(value, wanted[key]) for value in rollup.values},
                    }
                    for key in sorted(wanted, key=place, reverse=True)
                ]  # fmt: skip
                assert await self.pages(f"rollups/{name}", bucket=per) == expected, (name, per)

    async def compare_latest(self, groups: dict[str, int], actors: dict[str, int]) -> None:
        for name, latest in self.model.latest.items():
            rows = self.truth.latest(set(latest.of), latest.by)
            numbers: dict[str, Callable[[Any], Any]] = {
                "group": groups.__getitem__, "actor": actors.__getitem__, "object": tuple,
            }  # fmt: skip
            expected = []
            for key in sorted(rows, key=lambda key: [numbers[part](value) for part, value in zip(latest.by, key, strict=True)]):
                keys = dict(zip(latest.by, key, strict=True))
                if "object" in keys:
                    keys["object"] = {"kind": keys["object"][0], "id": keys["object"][1]}
                item = rows[key]
                values = {value: item.device if value == "data.device" else item.measures.get(value) for value in latest.values}
                expected.append({"keys": keys, "occurred_at": rfc3339(item.occurred_at), "values": values})
            found = await self.pages(f"latest/{name}")
            assert [{key: row[key] for key in ("keys", "occurred_at", "values")} for row in found] == expected, name

    async def compare_pairs(self) -> None:
        for name, pair in self.model.pairs.items():
            rows = self.truth.pairs(set(pair.open), set(pair.close))
            for target in {item.object for item in self.truth.activities.values() if item.object}:
                found = await self.pages(f"pairs/{name}", object="/".join(target))
                expected = [
                    (rfc3339(opened.occurred_at), closed and rfc3339(closed)) for one, opened, closed in rows if one == target
                ]
                assert [(row["opened_at"], row["closed_at"]) for row in found] == expected[::-1], (name, target)

    async def compare_milestones(self) -> None:
        """An activity stands for each percentage that is reached, in each bucket, and no other."""
        terms = terms_of(self.model)
        expected = []
        for name, goal in self.model.goals.items():
            rollup = self.model.rollups[goal.rollup]
            rows = self.truth.rollup(set(rollup.of), rollup.by, rollup.per, rollup.belongs, terms)
            for (entity, per, bucket), items in rows.items():
                target = self.truth.targets.get(entity) if goal.target.startswith("group.") else Fraction(goal.target)
                reached = read_value(goal.value, items)
                if per == (f"term:{goal.per}" if goal.per in terms else goal.per) and target and reached is not None:
                    expected += [
                        f"{name}/{entity}/{bucket:%Y-%m-%dT%H}/{percent}".replace("/1-", "/0001-")
                        for percent in goal.milestones
                        if Fraction(reached) * 100 >= target * percent
                    ]
        async with self.db.transaction("point", tenant_id=self.tenant_id) as conn:
            made = await (
                await conn.execute("SELECT key, group_id IS NULL, audience FROM milepost.activity WHERE verb = 'milestone'")
            ).fetchall()
        assert sorted(row[0] for row in made) == sorted(expected)
        assert all(audience == (2 if of_actor else 1) for _, of_actor, audience in made)

    # ── pending ──

    async def compare_pending(self, groups: dict[str, int], actors: dict[str, int], now: datetime) -> None:
        async with self.db.transaction("point", tenant_id=self.tenant_id, snapshot=True) as conn:
            for name, pending in self.model.pending.items():
                for actor in actors:
                    wanted = self.truth.pending(actor, pending.given, set(pending.done), now, dated=pending.due is not None)
                    never = datetime.max.replace(tzinfo=UTC)
                    wanted.sort(key=lambda one: (one[0] or never, one[1].order, groups[one[2]]))
                    expected = [
                        (group, item.object, due and rfc3339(due), due is not None and due < now) for due, item, group in wanted
                    ]
                    found: list[Any] = []
                    after: bytes | None = None
                    while after is not None or not found:
                        asked = Wanted(list=name)
                        page = await read_pending(conn, self.tenant_id, self.model, actor, asked, now=now, limit=2, after=after)
                        found += page.items
                        if (after := page.next) is None:
                            break
                    shown = [
                        (row["group"], (row["object"]["kind"], row["object"]["id"]), row["due"], row["overdue"])
                        for row in found
                    ]
                    assert shown == expected, (name, actor)

    # ── goals ──

    async def compare_goals(self, groups: dict[str, int], actors: dict[str, int], now: datetime) -> None:
        terms = terms_of(self.model)
        async with self.db.transaction("point", tenant_id=self.tenant_id, snapshot=True) as conn:
            for name, goal in self.model.goals.items():
                rollup = self.model.rollups[goal.rollup]
                rows = self.truth.rollup(set(rollup.of), rollup.by, rollup.per, rollup.belongs, terms)
                for entity in groups if rollup.by == ("group",) else actors:
                    zone = self.truth.zone_of(entity if rollup.by == ("group",) else None, now)
                    local = now.astimezone(zone).replace(tzinfo=None)
                    if goal.per in terms:
                        bucket = (f"term:{goal.per}", terms[goal.per][0])
                    else:
                        (bucket,) = (one for one in buckets(local, (goal.per,), terms) if one[0] == goal.per)
                    found = await read_goal(conn, self.tenant_id, self.model, name, {rollup.by[0]: entity}, now=now)
                    shown = (found.target, found.value, found.percent, found.remaining)
                    target = self.truth.targets.get(entity) if goal.target.startswith("group.") else Fraction(goal.target)
                    assert shown == goal_of(goal.value, target, rows.get((entity, *bucket), [])), (name, entity)

    # ── boards ──

    async def compare_boards(self, groups: dict[str, int], actors: dict[str, int]) -> None:
        """Every ranking that has anyone in it: all its pages, and the standing of who is in the middle."""
        terms = terms_of(self.model)
        for name, board in self.model.boards.items():
            rows = {
                key: items for key, items in self.truth.board(board, terms).items() if (name, key[1]) not in self.truth.hidden
            }
            rankings = ranked(board, rows, actors if board.rank == "actor" else groups)
            for (group, per, bucket), ranking in rankings.items():
                window = per.removeprefix("term:")
                if window not in board.windows:  # days are kept as what the others are made of
                    continue
                at = next(items[0].occurred_at for key, items in rows.items() if (key[0], *key[2:]) == (group, per, bucket))
                asked = {"window": window} | ({} if group is None else {"group": group})
                asked |= {} if window == "all" else {"at": rfc3339(at)}  # all time has no past but snapshots
                before = rankings.get((group, per, bucket_before(per, bucket)), [])
                ranks = {member: rank for rank, member, _ in before}
                expected = [
                    {
                        "rank": rank,
                        "member": member,
                        "score": score,
                        "movement": ranks[member] - rank if member in ranks else None,
                    }
                    for rank, member, score in ranking
                ]
                assert await self.pages(f"boards/{name}", **asked) == expected, (name, asked)
                for position in {0, len(expected) // 2, len(expected) - 1}:
                    await self.compare_standing(name, asked, expected, position)

    async def compare_standing(self, name: str, asked: dict[str, str], expected: list[dict[str, Any]], position: int) -> None:
        me = expected[position]
        better = [item for item in expected if item["rank"] < me["rank"]]
        answer = await self.client.get(
            f"/v1/boards/{name}/standing",
            params={**asked, "member": me["member"], "around": 1},
            headers={"authorization": f"Bearer {self.key}"},
        )
        others = len(expected) - 1
        found = json.loads(answer.content, parse_float=Fraction)
        assert (found.pop("window"), found.pop("snapshot")) == (asked["window"], None)
        del found["begins"]
        assert found == {
            **me,
            "members": len(expected),
            "percentile": rounded(Fraction(100 * (len(expected) - me["rank"]), others), 4) if others else 100,
            "to_next": abs(better[-1]["score"] - me["score"]) if better else None,
            "around": expected[max(position - 1, 0) : position + 2],
        }, (name, asked)


def ranked(
    board: Board, rows: Mapping[tuple[Any, ...], list[Activity]], numbers: Mapping[str, int]
) -> dict[tuple[Any, ...], list[tuple[int, str, Any]]]:
    """(group, per, bucket) → (rank, member, score), the best first."""
    places: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for (group, member, per, bucket), items in rows.items():
        score = read_value(board.by, items)
        if score is not None and len(items) >= board.activities_min:
            place = score if board.order == "up" else -score
            here = (place, tie_of(board.by, items, score), numbers[member], member, score)
            places.setdefault((group, per, bucket), []).append(here)
    found = {}
    for key, standing in places.items():
        standing.sort()
        deciding = 1 if board.ties == "shared" else 2
        ranks = [1 + sum(other[:deciding] < one[:deciding] for other in standing) for one in standing]
        found[key] = [(rank, one[3], one[4]) for rank, one in zip(ranks, standing, strict=True)]
    return found


def tie_of(value: Value, items: list[Activity], score: Any) -> datetime:
    """Since when the score is what it is."""
    argument = value.arguments[0] if value.arguments else ""
    match value.function:
        case "min" | "max":
            return min(item.occurred_at for item in items if item.measures.get(argument) == score)
        case "sum":
            times = [item.occurred_at for item in items if item.measures.get(argument)]
        case "avg" | "latest":
            times = [item.occurred_at for item in items if argument in item.measures]
        case _:
            times = [item.occurred_at for item in items]
    return max(times, default=datetime.min.replace(tzinfo=UTC))


def bucket_before(per: str, bucket: datetime) -> datetime | None:
    match per:
        case "day":
            return bucket - timedelta(days=1)
        case "week":
            return bucket - timedelta(days=7)
        case "month":
            return (bucket - timedelta(days=1)).replace(day=1)
        case _:
            return None


def questions(truth: Truth) -> Iterator[tuple[str, dict[str, str], Callable[[Activity], bool]]]:
    """Each list that is read: its path, its parameters, and whether an activity is in it."""
    for group in ("a", "b", "c", "d"):
        yield f"groups/{group}/feed", {}, lambda item, group=group: group in item.groups  # type: ignore[misc]
    for actor in ("ana", "ben", "cem"):
        yield f"actors/{actor}/feed", {}, lambda item, actor=actor: item.actor == actor  # type: ignore[misc]
    yield f"objects/issue/{quote('1')}/feed", {}, lambda item: item.object == ("issue", "1")
    yield "activities", {}, lambda item: True
    yield "activities", {"verb": "run"}, lambda item: item.verb == "run"
    yield "activities", {"status": "failed"}, lambda item: item.status == "failed"
    yield "activities", {"source": "strava", "verb": "ride"}, lambda item: item.source == "strava" and item.verb == "ride"
    yield "activities", {"data.device": "fenix"}, lambda item: item.device == "fenix"
    yield "activities", {"group": "b", "actor": "ana"}, lambda item: item.actor == "ana" and "b" in item.groups
    yield "groups/a/feed", {"verb": "run"}, lambda item: item.verb == "run" and "a" in item.groups
    yield "actors/ben/feed", {"verb": "run"}, lambda item: item.verb == "run" and item.actor == "ben"
    yield "activities", {"object": "issue/2", "group": "c"}, lambda item: item.object == ("issue", "2") and "c" in item.groups
    times = sorted({item.occurred_at for item in truth.activities.values()})
    if times:
        first, last = times[len(times) // 4], times[-1 - len(times) // 4]
        span = {"from": rfc3339(first), "to": rfc3339(last)}
        yield "activities", span, lambda item: first <= item.occurred_at < last
        yield "groups/b/feed", span, lambda item: first <= item.occurred_at < last and "b" in item.groups


def terms_of(model: Model) -> dict[str, tuple[datetime, datetime]]:
    return {
        name: (datetime(*term.first.timetuple()[:3]), datetime(*term.last.timetuple()[:3]))
        for name, term in model.terms.items()
    }


def read_value(value: Value, items: list[Activity]) -> Any:
    """A rollup's value as a reader is to see it, of the activities that count."""
    argument = value.arguments[0] if value.arguments else ""
    known = [item.measures[argument] for item in items if argument in item.measures]
    match value.function:
        case "count":
            return len(items)
        case "sum":
            return sum(known)
        case "avg":
            return rounded(sum(known, Fraction(0)) / len(known), SCALES[argument] + 6) if known else None
        case "weighted_avg":
            weight = value.arguments[1]
            both = [
                (item.measures[argument], item.measures[weight]) for item in items if {argument, weight} <= item.measures.keys()
            ]
            weights = sum((heavy for _, heavy in both), Fraction(0))
            total = sum((number * heavy for number, heavy in both), Fraction(0))
            return rounded(total / weights, SCALES[argument] + 6) if weights else None
        case "latest":
            having = [(item.occurred_at, item.measures[argument]) for item in items if argument in item.measures]
            return max(having)[1] if having else None
        case "min" | "max":
            return {"min": min, "max": max}[value.function](known) if known else None
        case "first_at" | "last_at":
            times = [item.occurred_at for item in items]
            return rfc3339(min(times) if value.function == "first_at" else max(times))
        case "share":
            return rounded(Fraction(len([number for number in known if number >= 50]), len(known)), 6) if known else None
        case "distinct":
            return len(distinct(argument, items))


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


def goal_of(value: Value, target: Fraction | None, items: list[Activity]) -> tuple[Any, Any, Any, Any]:
    """Target, value, percent, remaining."""
    reached = read_value(value, items) if items or value.function in ADDING_UP else None
    if target is None or reached is None:
        return target, reached, None, None
    return target, reached, rounded(Fraction(reached) * 100 / target, 2), max(target - reached, Fraction(0))


def rounded(number: Fraction, digits: int) -> Fraction:
    """A half away from zero; nothing here is negative."""
    return Fraction(floor(number * 10**digits + Fraction(1, 2)), 10**digits)


def shown_bucket(per: str, bucket: datetime, terms: Mapping[str, object]) -> str | None:
    if per in terms:
        return per
    return {"all": None, "hour": bucket.isoformat(timespec="minutes")}.get(per, bucket.date().isoformat())


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def dashed(hexadecimal: str) -> str:
    return "-".join(hexadecimal[i:j] for i, j in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))
