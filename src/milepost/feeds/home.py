"""The home feed: what a viewer follows, newest first, merged when it is read.

Nothing is written for it when an activity comes in: up to 2,000 followed actors, groups and objects are index ranges, merged page
by page. The newest activities of the whole tenant are looked at first: whoever follows much of what happens finds a page there, and
for others that look says in how wide a window a page's worth is to be expected; each followed one costs a look-up in that window, or,
where the viewer may see less than it follows, each group that it may read (`_sides`). What is followed twice, as an actor and by its group, is shown once.

Following shows nothing that the viewer may not see: of an actor or object what is public and what groups that it may read have, of a
group that it may not read what is public. Its own private activities are there where it follows their group or object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from milepost.access.follows import Followed, followed_by
from milepost.access.viewer import Reader, readable
from milepost.feeds._found import NOTHING, Found
from milepost.feeds._sides import Leg, Sides
from milepost.feeds.listed import Sight, own, sight_of, sight_of_cold
from milepost.postgres import Connection, load_queries
from milepost.storage.cold import all_of

__all__ = ["Home", "home_of"]

_queries = load_queries(__package__, "looks.sql")

ACTORS: LiteralString = "unnest(%(followed_actors)s::bigint[]) f (actor_id)"
GROUPS: LiteralString = "unnest(%(followed_groups)s::bigint[]) f (group_id)"
GROUPS_SEEN: LiteralString = "unnest(%(followed_groups_seen)s::bigint[]) f (group_id)"
OBJECTS: LiteralString = "unnest(%(followed_kinds)s::text[], %(followed_objects)s::text[]) f (object_kind, object_id)"


@dataclass(frozen=True, kw_only=True)
class Home:
    """groups_seen: those of the followed groups that the viewer may read. verb: only of this one."""

    tenant_id: int
    reader: Reader
    followed: Followed
    sight: Sight
    groups_seen: tuple[int, ...]
    verb: str | None = None

    async def newest(self, conn: Connection, low: UUID, high: UUID, wanted: int) -> Found:
        if self.followed == Followed():
            return NOTHING
        sides = [[Leg(of="true", test=self.matches)], self._followed()]
        if self.sight.groups is not None:
            test = (*self._rest, _queries.is_followed)
            sides.append([Leg(of="s.audience = 0", test=test), *self.sight.legs(test), *own(test)])
        return await Sides(sides=sides, parameters=self.parameters).newest(conn, low, high, wanted)

    @property
    def parameters(self) -> dict[str, Any]:
        """Of `matches` and of the legs."""
        return {
            "tenant_id": self.tenant_id,
            **self.reader.parameters,
            **self.sight.parameters,
            "followed_actors": list(self.followed.actors),
            "followed_groups": list(self.followed.groups),
            "followed_groups_seen": list(self.groups_seen),
            "followed_kinds": [kind for kind, _ in self.followed.objects],
            "followed_objects": [one for _, one in self.followed.objects],
            **({} if self.verb is None else {"verb": self.verb}),
        }

    @property
    def matches(self) -> tuple[LiteralString, ...]:
        """Conditions on activities as `s`: that they are in this feed."""
        return (*self._rest, _queries.is_followed, self.sight.test)

    @property
    def stored(self) -> tuple[str, ...]:
        """What cold rows must meet at least. Kind and id of an object are asked for one by one: that they belong together is judged later."""
        followed = (
            "list_contains($followed_actors::BIGINT[], c.actor_id) OR list_contains($followed_groups::BIGINT[], c.group_id)"
            " OR list_has_any($followed_groups::BIGINT[], coalesce(c.more_groups, []))"
            " OR (list_contains($followed_kinds::VARCHAR[], c.object_kind) AND list_contains($followed_objects::VARCHAR[], c.object_id))"
        )
        return (all_of([followed, *sight_of_cold(self.reader), *([] if self.verb is None else ["c.verb = $verb"])]),)

    @property
    def _rest(self) -> tuple[LiteralString, ...]:
        return () if self.verb is None else ("s.verb = %(verb)s",)

    def _followed(self) -> list[Leg]:
        rest, seen = self._rest, (*self._rest, self.sight.test)
        actors, objects = len(self.followed.actors), len(self.followed.objects)
        groups, groups_seen = len(self.followed.groups), len(self.groups_seen)
        of_group: LiteralString = "s.group_id = f.group_id AND s.audience = "
        of_object: LiteralString = "s.object_kind = f.object_kind AND s.object_id = f.object_id AND s.audience = "
        legs = [
            Leg(each=ACTORS, count=actors, of="s.actor_id = f.actor_id AND s.audience = 0", test=rest),
            Leg(each=ACTORS, count=actors, of="s.actor_id = f.actor_id AND s.audience = 1", test=seen),
            Leg(each=OBJECTS, count=objects, of=of_object + "0", test=rest),
            Leg(each=OBJECTS, count=objects, of=of_object + "1", test=seen),
        ]
        for stream in (False, True):
            legs.append(Leg(each=GROUPS, count=groups, of=of_group + "0", test=rest, stream=stream))
            legs.append(Leg(each=GROUPS_SEEN, count=groups_seen, of=of_group + "1", test=rest, stream=stream))
        return [*legs, *own((*rest, _queries.is_followed))]


async def home_of(conn: Connection, tenant_id: int, reader: Reader, *, verb: str | None = None) -> Home:
    """reader: a viewer's."""
    assert reader.actor_id is not None, "a home feed is somebody's"
    followed = await followed_by(conn, tenant_id, reader.actor_id)
    sight = await sight_of(conn, tenant_id, reader)
    if sight.groups is None:
        seen = await readable(conn, tenant_id, reader, followed.groups)
    else:
        seen = set(followed.groups).intersection(sight.groups)
    return Home(tenant_id=tenant_id, reader=reader, followed=followed, sight=sight, groups_seen=tuple(sorted(seen)), verb=verb)
