"""The app's own ids in what verify found: comparisons name groups and actors by the numbers that they are stored under.

What is to be shown is looked up, all of a tenant's at once: where every number is wrong, that is not more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from milepost.postgres import Database, load_queries

__all__ = ["KIND_OF", "with_names"]

_queries = load_queries(__package__, "verify.sql")

# Whose number a key or a part is.
KIND_OF = {
    "group_id": "group",
    "ancestor_id": "group",
    "member_id": "group",  # of a board that ranks groups
    "actor_id": "actor",
    "opened_by": "actor",
    "closed_by": "actor",
}


async def with_names(db: Database, items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items of a `Verification`, each with `named`: {"group_id": {"7": "team-1"}, …}, of the numbers in it those that are somebody's."""
    named: dict[tuple[str, str, int], str] = {}
    for tenant in {item["tenant"] for item in items}:
        wanted = {one for item in items if item["tenant"] == tenant for one in _numbers(item)}
        async with db.transaction("point") as conn:
            row = await (await conn.execute(_queries.tenants, {"name": tenant})).fetchone()
        if row is None or not wanted:
            continue
        of = {kind: [number for column, number in wanted if KIND_OF[column] == kind] for kind in ("group", "actor")}
        async with db.transaction("point", tenant_id=row[0]) as conn:
            values = {"tenant_id": row[0], "groups": of["group"], "actors": of["actor"]}
            rows = await (await conn.execute(_queries.names, values)).fetchall()
        named |= {(tenant, kind, number): name for kind, number, name in rows}
    made = []
    for item in items:
        names: dict[str, dict[str, str]] = {}
        for column, number in _numbers(item):
            if (name := named.get((item["tenant"], KIND_OF[column], number))) is not None:
                names.setdefault(column, {})[str(number)] = name
        made.append({**item, "named": names})
    return made


def _numbers(item: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for part in ("keys", "stored", "recomputed"):
        for column, value in item[part].items() if isinstance(item[part], dict) else ():
            if column in KIND_OF and isinstance(value, int):
                yield column, value
