"""Tenants: the unit of isolation. Each is on one lane for good, so that its batches are loaded in order.

Names are for people and scripts (`[a-z0-9][a-z0-9_.-]{0,62}`); rows carry the number. How it fails: `InvalidInput` for a
name that is none, `Conflict` for one that is taken, `NotFound` for one that nobody has, `SchemaMismatch` where lanes are missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from milepost.errors import Conflict, FieldError, InvalidInput, NotFound
from milepost.postgres import Connection, load_queries
from milepost.schema import require_lanes

__all__ = ["Tenant", "create_tenant", "find_tenant", "list_tenants"]

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")

queries = load_queries(__package__, "tenants.sql")


@dataclass(frozen=True, kw_only=True)
class Tenant:
    tenant_id: int
    name: str
    lane: int
    created_at: datetime


async def create_tenant(conn: Connection, name: str, lanes: int) -> Tenant:
    """A new tenant on one of the lanes 0 to `lanes` - 1: the one with the fewest tenants.

    Raises `SchemaMismatch` where the database has not been given so many.
    """
    if not NAME.fullmatch(name):
        detail = "must have 1 to 63 characters of a-z, 0-9, '_', '.', '-', and begin with a letter or a digit"
        raise InvalidInput(f"{name!r} is not a tenant's name: it {detail}.", errors=(FieldError("/name", detail),))
    await require_lanes(conn, lanes)
    row = await (await conn.execute(queries.create_tenant, {"name": name, "lanes": lanes})).fetchone()
    if row is None:
        raise Conflict(f"There is a tenant {name!r} already.", name=name)
    return _tenant(*row)


async def find_tenant(conn: Connection, name: str) -> Tenant:
    """The tenant of that name. Raises `NotFound`."""
    row = None
    if NAME.fullmatch(name):
        row = await (await conn.execute(queries.find_tenant, {"name": name})).fetchone()
    if row is None:
        raise NotFound(f"There is no tenant {name!r}.", name=name)
    return _tenant(*row)


async def list_tenants(conn: Connection, *, after: int = 0, limit: int = 500) -> list[Tenant]:
    """Tenants in the order of their numbers, from after `after`."""
    cursor = await conn.execute(queries.list_tenants, {"after": after, "limit": limit})
    return [_tenant(*row) async for row in cursor]


def _tenant(tenant_id: int, name: str, lane: int, created_at: datetime) -> Tenant:
    return Tenant(tenant_id=tenant_id, name=name, lane=lane, created_at=created_at)
