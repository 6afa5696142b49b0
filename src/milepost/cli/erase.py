"""`milepost erase`: an actor goes, with a receipt; what is left of one; and the ledger that a restored database needs."""

from __future__ import annotations

from getpass import getuser
from pathlib import Path
from typing import Any

import click
import msgspec

from milepost.access.tenants import find_tenant
from milepost.cli._database import as_owner, as_service
from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json
from milepost.cli.tenant import every_tenant, tenant_named
from milepost.jobs.erasing import erase_actor, reapply
from milepost.jobs.erasing import ledger as read_ledger
from milepost.jobs.leftovers import leftovers
from milepost.postgres import Connection, Database
from milepost.settings import Settings

__all__ = ["erase"]


@click.command()
@click.argument("actor", required=False)
@click.option("--tenant", "name", metavar="NAME", help="Whose actor. Of --ledger: only this tenant's; default: all.")
@click.option(
    "--totals",
    type=click.Choice(["keep", "shrink"]),
    default="keep",
    show_default=True,
    help="Whether numbers that count others too stay as they are, or lose what the actor contributed.",
)
@click.option(
    "--check", is_flag=True, help="Erase nothing: look through every table and payload for the name. Exit code 1: it is there."
)
@click.option(
    "--ledger", is_flag=True, help="Print every erasure as a line of JSON: keep it beside the backups. It names nobody."
)
@click.option(
    "--reapply",
    type=click.Path(path_type=Path, exists=True),
    metavar="FILE",
    help="Erase again what a ledger names, after a restore.",
)
@json_option
@system_option
@settings_options(*PLACE, "queue_rotate_s", "backup_days")
def erase(
    settings: Settings,
    system: str | None,
    actor: str | None,
    name: str | None,
    totals: str,
    check: bool,
    ledger: bool,
    reapply: Path | None,
    as_json: bool,
) -> int:
    """Erase an actor: its activities, names, memberships and own numbers. A server must be running: the tenant's lane does it.

    Prints the signed receipt: what was removed where, and until when the queue and backups may hold copies.
    """
    if ledger:
        for entry in as_owner(settings, lambda conn: read_ledger(conn, name), system=system):
            print_json(entry)
        return 0
    if reapply is not None:
        return _reapply(settings, system, reapply, as_json=as_json)
    if actor is None or name is None:
        raise click.UsageError("Say whom, and of which tenant: milepost erase ACTOR --tenant NAME.")
    if check:
        return _check(settings, system, name, actor, as_json=as_json)

    async def work(database: Database) -> dict[str, Any]:
        tenant = await tenant_named(database, name)
        return await erase_actor(database, settings, tenant, actor, totals=totals, by=getuser())

    done = as_service(settings, work, system=system)
    if as_json:
        print_json(done)
        return 0
    for what, rows in done["removed"].items():
        click.echo(f"{what}: {rows} rows")
    for where, until in done["receipt"]["remains_until"].items():
        click.echo(f"{where.replace('_', ' ')}: may hold copies until {until}")
    click.echo(f"erasure {done['id']}, signed {done['receipt']['signature'][:16]}…: --json prints the whole receipt")
    return 0


def _check(settings: Settings, system: str | None, name: str, actor: str, *, as_json: bool) -> int:
    async def work(conn: Connection) -> dict[str, int]:
        return await leftovers(conn, settings, await find_tenant(conn, name), actor)

    found = as_owner(settings, work, system=system)
    if as_json:
        print_json({"found": sum(found.values()), "items": [{"where": where, "rows": rows} for where, rows in found.items()]})
    else:
        for where, rows in found.items():
            click.echo(f"{where}: {rows}")
        click.echo("It is in no table and no payload." if not found else "The name is still there.")
    return 1 if found else 0


def _reapply(settings: Settings, system: str | None, file: Path, *, as_json: bool) -> int:
    entries = [msgspec.json.decode(line) for line in file.read_bytes().splitlines() if line.strip()]

    async def work(database: Database) -> int:
        tenants = {tenant.name: tenant for tenant in await every_tenant(database)}
        return await reapply(database, settings, tenants, entries)

    done = as_service(settings, work, system=system)
    if as_json:
        print_json({"reapplied": done})
    else:
        click.echo(f"{done} erasures of the ledger were applied again")
    return 0
