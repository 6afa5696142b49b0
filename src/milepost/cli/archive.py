"""`milepost archive`: what is due goes from PostgreSQL to files on the object store, and comes back where it is wanted."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

import click

from milepost.background import give_way
from milepost.cli._database import as_service
from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json, print_table
from milepost.cli.tenant import tenant_named
from milepost.postgres import Database
from milepost.settings import Settings
from milepost.storage.archive import ArchiveRun, run_once
from milepost.storage.check import Checked, listed, shown
from milepost.storage.check import check as check_files
from milepost.storage.restore import Restored, restore_one, restore_part

__all__ = ["archive"]

tenant_option = click.option("--tenant", "name", metavar="NAME", help="Only this tenant's. Default: every tenant's.")
store_options = settings_options(*PLACE, "object_store_url")


@click.group()
def archive() -> None:
    """The archive: activities that are too old for PostgreSQL, in files that are read like the rest."""


@archive.command()
@tenant_option
@click.option(
    "--settle-s", type=click.FloatRange(0), default=30.0, show_default=True, help="Wait so long for old transactions."
)
@json_option
@system_option
@settings_options(*PLACE, "object_store_url", "archive_share")
def run(settings: Settings, system: str | None, name: str | None, settle_s: float, as_json: bool) -> int:
    """Archive what the model's `keep` says is due.

    It may run while activities come in, which it gives way to, one run at a time. Exit code 1: an old transaction held something up, which the next run goes on
    with.
    """

    async def work(database: Database) -> ArchiveRun:
        if name is not None:
            await tenant_named(database, name)
        give_way()
        return await run_once(database, tenant=name, settle_s=settle_s, on_progress=_said)

    done = as_service(settings, work, system=system)
    _said("")
    if as_json:
        print_json(asdict(done))
    else:
        click.echo(f"{done.rows} activities archived, in {done.files} files of {done.bytes} bytes")
        for what, parts in (("dropped", done.dropped), ("thinned", done.thinned), ("still in both", done.waiting)):
            if parts:
                click.echo(f"{what}: {', '.join(parts)}")
    return 1 if done.waiting else 0


@archive.command("list")
@tenant_option
@json_option
@system_option
@store_options
def list_(settings: Settings, system: str | None, name: str | None, as_json: bool) -> None:
    """List the files of the archive, in the order of time."""

    async def work(database: Database) -> list[dict[str, Any]]:
        tenant_id = None if name is None else (await tenant_named(database, name)).tenant_id
        async with await database.owner() as owner:
            found = await listed(owner, tenant_id)
        return [{"tenant": tenant, **shown(file, since)} for tenant, file, since in found]

    found = as_service(settings, work, system=system)
    if as_json:
        print_json({"items": found})
    elif found:
        print_table(("tenant", "part", "from", "to", "rows", "bytes"), [[one[n] for n in ("tenant", "part", "from", "to", "rows", "bytes")] for one in found])  # fmt: skip
    else:
        click.echo("nothing is archived")


@archive.command()
@click.argument("what")
@click.option("--tenant", "name", metavar="NAME", required=True, help="Whose.")
@click.option("--days", type=click.IntRange(0), default=30, show_default=True, help="It is not archived again for so long.")
@json_option
@system_option
@store_options
def restore(what: str, settings: Settings, system: str | None, name: str, days: int, as_json: bool) -> None:
    """Bring WHAT back into PostgreSQL: a part, as `list` shows it (activity_2026_03), or one activity by its id."""

    async def work(database: Database) -> Restored:
        tenant = await tenant_named(database, name)
        keep = timedelta(days=days)
        try:
            one = UUID(what)
        except ValueError:
            return await restore_part(database, tenant.tenant_id, what, keep=keep)
        return await restore_one(database, tenant.tenant_id, one, keep=keep)

    done = as_service(settings, work, system=system)
    if as_json:
        print_json(asdict(done))
    else:
        click.echo(f"{done.rows} activities are back in PostgreSQL")


@archive.command()
@tenant_option
@json_option
@system_option
@store_options
def check(settings: Settings, system: str | None, name: str | None, as_json: bool) -> int:
    """Fetch every file of the archive, and compare it with what was written. Exit code 1: some are damaged, or missing."""

    async def work(database: Database) -> Checked:
        tenant_id = None if name is None else (await tenant_named(database, name)).tenant_id
        return await check_files(database, tenant_id=tenant_id, on_progress=_said)

    done = as_service(settings, work, system=system)
    _said("")
    if as_json:
        print_json(asdict(done))
    else:
        for one in done.damaged:
            click.echo(f"{one['tenant']}: {one['error']}")
        click.echo(f"{done.files} files with {done.rows} activities, {len(done.damaged)} damaged")
    return 1 if done.damaged else 0


def _said(what: str) -> None:
    """What is under way, on one line that is written over; on a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{what}")
        sys.stderr.flush()
