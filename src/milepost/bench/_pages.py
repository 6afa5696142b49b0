"""The pages that readers ask for: of each kind as many as wanted, all different, drawn at random from a history.

Groups, actors and objects are drawn as they act (by Zipf's law, so that busy ones come first) or evenly, so that most are small and
were long not read; lists begin at any moment of the year; cursors stand at the depth that the kind is named for, which is the number
of newer activities in the same feed.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from milepost.access.groups import actor_groups, get_member, list_members
from milepost.access.permissions import Check, allowed
from milepost.access.viewer import Viewer, reader_of
from milepost.bench._history import ALL, FEW, HOME, History
from milepost.errors import MilepostError
from milepost.feeds.home import home_of
from milepost.feeds.read import bounds, page_of, read_page
from milepost.postgres import Connection, load_queries
from milepost.rollups.read import Question, read_rollup
from milepost.schema.models import CurrentModel
from milepost.storage.activities import Presenter
from milepost.storage.by_index import plan_by_index
from milepost.storage.filters import Filter

__all__ = ["PAGE", "Asked", "Read", "draw_pages"]

_queries = load_queries(__package__, "history.sql")

PAGE = 50
DEEP = 20_000
TRIES = 20  # for each page wanted: where the busy ones are drawn again and again, a kind has fewer
DIFFERENT_MIN = 300

Read = Callable[[Connection], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One page: what tells it from others, and how it is read."""

    what: tuple[object, ...]
    read: Read
    tenant_id: int


async def draw_pages(owner: Connection, history: History, current: CurrentModel, count: int) -> dict[str, list[Asked]]:
    """Kind → `count` different pages or as many as there are, in no order. What a cursor costs to find is paid here.

    Raises `MilepostError` for a history that is too small.
    """
    return await _Drawing(owner, history, current, count).all()


class _Drawing:
    def __init__(self, owner: Connection, history: History, current: CurrentModel, count: int) -> None:
        self.owner, self.history, self.current, self.count = owner, history, current, count
        self.tenant = {"tenant_id": history.tenant_id}
        self.presenter = Presenter(current.compiled.columns)
        self.rng = random.Random(5)
        self.first = self.last = datetime.min
        self.viewers: dict[str, Viewer] = {}

    async def all(self) -> dict[str, list[Asked]]:
        row = await (await self.owner.execute(_queries.span, self.tenant)).fetchone()
        assert row is not None
        self.first, self.last = row
        for name in (FEW, ALL, HOME):
            row = await (await self.owner.execute(_queries.actor, {**self.tenant, "actor": name})).fetchone()
            assert row is not None
            self.viewers[name] = Viewer(actor_id=row[0], actor=name)
        drawn = {
            "group_feed_depth_0": self.different(lambda: self.page(Filter(group=self.group()))),
            "group_feed_depth_10": [self.page(Filter(group=name), at) for name, at in await self.at_depth(10)],
            f"group_feed_depth_{DEEP}": [self.page(Filter(group=name), at) for name, at in await self.below_depth(DEEP)],
            "group_feed_any": self.different(lambda: self.page(Filter(group=self.any_group(), until=self.moment()))),
            "group_feed_tested": self.different(lambda: self.page(Filter(group=self.group(), verb=self.verb()))),
            "actor_feed": self.different(lambda: self.page(Filter(actor=self.actor()))),
            "actor_feed_any": self.different(lambda: self.page(Filter(actor=self.any_actor()))),
            "object_feed": self.different(lambda: self.page(Filter(object=("route", f"r-{self.zipf(self.history.objects)}")))),
            "list_depth_0": self.different(lambda: self.page(Filter(until=self.moment()))),
            f"list_depth_{DEEP}": [self.page(Filter(), at) for at in await self.anywhere()],
            "list_by_verb": self.different(lambda: self.page(Filter(verb=self.verb(), until=self.moment()))),
            "list_by_status": self.different(lambda: self.page(Filter(status="late", until=self.moment()))),
            "list_by_device": self.different(lambda: self.page(Filter(data={"device": self.device()}, until=self.moment()))),
            "list_tested": self.different(lambda: self.page(Filter(source="polar", until=self.moment()))),
            "team_days": self.different(lambda: self.rollup("team_distance", "day", {"group": self.any_group()})),
            "team_total": self.different(lambda: self.rollup("team_distance", "all", {"group": self.any_group()})),
            "teams_of_a_day": self.different(self.teams_of_a_day),
            "member_days": self.different(lambda: self.rollup("member_distance", "day", self.member())),
            "member_days_by_actor": self.different(lambda: self.rollup("member_distance", "day", {"actor": self.actor()})),
            "member_total_by_actor": self.different(lambda: self.rollup("member_distance", "all", {"actor": self.any_actor()})),
            "member_days_by_group": self.different(lambda: self.rollup("member_distance", "day", {"group": self.group()})),
            "small_group_feed": self.different(lambda: self.page(Filter(group=self.any_group()), small=True)),
            "small_list": self.different(lambda: self.page(Filter(until=self.moment()), small=True)),
            "home": self.different(lambda: self.home(self.moment())),
            **{
                f"{name}_{kind}": self.different(partial(self.page_of, viewer, kind))
                for name, viewer in (("few", FEW), ("all", ALL))
                for kind in ("list", "list_by_verb", "list_by_status", "group_feed", "actor_feed", "object_feed", "list_tested")
            },
            "check": self.different(self.check),
            "member": self.different(self.membership),
            "members_of_group": self.different(self.members),
            "groups_of_actor": self.different(self.groups),
            "member_totals_by_group": self.different(lambda: self.rollup("member_distance", "all", {"group": self.group()})),
        }
        for kind, pages in drawn.items():
            if len(pages) < DIFFERENT_MIN:
                raise MilepostError(f"The history has no {DIFFERENT_MIN} different pages of the kind {kind}, but {len(pages)}.")
            self.rng.shuffle(pages)
        return drawn

    def different(self, draw: Callable[[], Asked]) -> list[Asked]:
        found: dict[tuple[object, ...], Asked] = {}
        for _ in range(self.count * TRIES):
            asked = draw()
            found.setdefault(asked.what, asked)
            if len(found) == self.count:
                break
        return list(found.values())

    # ── What is asked ──

    def page(self, filter: Filter, before: UUID | None = None, *, small: bool = False) -> Asked:
        tenant_id = self.history.small_id if small else self.history.tenant_id
        model, presenter = self.current.model, self.presenter
        return Asked(
            what=(filter.group, filter.actor, filter.object, filter.verb, str(filter.data), filter.until, before),
            read=lambda conn: read_page(conn, tenant_id, filter, model, presenter, limit=PAGE, before=before),
            tenant_id=tenant_id,
        )

    def page_of(self, viewer: str, kind: str) -> Asked:
        """A page as a viewer sees it. What it may read is found anew for each, as in a request."""
        tenant_id, model, presenter, who = self.history.tenant_id, self.current.model, self.presenter, self.viewers[viewer]
        filters: dict[str, Any] = {
            "list": dict,
            "list_by_verb": lambda: {"verb": self.verb()},
            "list_by_status": lambda: {"status": "late"},
            "list_tested": lambda: {"source": "polar"},
            "group_feed": lambda: {"group": self.group()},
            "actor_feed": lambda: {"actor": self.actor()},
            "object_feed": lambda: {"object": ("route", f"r-{self.zipf(self.history.objects)}")},
        }
        filter = Filter(**filters[kind](), until=self.moment())

        async def read(conn: Connection) -> Any:
            reader = await reader_of(conn, tenant_id, who, model)
            return await read_page(conn, tenant_id, filter, model, presenter, limit=PAGE, reader=reader)

        return Asked(
            what=(viewer, kind, filter.group, filter.actor, filter.object, filter.until), read=read, tenant_id=tenant_id
        )

    def home(self, until: datetime) -> Asked:
        tenant_id, model, presenter, who = self.history.tenant_id, self.current.model, self.presenter, self.viewers[HOME]

        async def read(conn: Connection) -> Any:
            reader = await reader_of(conn, tenant_id, who, model)
            await plan_by_index(conn, sorts=False)
            stream = await home_of(conn, tenant_id, reader)
            low, high = bounds(None, until, None)
            return await page_of(conn, tenant_id, stream, presenter, low=low, high=high, limit=PAGE)

        return Asked(what=("home", until), read=read, tenant_id=tenant_id)

    def check(self) -> Asked:
        """Whether one may read a group: mostly its own, which it may."""
        tenant_id, model, keys = self.history.tenant_id, self.current.model, self.member()
        group = keys["group"] if self.rng.random() < 0.7 else self.any_group()
        question = Check(actor=keys["actor"], action="read", group=group)

        async def read(conn: Connection) -> Any:
            await plan_by_index(conn, sorts=True)
            return await allowed(conn, tenant_id, model, [question])

        return Asked(what=(question.actor, group), read=read, tenant_id=tenant_id)

    def membership(self) -> Asked:
        tenant_id, keys = self.history.tenant_id, self.member()
        return Asked(
            what=tuple(keys.values()),
            read=lambda conn: get_member(conn, tenant_id, keys["group"], keys["actor"]),
            tenant_id=tenant_id,
        )

    def members(self) -> Asked:
        tenant_id, group = self.history.tenant_id, self.any_group()
        return Asked(what=(group,), read=lambda conn: list_members(conn, tenant_id, group, limit=PAGE), tenant_id=tenant_id)

    def groups(self) -> Asked:
        tenant_id, actor = self.history.tenant_id, self.any_actor()
        return Asked(what=(actor,), read=lambda conn: actor_groups(conn, tenant_id, actor, limit=PAGE), tenant_id=tenant_id)

    def rollup(self, name: str, per: str, keys: dict[str, str], since: datetime | None = None) -> Asked:
        tenant_id, model = self.history.tenant_id, self.current.model
        until = since + timedelta(days=1) if since else None
        question = Question(keys=keys, per=per, since=since, until=until)
        return Asked(
            what=(name, per, since, *keys.values()),
            read=lambda conn: read_rollup(conn, tenant_id, model, name, question, limit=PAGE),
            tenant_id=tenant_id,
        )

    def teams_of_a_day(self) -> Asked:
        day = self.first.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        return self.rollup("team_distance", "day", {}, since=day + timedelta(days=self.rng.randrange(self.history.days)))

    # ── Of whom ──

    def zipf(self, count: int) -> int:
        """As the history was drawn: number n about as often as 1 / n."""
        return int(count ** self.rng.random()) - 1

    def actor(self) -> str:
        return f"user-{self.zipf(self.history.actors)}"

    def any_actor(self) -> str:
        return f"user-{self.rng.randrange(self.history.actors)}"

    def group(self) -> str:
        return f"team-{self.zipf(self.history.actors) % self.history.groups}"

    def any_group(self) -> str:
        return f"team-{self.rng.randrange(self.history.groups)}"

    def member(self) -> dict[str, str]:
        actor = self.zipf(self.history.actors)
        return {"group": f"team-{actor % self.history.groups}", "actor": f"user-{actor}"}

    def verb(self) -> str:
        return self.rng.choice(("run", "ride", "walk", "climb"))

    def device(self) -> str:
        return f"device-{self.zipf(self.history.devices)}"

    def moment(self) -> datetime:
        return self.first + (self.last - self.first) * self.rng.random()

    # ── From where ──

    async def at_depth(self, depth: int) -> list[tuple[str, UUID]]:
        """A group and a cursor in it, for different groups."""
        names = {self.group() for _ in range(self.count * TRIES)}
        found = []
        for name in sorted(names, key=lambda _: self.rng.random())[: self.count]:
            values = {**self.tenant, "group": name, "depth": depth}
            row = await (await self.owner.execute(_queries.group_at_depth, values)).fetchone()
            if row is not None:
                found.append((name, row[0]))
        return found

    async def below_depth(self, depth: int) -> list[tuple[str, UUID]]:
        """Cursors anywhere below that depth, in the groups that are as deep: the busiest, whose numbers are the lowest."""
        found: list[tuple[str, UUID]] = []
        for number in range(self.history.groups):
            values = {**self.tenant, "group": f"team-{number}", "depth": depth, "page": PAGE, "count": self.count // 2}
            rows = await (await self.owner.execute(_queries.group_below_depth, values)).fetchall()
            if not rows:
                break
            found += [(f"team-{number}", row[0]) for row in rows]
        return sorted(found, key=lambda _: self.rng.random())[: self.count]

    async def anywhere(self) -> list[UUID]:
        """Cursors in the whole history: nearly all of them deeper than 20,000."""
        percent = 100 * min(1.0, 3 * self.count / self.history.rows)
        values = {**self.tenant, "percent": percent, "count": self.count}
        return [row[0] for row in await (await self.owner.execute(_queries.ids, values)).fetchall()]
