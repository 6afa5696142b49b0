"""`milepost doctor statements`: which statements take the time, where nobody counts them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from milepost.cli._doctor_database import on_target
from milepost.cli._options import PLACE, json_option, settings_options
from milepost.cli._output import print_json, print_table
from milepost.doctor import Finding, Target
from milepost.doctor.seen import Folded, Seen, folded, found, logged, sampled
from milepost.doctor.seen.findings import Limits
from milepost.settings import Settings

__all__ = ["statements"]

SHOWN_MAX = 20
TEXT_CHARS = 70


@click.command()
@click.argument("dsn", required=False)
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="SECONDS", help="How long to look."
)
@click.option(
    "--every-ms",
    type=click.FloatRange(min=1),
    default=100.0,
    show_default=True,
    metavar="NUMBER",
    help="Between two looks (milliseconds).",
)
@click.option(
    "--log",
    "logs",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    metavar="FILE",
    help="A log of the server: plain, .csv or .json, with log_min_duration_statement or auto_explain. May be given again.",
)
@click.option(
    "--run/--no-run", default=True, help="Whether reads may be run once, to see where their time goes. Default: they are."
)
@click.option(
    "--part-min",
    type=float,
    default=Limits.part,
    show_default=True,
    metavar="NUMBER",
    help="Of a session's time, from which on a statement is a finding.",
)
@json_option
@settings_options(*PLACE)
def statements(
    dsn: str | None,
    settings: Settings,
    seconds: float,
    every_ms: float,
    logs: tuple[Path, ...],
    run: bool,
    part_min: float,
    as_json: bool,
) -> int:
    """Which statements take the time, on a database without pg_stat_statements: by looking at sessions again and again, or from its log.

    Each that takes much is explained, and has the cure of its plan. Reads only.
    """

    async def work(target: Target) -> tuple[list[Folded], list[Finding]]:
        sources: list[Seen] = [logged(file, target.dbname) for file in logs]
        if seconds > 0:
            sources.append(await sampled(target, seconds=seconds, every_s=every_ms / 1000))
        listed = folded(sources)
        return listed, await found(target, listed, limits=Limits(part=part_min), run=run)

    listed, findings = on_target(settings, dsn, work)
    if as_json:
        print_json(
            {
                "statements": [asdict(one) for one in listed],
                "findings": [{"id": one.id, **asdict(one)} for one in findings],
            }
        )
        return 0
    for one in findings:
        click.echo(f"{one.severity}: {one.detail}")
        click.echo(f"  {one.cure.text}")
        for statement in one.cure.statements:
            click.echo(f"  {statement};")
    if not findings:
        click.echo("No statement took much of the time.")
    if listed:
        click.echo("")
        print_table(
            ("of the time", "ms each", "seen", "waits for", "statement"),
            [
                (
                    "-" if one.part is None else f"{one.part:.1%}",
                    f"{one.run_ms:,.1f}",
                    str(one.seen),
                    next(iter(one.waits), "-"),
                    " ".join(one.sql.split())[:TEXT_CHARS],
                )
                for one in listed[:SHOWN_MAX]
            ],
        )
    return 0
