"""`milepost doctor promises`: what findings promised, and what came of them."""

from __future__ import annotations

from dataclasses import asdict
from math import exp, log
from statistics import median

import click

from milepost.cli._doctor_database import on_target
from milepost.cli._options import PLACE, json_option, settings_options
from milepost.cli._output import print_json, print_table
from milepost.doctor.checks.check import said_bytes
from milepost.doctor.promises import Kept, corrections, kept
from milepost.settings import Settings

__all__ = ["promises"]


@click.command()
@click.argument("dsn", required=False)
@json_option
@settings_options(*PLACE)
def promises(settings: Settings, dsn: str | None, as_json: bool) -> int:
    """What findings promised whose cures a rollout applied, what came of them, and how later promises are corrected by that. Reads only."""
    found = on_target(settings, dsn, kept)
    learned = list(corrections(found).values())
    if as_json:
        print_json({"promises": [asdict(one) for one in found], "corrections": [asdict(one) for one in learned]})
        return 0
    if not found:
        click.echo(
            "Nothing was promised here and applied: `doctor indexes --apply` and `rollout run --finding ID --report FILE` keep it."
        )
        return 0
    rows = [
        (one.name, one.kind, one.source, _said(one, one.promised), _said(one, one.expected), _said(one, one.measured))
        for one in found
    ]
    print_table(("what", "cure", "by", "promised", "expected", "measured"), rows)
    for correction in learned:
        ones = [one for one in found if (one.kind, one.source) == (correction.kind, correction.source)]
        how = f"{correction.floor_ms:g} ms more" if correction.source == "planner" else f"{correction.factor:.2f} times that"
        off = ", ".join(f"{name} {exp(median(offs)):.2f}" for name, offs in _off(ones))
        click.echo(
            f"{correction.kind}, {correction.source}: {correction.count} so far, off by a factor of {off}; expected from now on: {how}"
        )
    return 0


def _off(ones: list[Kept]) -> list[tuple[str, list[float]]]:
    """By which factors, as logarithms: as promised, and as was expected at the time."""
    return [
        ("as promised", [abs(log(one.measured / one.promised)) for one in ones]),
        ("as expected", [abs(log(one.measured / one.expected)) for one in ones]),
    ]


def _said(one: Kept, value: float) -> str:
    """Bytes, or the part of its time that a statement still takes."""
    return said_bytes(value) if one.source == "estimate" else f"{value:.4f}"
