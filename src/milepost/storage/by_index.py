"""Plans that do not depend on what the planner believes: for reads whose right plan is known to be by index.

A page of a feed is the end of an index range, whoever asks. Left to itself the planner decides by averages: for a
group that it takes to be small it reads all of it and sorts, which for the one large group is a million rows. So such
a read tells it, for the rest of its transaction, to go by indexes, join by looking up, and plan once for all values.
Its statements need no sort where `sorts` is False: one that did would cost the planner its sense of proportion.
"""

from __future__ import annotations

from milepost.postgres import Connection, load_queries

__all__ = ["plan_by_index"]

_queries = load_queries(__package__, "by_index.sql")


async def plan_by_index(conn: Connection, *, sorts: bool) -> None:
    """conn: in a transaction, at whose end this is over."""
    await conn.execute(_queries.by_index, {"sort": "on" if sorts else "off"})
