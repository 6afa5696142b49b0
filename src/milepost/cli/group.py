"""`milepost group`: teams, organisations, studies, classes of a tenant.

A change goes through the tenant's lane, like every other: a running server loads it, or else a loader that is started here.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click
import msgspec

from milepost.access.groups import get_group, list_groups, list_members
from milepost.cli._database import as_service
from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json, print_table
from milepost.cli.tenant import tenant_named
from milepost.errors import FieldError, InvalidInput, MilepostError
from milepost.postgres import Database
from milepost.settings import Settings

__all__ = ["group"]

PAGE = 500

tenant_option = click.option("--tenant", required=True, metavar="NAME", help="Whose group it is.")


@click.group()
def group() -> None:
    """Groups of a tenant, and who is in them."""


@group.command()
@click.argument("id_", metavar="ID")
@tenant_option
@click.option("--kind", metavar="KIND", help="One of the model's group kinds.")
@click.option("--name", metavar="TEXT", help="What people call it.")
@click.option("--parent", metavar="ID", help="The group it belongs to.")
@click.option("--time-zone", metavar="ZONE", help="Its days and weeks are in this zone, such as Europe/Berlin.")
@click.option("--attribute", "attributes", multiple=True, metavar="NAME=VALUE", help="VALUE is JSON, or else a text.")
@click.option("--since", metavar="TIME", help="From when parent and zone hold (RFC 3339, or always); default: now.")
@json_option
@system_option
@settings_options(*PLACE)
def create(
    id_: str,
    settings: Settings,
    system: str | None,
    tenant: str,
    attributes: tuple[str, ...],
    as_json: bool,
    **given: str | None,
) -> None:
    """Declare the group ID, or change what is given of it; what is not given stays."""
    command: dict[str, Any] = {"do": "put_group", "id": id_}
    command |= {name: value for name, value in given.items() if value is not None}
    if attributes:
        command["attributes"] = dict(_attribute(text) for text in attributes)

    async def work(database: Database) -> dict[str, Any]:
        from milepost.importing.database import open_sink

        async with open_sink(database, settings, tenant) as sink:
            outcome = await sink.wait(await sink.command([msgspec.json.encode(command)]))
            if outcome.refused:
                raise InvalidInput(errors=tuple(FieldError(one.pointer, one.detail) for one in outcome.refused))
            if outcome.dead:
                raise MilepostError("It could not be done: see `milepost dead-letters list`.")
            tenant_id = sink.tenant.tenant_id
        async with database.transaction("point", tenant_id=tenant_id) as connection:
            return asdict(await get_group(connection, tenant_id, id_))

    made = as_service(settings, work, system=system)
    if as_json:
        print_json(made)
    else:
        click.echo(f"group {id_} declared")


@group.command("list")
@tenant_option
@click.option("--kind", metavar="KIND", help="Only of this kind.")
@click.option("--parent", metavar="ID", help="Only those directly below this group.")
@json_option
@system_option
@settings_options(*PLACE)
def list_(settings: Settings, system: str | None, tenant: str, kind: str | None, parent: str | None, as_json: bool) -> None:
    """List a tenant's groups."""

    async def work(database: Database) -> list[dict[str, Any]]:
        whose = await tenant_named(database, tenant)
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            async with database.transaction("point", tenant_id=whose.tenant_id) as connection:
                page = await list_groups(connection, whose.tenant_id, kind=kind, parent=parent, after=after, limit=PAGE)
            found += [asdict(one) for one in page]
            if len(page) < PAGE:
                return found
            after = page[-1].id

    found = as_service(settings, work, system=system)
    if as_json:
        print_json({"items": found})
    else:
        shown = ("id", "kind", "name", "parent", "time_zone", "status")
        print_table([name.upper().replace("_", " ") for name in shown], ([one[name] for name in shown] for one in found))


@group.command()
@click.argument("id_", metavar="ID")
@tenant_option
@json_option
@system_option
@settings_options(*PLACE)
def show(id_: str, settings: Settings, system: str | None, tenant: str, as_json: bool) -> None:
    """Show the group ID and its members."""

    async def work(database: Database) -> dict[str, Any]:
        whose = await tenant_named(database, tenant)
        members: list[dict[str, Any]] = []
        async with database.transaction("point", tenant_id=whose.tenant_id, snapshot=True) as connection:
            found = asdict(await get_group(connection, whose.tenant_id, id_))
            while True:
                after = members[-1]["actor"] if members else ""
                page = await list_members(connection, whose.tenant_id, id_, after=after, limit=PAGE)
                members += [asdict(one) for one in page]
                if len(page) < PAGE:
                    return found | {"members": members}

    found = as_service(settings, work, system=system)
    if as_json:
        print_json(found)
        return
    for name in ("id", "kind", "name", "parent", "time_zone", "status", "attributes"):
        click.echo(f"{name.replace('_', ' ')}: {found[name] if found[name] is not None else '-'}")
    print_table(("MEMBER", "ROLE", "SINCE"), ((one["actor"], one["role"], one["since"]) for one in found["members"]))


def _attribute(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidInput(f"--attribute {text}: write NAME=VALUE.")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value
