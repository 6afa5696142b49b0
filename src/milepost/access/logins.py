"""Logins: a role of PostgreSQL's that reads one tenant's rows by raw SQL, and nothing else.

    made = await make_login(owner, tenant)          # Login(login="acme_db_acme", password="…"): shown this once
    await drop_login(owner, tenant)

For people with an SQL client and for tools that draw charts. The login is in the role `milepost_reader`, which may SELECT entities,
activities and what the model derives, through one policy on each table: the row's tenant must be that of the session's own login
(`session_user`), which no setting and no SET ROLE changes. It has no rights on partitions, on the queue, on keys, or on any function
that steps around a policy. What it can learn beyond its rows is what PostgreSQL tells everyone: names of tables and columns, their
sizes, the planner's estimates.

`owner` is a connection as the tables' owner, who may make roles. How it fails: `Forbidden` where it may not, with what an
administrator must run; `Conflict` for a name that another role has; `NotFound` for a login that is not there.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from milepost.access.tenants import Tenant
from milepost.errors import Conflict, Forbidden, NotFound
from milepost.postgres import Connection, load_queries, translated
from milepost.schema.patience import patiently

__all__ = ["Login", "drop_login", "make_login"]

NAME_BYTES_MAX = 63  # of any name in PostgreSQL
PASSWORD_BYTES = 24

queries = load_queries(__package__, "logins.sql")


@dataclass(frozen=True, kw_only=True)
class Login:
    login: str
    password: str
    new: bool  # or else it has a new password


async def make_login(owner: Connection, tenant: Tenant) -> Login:
    """The tenant's login, with a new password, the only time it is seen."""
    login = await _name(owner, tenant)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    verifier = owner.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
    given = {"tenant_id": tenant.tenant_id, "login": login, "verifier": verifier}

    async def work() -> bool:
        await owner.execute(queries.make_reader_role)
        there, whose = await _row(owner, queries.is_login, given)
        if there and whose != tenant.tenant_id:
            raise Conflict(f"There is a role {login!r} already, which is no login of tenant {tenant.name!r}.", login=login)
        new = whose is None or not there
        for statement in await _row(owner, queries.make if new else queries.change_password, given):
            await owner.execute(statement.encode())
        if whose is None:
            await owner.execute(queries.record, given)
        await owner.execute(queries.admit)
        return new

    return Login(login=login, password=password, new=await patiently(owner, work))


async def drop_login(owner: Connection, tenant: Tenant) -> str:
    """Takes the tenant's login away; its name. Raises `NotFound`."""
    login = await _name(owner, tenant)
    given = {"tenant_id": tenant.tenant_id, "login": login}

    async def work() -> None:
        if await (await owner.execute(queries.forget, given)).fetchone() is None:
            raise NotFound(f"Tenant {tenant.name!r} has no login.", tenant=tenant.name)
        if (await _row(owner, queries.is_login, given))[0]:
            for statement in await _row(owner, queries.drop, given):
                await owner.execute(statement.encode())

    await patiently(owner, work)
    return login


async def _name(owner: Connection, tenant: Tenant) -> str:
    """DATABASE_TENANT: roles are the cluster's, and two databases may have a tenant of one name. Raises `Forbidden`, `Conflict`."""
    with translated(owner):
        may_make_roles, database = await _row(owner, queries.may_make_roles, {})
    if not may_make_roles:
        raise Forbidden("This login may not make roles: an administrator must give it CREATEROLE, or run this.")
    login = f"{database}_{tenant.name}"
    if len(login.encode()) > NAME_BYTES_MAX:
        raise Conflict(f"{login!r} is longer than a role's name may be ({NAME_BYTES_MAX} bytes).", login=login)
    return login


async def _row(owner: Connection, statement: Any, given: dict[str, Any]) -> tuple[Any, ...]:
    row = await (await owner.execute(statement, given)).fetchone()
    assert row is not None
    return row
