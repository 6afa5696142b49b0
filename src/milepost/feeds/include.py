"""What comes along with a page of activities: the actors and groups it names, as they are now, each once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from milepost.postgres import Connection, load_queries

__all__ = ["INCLUDABLE", "include"]

_queries = load_queries(__package__, "include.sql")

# An object is its kind and id, which every activity shows: there is nothing more of it to include.
INCLUDABLE = ("actor", "object", "group")


async def include(
    conn: Connection, tenant_id: int, activities: Iterable[dict[str, Any]], wanted: Collection[str]
) -> dict[str, dict[str, Any]]:
    """wanted: some of `INCLUDABLE`. → {"actors": {id: …}, "groups": {id: …}}, of those that are wanted."""
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
        rows = await conn.execute(_queries.groups, {"tenant_id": tenant_id, "ids": sorted(ids)})
        found["groups"] = {
            one: {"id": one, "kind": kind, "name": name, "status": status, "attributes": _attributes(attributes)}
            async for one, kind, name, status, attributes in rows
        }
    return found


def _attributes(text: str | None) -> Any:
    return msgspec.json.decode(text) if text else {}
