"""`milepost serve`: the server."""

from __future__ import annotations

import asyncio

import click

from milepost.cli._database import opened
from milepost.cli._options import WHOLE, settings_options, system_option
from milepost.settings import Settings

__all__ = ["serve"]


@click.command()
@system_option
@settings_options(*WHOLE, quiet=False)
def serve(settings: Settings, system: str | None) -> None:
    """Serve the HTTP API, load what comes in, and keep the database in order. Ctrl-C or SIGTERM stops it cleanly.

    On an embedded PostgreSQL the schema is migrated first; any other one is left to `milepost db migrate`. With --model, that
    model is applied first. Prints the address once it answers.
    """
    from milepost.web import server

    with opened(settings, system=system, guard=True) as url:
        asyncio.run(_prepare(settings, url))
        server.serve(settings, url, on_ready=lambda address: click.echo(f"serving {address}"))


async def _prepare(settings: Settings, url: str) -> None:
    from milepost.postgres import Database
    from milepost.schema import migrate, require
    from milepost.schema.models import apply_model

    embedded = settings.database_url is None
    if not embedded and settings.model is None:
        return
    async with await Database.connect_owner(url) as owner:
        if embedded:
            await migrate(owner, settings.lanes)
        if settings.model is not None:
            await require(owner)
            await apply_model(owner, settings.model.read_text(encoding="utf-8"))
