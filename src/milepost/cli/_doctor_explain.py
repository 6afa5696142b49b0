"""`milepost doctor explain`: how one statement is run, as a tree, and what is wrong with it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from milepost.cli._doctor_database import on_target
from milepost.cli._options import PLACE, json_option, settings_options
from milepost.cli._output import print_json
from milepost.cli._plan_tree import print_explained
from milepost.doctor import Finding, Target
from milepost.doctor.plans import Explained, findings
from milepost.doctor.plans import explain as ask
from milepost.errors import InvalidInput
from milepost.settings import Settings

__all__ = ["explain"]


@click.command()
@click.argument("statement")
@click.argument("dsn", required=False)
@click.option(
    "--param", "params", multiple=True, metavar="N=VALUE", help="The value of $N. Default: typical ones, by the statistics."
)
@click.option(
    "--analyze/--no-analyze",
    default=None,
    help="Run it. Default: reads are run, writes are not; with --analyze a write runs too, and is rolled back.",
)
@click.option(
    "--timeout", "timeout_s", type=float, default=30.0, show_default=True, metavar="SECONDS", help="How long it may run."
)
@json_option
@settings_options(*PLACE)
def explain(
    statement: str,
    dsn: str | None,
    settings: Settings,
    params: tuple[str, ...],
    analyze: bool | None,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Show how STATEMENT is run, and what is wrong with that.

    STATEMENT is SQL, or a statement's id in pg_stat_statements. A tree with the time, rows, estimates and pages of each step, then
    each finding in words, with its cure.
    """
    given = dict(map(_param, params))

    async def work(target: Target) -> int:
        explained = await ask(target, statement, analyze=analyze, given=given, statement_timeout_ms=int(timeout_s * 1000))
        found = await findings(target, explained)
        if as_json:
            print_json(_as_json(explained, found))
        else:
            print_explained(explained, found)
        return 0

    return on_target(settings, dsn, work)


def _param(text: str) -> tuple[int, str]:
    number, equal, value = text.partition("=")
    if not equal or not number.lstrip("$").isdigit():
        raise InvalidInput(f"--param {text}: must be a number and a value, such as 1=42.")
    return int(number.lstrip("$")), value


def _as_json(explained: Explained, found: tuple[Finding, ...]) -> dict[str, Any]:
    return {
        "statement": explained.statement.text,
        "parameters": [asdict(one) for one in explained.parameters],
        "generic": explained.generic,
        "execution_ms": explained.plan.execution_ms,
        "planning_ms": explained.plan.planning_ms,
        "findings": [{"id": one.id, **asdict(one)} for one in found],
        "plan": explained.plan.raw,
    }
