"""What comes along with a page of activities: the actors and groups it names, as they are now, each once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from milepost.access.viewer import Reader
from milepost.postgres import Connection, load_queries
from milepost.rollups.read import put_words

__all__ = ["INCLUDABLE", "include"]

_queries = load_queries(__package__, "include.sql")

# An object is its kind and id, which every activity shows: there is nothing more of it to include.
INCLUDABLE = ("actor", "object", "group")


async def include(
    conn: Connection, tenant_id: int, activities: Iterable[dict[str, Any]], wanted: Collection[str], reader: Reader
) -> dict[str, dict[str, Any]]:
    """wanted: some of `INCLUDABLE`. → {"actors": {id: …}, "groups": {id: …}}, of those that are wanted.

    A public activity may name a group that the reader may not read: nothing is told of that.
    """
    activities = list(activities)
    found: dict[str, dict[str, Any]] = {}
    if "actor" in wanted:
        ids = {activity["actor"] for activity in activities}
        rows = await conn.execute(_queries.actors, {"tenant_id": tenant_id, "ids": sorted(ids)})
        found["actors"] = {
            one: {"id": one, "kind": kind, "name": name, "attributes": _attributes(attributes)}
            async for one, kind, name, attributes in rows
        }
    if "group" in wanted:
        ids = {one for activity in activities for one in activity.get("groups") or [activity.get("group")] if one}
        query = put_words(_queries.groups, readable=reader.readable)
        rows = await conn.execute(query, {"tenant_id": tenant_id, "ids": sorted(ids), **reader.parameters})
        found["groups"] = {
            one: {"id": one, "kind": kind, "name": name, "status": status, "attributes": _attributes(attributes)}
            async for one, kind, name, status, attributes in rows
        }
    return found


def _attributes(text: str | None) -> Any:
    return msgspec.json.decode(text) if text else {}
