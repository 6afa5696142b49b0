"""`milepost bench`: the figures, measured on this machine in one run with what they are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from milepost.cli._options import LOGS, json_option, settings_options
from milepost.errors import MilepostError
from milepost.settings import Settings

__all__ = ["bench"]


@click.command()
@click.argument("name")
@click.option("--minutes", type=float, help="Of soak: how long; by default 10.")
@click.option("--rate", type=float, help="Of soak: activities a second; by default 80 % of the peak, which is measured first.")
@click.option(
    "--queue", type=click.Choice(["postgres", "redis"]), help="Of intake and soak: what acknowledges; by default postgres."
)
@click.option(
    "--rows",
    type=click.IntRange(min=10_000),
    help="Of reads, search and lifecycle: how many activities; by default 5,000,000, 1,000,000 and 1,000,000.",
)
@click.option(
    "--members",
    type=click.IntRange(min=1000),
    help="How many there are. Of boards: by default 100,000. Of checks: by default 1,000,000.",
)
@click.option("--board", is_flag=True, default=None, help="Of intake: a board is kept beside the two rollups.")
@click.option(
    "--curve", metavar="ROWS,ROWS…", help="Of reads: one history after the other of so many activities, and how times grow."
)
@click.option(
    "--history",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Of versions: a file of edits, a line each: JSON with `document`, `version` and `content` (.gz, .xz or plain). By default 200 made up.",
)
@json_option
@settings_options("data_dir", "pg_bin", *LOGS)
def bench(name: str, settings: Settings, as_json: bool, **options: Any) -> int:
    """Run the scenario NAME. Exit code 1: a figure misses its target."""
    try:
        from milepost.bench import command
    except ImportError as error:
        raise MilepostError("This installation of milepost has no benchmarks.") from error
    return int(command(name, settings, as_json=as_json, **options))
