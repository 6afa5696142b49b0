"""The time zones that may be named: looked for on disk once, since that takes 30 ms."""

from __future__ import annotations

import zoneinfo
from functools import cache

__all__ = ["time_zones"]


@cache
def time_zones() -> frozenset[str]:
    # Without two names of the machine rather than of a place: PostgreSQL may read them otherwise, or not at all.
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory"})
