"""`milepost tenant`: the isolation units of a deployment."""

from __future__ import annotations

from dataclasses import asdict

import click

from milepost.access.tenants import Tenant, create_tenant, find_tenant, list_tenants
from milepost.cli._database import as_service
from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json, print_table
from milepost.postgres import Database
from milepost.settings import Settings

__all__ = ["every_tenant", "tenant", "tenant_named"]

PAGE = 500


@click.group()
def tenant() -> None:
    """Tenants: what keeps one customer's data from another's."""


@tenant.command()
@click.argument("name")
@json_option
@system_option
@settings_options(*PLACE, "lanes")
def create(name: str, settings: Settings, system: str | None, as_json: bool) -> None:
    """Make the tenant NAME (a-z, 0-9, and _ . - after the first)."""

    async def work(database: Database) -> Tenant:
        async with database.transaction("write") as connection:
            return await create_tenant(connection, name, settings.lanes)

    made = as_service(settings, work, system=system)
    if as_json:
        print_json(asdict(made))
    else:
        click.echo(f"tenant {made.name} made (number {made.tenant_id}, lane {made.lane})")


@tenant.command("list")
@json_option
@system_option
@settings_options(*PLACE)
def list_(settings: Settings, system: str | None, as_json: bool) -> None:
    """List the tenants."""

    found = as_service(settings, every_tenant, system=system)
    if as_json:
        print_json({"items": [asdict(one) for one in found]})
    else:
        print_table(("NAME", "NUMBER", "LANE", "SINCE"), ((one.name, one.tenant_id, one.lane, one.created_at) for one in found))


async def tenant_named(database: Database, name: str) -> Tenant:
    """The tenant; raises `NotFound`."""
    async with database.transaction("point") as connection:
        return await find_tenant(connection, name)


async def every_tenant(database: Database) -> list[Tenant]:
    found: list[Tenant] = []
    while True:
        async with database.transaction("point") as connection:
            page = await list_tenants(connection, after=found[-1].tenant_id if found else 0, limit=PAGE)
        found += page
        if len(page) < PAGE:
            return found
