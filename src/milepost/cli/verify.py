"""`milepost verify`: is everything derived what the activities say?"""

from __future__ import annotations

import sys

import click

from milepost.cli._database import as_service
from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json
from milepost.cli.tenant import tenant_named
from milepost.postgres import Database
from milepost.rollups.verify import Verification
from milepost.rollups.verify import verify as recompute
from milepost.settings import Settings

__all__ = ["verify"]

SHOWN_MAX = 50  # differences that are printed one by one; --json gives more


@click.command()
@click.option("--tenant", metavar="NAME", help="Only this tenant.")
@json_option
@system_option
@settings_options(*PLACE, "analytics_work_mem", "analytics_timeout_s")
def verify(settings: Settings, system: str | None, tenant: str | None, as_json: bool) -> int:
    """Recompute every rollup, latest and pairs table and goal from the activities, and print each difference.

    It may run while activities come in. Exit code 1: there is a difference.
    """

    async def work(database: Database) -> Verification:
        if tenant is not None:
            await tenant_named(database, tenant)
        return await recompute(database, tenant=tenant, on_progress=_said)

    found = as_service(settings, work, system=system)
    _said("")
    if as_json:
        answer = {"checked": found.checked, "differences": found.differences, "items": found.items}
        print_json(answer | {"filling": found.filling})
    else:
        for item in found.items[:SHOWN_MAX]:
            click.echo(", ".join(f"{name} {value}" for name, value in item.items()))
        if found.differences > SHOWN_MAX:
            click.echo(f"and {found.differences - SHOWN_MAX} more")
        for table in found.filling:
            click.echo(f"left out, because it is being filled from history: {table}")
        click.echo(f"{found.checked} comparisons, {found.differences} differences")
    return 1 if found.differences else 0


def _said(what: str) -> None:
    """What is being compared, on one line that is written over; on a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{what}")
        sys.stderr.flush()
