"""`milepost db`: the schema of the database."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from milepost.cli._database import as_owner
from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json
from milepost.intake.rotation import adopt, is_foreign
from milepost.postgres import Connection
from milepost.schema import SCHEMA_VERSION, migrate, status
from milepost.settings import Settings

__all__ = ["db"]


@click.group()
def db() -> None:
    """The database's schema."""


@db.command("migrate")
@click.option("--finish", is_flag=True, help="Also take the steps that older versions of milepost cannot run after.")
@json_option
@system_option
@settings_options(*PLACE, "lanes")
def migrate_(settings: Settings, system: str | None, finish: bool, as_json: bool) -> None:
    """Bring the schema to this version of milepost. Again: nothing happens.

    Run it as the owner of the tables, before the new version is started; to have more lanes; and after the database was restored
    into another PostgreSQL or that was upgraded: the queue is made readable there.
    """

    async def work(owner: Connection) -> tuple[list[str], bool]:
        return await migrate(owner, settings.lanes, finish=finish), await adopt(owner)

    taken, adopted = as_owner(settings, work, system=system)
    if as_json:
        print_json({"version": SCHEMA_VERSION, "taken": taken, "adopted": adopted})
        return
    for step in taken:
        click.echo(f"taken: {step}")
    if adopted:
        click.echo("adopted: the queue, which came from another cluster")
    if not taken and not adopted:
        click.echo(f"The schema is version {SCHEMA_VERSION}: there is nothing to do.")


@db.command("status")
@json_option
@system_option
@settings_options(*PLACE)
def status_(settings: Settings, system: str | None, as_json: bool) -> int:
    """Say which version the schema is, and which steps are missing. Exit code 1: `milepost db migrate` has work to do."""

    async def work(owner: Connection) -> dict[str, Any]:
        found = await status(owner)
        return {**asdict(found), "foreign": bool(found.version) and await is_foreign(owner)}

    found = as_owner(settings, work, system=system)
    if as_json:
        print_json(found)
    else:
        click.echo(f"schema of the database: {found['version'] or 'none'}")
        click.echo(f"schema of this milepost: {found['code']}")
        for step in found["pending"]:
            click.echo(f"missing: {step} (milepost db migrate)")
        for step in found["unfinished"]:
            click.echo(f"unfinished: {step} (milepost db migrate --finish)")
        if found["foreign"]:
            click.echo("foreign: the queue came from another cluster (milepost db migrate)")
    return 1 if found["pending"] or found["foreign"] else 0
