"""`milepost doctor settings`: a ready configuration for a server, each line with its reason."""

from __future__ import annotations

import click

from milepost.cli._doctor_database import on_target
from milepost.cli._doctor_machine import Told, machine_options
from milepost.cli._options import PLACE, settings_options
from milepost.doctor.configuration import configuration_of
from milepost.doctor.target import Target
from milepost.settings import Settings

__all__ = ["settings_command"]


@click.command()
@click.argument("dsn", required=False)
@machine_options
@settings_options(*PLACE)
def settings_command(settings: Settings, dsn: str | None, told: Told) -> int:
    """Print the settings that do not fit the server's machine, as a file to include, with the reason for each; pools and timeouts, too."""

    async def work(target: Target) -> str:
        return await configuration_of(target, await told.on(target))

    click.echo(on_target(settings, dsn, work), nl=False)
    return 0
