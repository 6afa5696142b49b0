"""`milepost doctor check`: everything that is wrong with a database, worst first, with a cure for each."""

from __future__ import annotations

from pathlib import Path

import click

from milepost.cli._doctor_database import on_target
from milepost.cli._doctor_machine import Told, machine_options
from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json
from milepost.cli._rollout_change import limit
from milepost.doctor.examine import Examination, examine
from milepost.doctor.finding import SEVERITIES
from milepost.doctor.report import answer_of
from milepost.doctor.target import Target
from milepost.settings import Settings

__all__ = ["check"]


@click.command()
@click.argument("dsn", required=False)
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    metavar="SEVERITY",
    help="Exit with 1 if there is a finding that bad: critical, warning or notice.",
)
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the report as one page, too."
)
@click.option(
    "--markdown", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the report as Markdown, too."
)
@click.option(
    "--limit", "limits", multiple=True, metavar="CHECK.LIMIT=NUMBER", help="Another limit of a check. May be given again."
)
@machine_options
@json_option
@system_option
@settings_options(*PLACE)
def check(
    settings: Settings,
    system: str | None,
    dsn: str | None,
    fail_on: str | None,
    html: Path | None,
    markdown: Path | None,
    limits: tuple[str, ...],
    told: Told,
    as_json: bool,
) -> int:
    """Look at a database and say what makes it slow, what shows it, and what would cure it. Reads only.

    DSN: of any PostgreSQL 15 or later; without one, milepost's own database is looked at.
    """
    given = dict(map(limit, limits))

    async def work(target: Target) -> Examination:
        return await examine(target, limits=given, machine=await told.on(target))

    seen = on_target(settings, dsn, work, system=system)
    answer = answer_of(seen)
    if html is not None:
        from milepost.doctor.report.page import page_of

        html.write_text(page_of(answer), encoding="utf-8")
    if markdown is not None:
        from milepost.doctor.report.markdown import markdown_of

        markdown.write_text(markdown_of(answer), encoding="utf-8")
    if as_json:
        print_json(answer)
    else:
        from milepost.doctor.report.terminal import print_answer

        print_answer(answer)
    bad = () if fail_on is None else SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    return 1 if any(finding.severity in bad for finding in seen.findings) else 0
