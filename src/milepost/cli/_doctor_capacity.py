"""`milepost doctor capacity`: what grows, how fast, and what runs out first."""

from __future__ import annotations

from dataclasses import asdict

import click

from milepost.cli._doctor_database import on_target
from milepost.cli._doctor_history import history_of, history_option
from milepost.cli._options import PLACE, json_option, settings_options
from milepost.cli._output import print_json, print_table
from milepost.doctor.capacity import Forecast, forecasts_of
from milepost.doctor.checks.check import said_bytes
from milepost.doctor.target import Target
from milepost.settings import Settings

__all__ = ["capacity"]

SHOWN_MAX = 30


@click.command()
@click.argument("dsn", required=False)
@history_option
@json_option
@settings_options(*PLACE)
def capacity(settings: Settings, dsn: str | None, history: str | None, as_json: bool) -> int:
    """Forecast what runs out first, from the looks that `milepost doctor watch` has kept; with the error the forecast would have made so far."""
    kept = history_of(settings, history)

    async def work(target: Target) -> tuple[int, list[Forecast]]:
        looks = await kept.looks(target)
        return len(looks), forecasts_of(looks)

    looks, found = on_target(settings, dsn, work)
    if as_json:
        print_json({"looks": looks, "forecasts": [asdict(one) for one in found]})
    elif not found:
        click.echo(f"{looks} looks are too few, or lie within an hour: let `milepost doctor watch` run on.")
    else:
        rows = [
            (
                one.name,
                _said(one.name, one.size),
                f"{_said(one.name, one.per_day)} a day",
                "-" if one.full_at is None else f"{one.full_at:%Y-%m-%d}",
                f"±{one.error_part:.1%}",
                one.method,
            )
            for one in found[:SHOWN_MAX]
        ]
        print_table(("what", "now", "grows", "full on", "error so far", "method"), rows)
    return 0


def _said(name: str, value: float) -> str:
    return said_bytes(value) if "bytes" in name.split()[0] else f"{value:,.0f}"
