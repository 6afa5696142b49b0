"""`milepost bench`: the figures, measured on this machine in one run with what they are compared with."""

from __future__ import annotations

import click

from milepost.cli._options import LOGS, json_option, settings_options
from milepost.errors import MilepostError
from milepost.settings import Settings

__all__ = ["bench"]


@click.command()
@click.argument("name")
@json_option
@settings_options("data_dir", "pg_bin", *LOGS)
def bench(name: str, settings: Settings, as_json: bool) -> int:
    """Run the scenario NAME. Exit code 1: a figure misses its target."""
    try:
        from milepost.bench import command
    except ImportError as error:
        raise MilepostError("This installation of milepost has no benchmarks.") from error
    return int(command(name, settings, as_json=as_json))
