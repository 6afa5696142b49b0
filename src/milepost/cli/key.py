"""`milepost key`: what clients show as `Authorization: Bearer …`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from milepost.access.keys import create_key, list_keys, revoke_key
from milepost.access.viewer_tokens import LIFE_S, ViewerToken, ViewerTokens, require_key
from milepost.cli._database import as_service
from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json, print_table
from milepost.cli.tenant import tenant_named
from milepost.postgres import Database
from milepost.settings import Settings

__all__ = ["key"]

tenant_option = click.option("--tenant", required=True, metavar="NAME", help="Whose key it is.")


@click.group()
def key() -> None:
    """Keys of a tenant. A key is shown once, when it is made; only its hash is kept."""


@key.command()
@tenant_option
@click.option("--scope", "scopes", required=True, metavar="LIST", help="What it allows: write, read, admin; comma-separated.")
@click.option("--name", default="", metavar="TEXT", help="What it is for, to tell keys apart.")
@json_option
@system_option
@settings_options(*PLACE)
def create(settings: Settings, system: str | None, tenant: str, scopes: str, name: str, as_json: bool) -> None:
    """Make a key and print it, this once."""
    wanted = [word.strip() for word in scopes.split(",") if word.strip()]

    async def work(database: Database) -> str:
        whose = await tenant_named(database, tenant)
        async with database.transaction("write") as connection:
            return await create_key(connection, whose.tenant_id, wanted, name)

    made = as_service(settings, work, system=system)
    if as_json:
        print_json({"key": made})
    else:
        click.echo(made)


@key.command()
@click.argument("key_id")
@tenant_option
@click.option("--actor", required=True, metavar="ID", help="As whom it reads.")
@click.option(
    "--expires-in", "expires_in_s", type=int, default=LIFE_S, show_default=True, metavar="SECONDS", help="At most a day."
)
@json_option
@system_option
@settings_options(*PLACE)
def token(
    key_id: str, settings: Settings, system: str | None, tenant: str, actor: str, expires_in_s: int, as_json: bool
) -> None:
    """Make a viewer token with the key that begins with KEY_ID (scope write or admin), and print it.

    It reads as one actor, and does nothing else, until it expires or the key is revoked.
    """

    async def work(database: Database) -> ViewerToken:
        whose = await tenant_named(database, tenant)
        async with database.transaction("point") as connection:
            await require_key(connection, whose.tenant_id, key_id)
            tokens = await ViewerTokens.of_deployment(connection)
        return tokens.sign(whose.tenant_id, actor, key_id, expires_in_s)

    made = as_service(settings, work, system=system)
    if as_json:
        print_json(asdict(made))
    else:
        click.echo(made.token)


@key.command("list")
@tenant_option
@json_option
@system_option
@settings_options(*PLACE)
def list_(settings: Settings, system: str | None, tenant: str, as_json: bool) -> None:
    """List a tenant's keys, by their first characters."""

    async def work(database: Database) -> list[dict[str, Any]]:
        whose = await tenant_named(database, tenant)
        async with database.transaction("point") as connection:
            return [asdict(found) for found in await list_keys(connection, whose.tenant_id)]

    found = as_service(settings, work, system=system)
    if as_json:
        print_json({"items": found})
    else:
        shown = ("key_id", "name", "scopes", "created_at", "revoked_at")
        print_table([name.upper().replace("_", " ") for name in shown], ([one[name] for name in shown] for one in found))


@key.command()
@click.argument("key_id")
@tenant_option
@json_option
@system_option
@settings_options(*PLACE)
def revoke(key_id: str, settings: Settings, system: str | None, tenant: str, as_json: bool) -> None:
    """Revoke the key that begins with KEY_ID, as `key list` shows it. Within a second no server takes it any more."""

    async def work(database: Database) -> None:
        whose = await tenant_named(database, tenant)
        async with database.transaction("write") as connection:
            await revoke_key(connection, whose.tenant_id, key_id)

    as_service(settings, work, system=system)
    if as_json:
        print_json({"revoked": key_id})
    else:
        click.echo(f"key {key_id} revoked")
