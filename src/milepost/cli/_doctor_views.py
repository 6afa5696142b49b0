"""`milepost doctor views`: the SQL views that a database administrator expects, put in and taken out."""

from __future__ import annotations

import click

from milepost.cli._doctor_database import on_target
from milepost.cli._options import PLACE, settings_options
from milepost.doctor.views import SCHEMA, install, remove
from milepost.settings import Settings

__all__ = ["views"]


@click.command()
@click.argument("action", type=click.Choice(["install", "remove"]))
@click.argument("dsn", required=False)
@settings_options(*PLACE)
def views(settings: Settings, action: str, dsn: str | None) -> int:
    """Install or remove slow_queries, index_usage_stats and table_performance_stats, in the schema milepost_doctor.

    slow_queries needs the extension pg_stat_statements. The views hold no data.
    """
    if action == "remove":
        on_target(settings, dsn, remove)
        click.echo(f"removed from {SCHEMA}")
    else:
        for name in on_target(settings, dsn, install):
            click.echo(f"{SCHEMA}.{name}")
    return 0
