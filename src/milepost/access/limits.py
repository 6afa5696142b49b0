"""Limits: how many activities a tenant may send a second, a day and a month, and how many it has sent.

A limit is the tenant's own, or else the deployment's default (settings `tenant_rate` and its siblings), or there is none. Days and
months are UTC's. What they do to requests: `milepost.intake.pressure`.

How it fails: `InvalidInput` for a limit that is not positive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from milepost.errors import FieldError, InvalidInput
from milepost.postgres import Connection, load_queries
from milepost.settings import Settings

__all__ = ["DEFAULT", "Default", "Limits", "Use", "default_limits", "read_limits", "read_use", "set_limits"]

queries = load_queries(__package__, "limits.sql")

BURST_S = 10.0  # of the rate, where no burst is set


class Default(Enum):
    """Stands for the deployment's default in `set_limits`."""

    DEFAULT = "default"


DEFAULT = Default.DEFAULT


@dataclass(frozen=True, kw_only=True)
class Limits:
    """None: no limit. rate: activities a second; burst: how many at once after a pause; per_day, per_month: activities."""

    rate: float | None = None
    burst: float | None = None
    per_day: int | None = None
    per_month: int | None = None

    @property
    def burst_or_usual(self) -> float:
        """The size of the token bucket, where there is a rate."""
        assert self.rate is not None
        return self.burst if self.burst is not None else max(1.0, BURST_S * self.rate)


@dataclass(frozen=True, kw_only=True)
class Use:
    """Activities accepted today and in this month, as last added up."""

    today: int = 0
    this_month: int = 0


def default_limits(settings: Settings) -> Limits:
    return Limits(
        rate=settings.tenant_rate,
        burst=settings.tenant_burst,
        per_day=settings.tenant_per_day,
        per_month=settings.tenant_per_month,
    )


async def set_limits(conn: Connection, tenant_id: int, given: Mapping[str, float | Default | None]) -> None:
    """given: by name (`rate`, `burst`, `per_day`, `per_month`) a number, None for no limit, or DEFAULT. Others stay as they are."""
    errors = [
        FieldError(f"/{name}", f"must be more than 0, not {most:g}")
        for name, most in given.items()
        if isinstance(most, int | float) and not most > 0
    ]
    if errors:
        raise InvalidInput(errors=tuple(errors))
    for name, most in given.items():
        values = {"tenant_id": tenant_id, "name": name}
        if isinstance(most, Default):
            await conn.execute(queries.drop_limit, values)
        else:
            await conn.execute(queries.set_limit, {**values, "most": most})


async def read_limits(conn: Connection, tenant_ids: Sequence[int], defaults: Limits) -> dict[int, Limits]:
    """The limits that hold for each of the tenants."""
    own: dict[int, dict[str, float | None]] = {tenant_id: {} for tenant_id in tenant_ids}
    cursor = await conn.execute(queries.limits, {"tenant_ids": list(tenant_ids)})
    async for tenant_id, name, most in cursor:
        own[tenant_id][name] = most
    return {tenant_id: _limits(found, defaults) for tenant_id, found in own.items()}


async def read_use(conn: Connection, tenant_ids: Sequence[int]) -> dict[int, Use]:
    """What each of the tenants has sent."""
    cursor = await conn.execute(queries.use, {"tenant_ids": list(tenant_ids)})
    found = {tenant_id: Use(today=today, this_month=month) async for tenant_id, today, month in cursor}
    return {tenant_id: found.get(tenant_id, Use()) for tenant_id in tenant_ids}


def _limits(own: Mapping[str, float | None], defaults: Limits) -> Limits:
    def whole(most: float | None) -> int | None:
        return None if most is None else int(most)

    return Limits(
        rate=own.get("rate", defaults.rate),
        burst=own.get("burst", defaults.burst),
        per_day=whole(own.get("per_day", defaults.per_day)),
        per_month=whole(own.get("per_month", defaults.per_month)),
    )
