"""`milepost doctor watch`: look again and again, keep what was seen, and say what has changed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from milepost.cli._doctor_database import on_target
from milepost.cli._doctor_history import history_of, history_option
from milepost.cli._doctor_machine import Told, machine_options, size
from milepost.cli._options import PLACE, json_option, settings_options
from milepost.cli._output import print_json
from milepost.doctor.report import Answer
from milepost.doctor.target import Target
from milepost.doctor.watch import look_again
from milepost.settings import Settings

__all__ = ["watch"]


@click.command()
@click.argument("dsn", required=False)
@click.option(
    "--every",
    type=click.FloatRange(min=1),
    default=3600.0,
    metavar="SECONDS",
    help="How long to wait between looks. Default: 3600.",
)
@click.option(
    "--looks", type=click.IntRange(min=1), metavar="NUMBER", help="Stop after so many. Default: never; 1 is for cron."
)
@click.option(
    "--sample",
    "sample_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long statements at work are looked at before each look, where pg_stat_statements does not count them. Default: a tenth of --every, at most 60; 0: not at all.",
)
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the newest report as one page."
)
@click.option("--disk-size", metavar="SIZE", help="Of the server's disk, such as 500GB, for `milepost doctor capacity`.")
@history_option
@machine_options
@json_option
@settings_options(*PLACE)
def watch(
    settings: Settings,
    dsn: str | None,
    every: float,
    looks: int | None,
    sample_s: float | None,
    html: Path | None,
    disk_size: str | None,
    history: str | None,
    told: Told,
    as_json: bool,
) -> int:
    """Look at a database at intervals, and say which findings are new, standing, cured or come back.

    With --json, one object a line.
    """
    kept = history_of(settings, history)
    disk_bytes = size(disk_size)
    sampled_s = min(60.0, every / 10) if sample_s is None else sample_s

    async def work(target: Target) -> None:
        made = 0
        while True:
            machine = await told.on(target)
            answer, scores = await look_again(target, kept, machine=machine, disk_bytes=disk_bytes, sample_s=sampled_s)
            _say(answer, scores, html, as_json=as_json)
            made += 1
            if made == looks:
                return
            await asyncio.sleep(every)

    on_target(settings, dsn, work)
    return 0


def _say(answer: Answer, scores: list[tuple[float, float]], html: Path | None, *, as_json: bool) -> None:
    if html is not None:
        from milepost.doctor.report.page import page_of

        html.write_text(page_of(answer, scores=scores), encoding="utf-8")
    if as_json:
        print_json(answer)
        return
    changed = [finding for finding in answer.findings if finding.state != "standing"]
    standing = len(answer.findings) - len(changed)
    click.echo(f"{answer.at:%Y-%m-%d %H:%M:%S}  {answer.score} of 100, {standing} standing")
    for finding in changed:
        click.echo(f"  {finding.state}: {finding.severity} {finding.check} {finding.object}: {finding.detail}")
    for one in answer.cured:
        click.echo(f"  cured: {one}")
