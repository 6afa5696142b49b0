"""`milepost doctor triggers`: which there are, what each costs a write, and what should become of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from milepost.cli._doctor_database import on_target
from milepost.cli._options import PLACE, json_option, settings_options
from milepost.cli._output import print_json, print_table
from milepost.doctor import Target
from milepost.doctor.triggers import Cost, Verdict, judge, measure_all, read_body, read_triggers
from milepost.settings import Settings

__all__ = ["triggers"]


@click.command()
@click.argument("dsn", required=False)
@click.option("--measure", is_flag=True, help="Measure what each costs, on a scratch copy with a sample of the rows.")
@click.option(
    "--on-database",
    is_flag=True,
    help="Measure on the database itself: its writes run there, each rolled back, and hold their row locks until then.",
)
@click.option(
    "--table", "tables", multiple=True, metavar="NAME", help="Only triggers of this table; may be given several times."
)
@click.option(
    "--rows",
    "rows_max",
    type=click.IntRange(min=1),
    default=20_000,
    show_default=True,
    metavar="NUMBER",
    help="Rows copied of each table at most.",
)
@json_option
@settings_options(*PLACE)
def triggers(
    dsn: str | None,
    settings: Settings,
    measure: bool,
    on_database: bool,
    tables: tuple[str, ...],
    rows_max: int,
    as_json: bool,
) -> int:
    """List triggers, what each costs a write, and what could take its place, the most worth doing first."""

    async def work(target: Target) -> int:
        known = [(one, read_body(one)) for one in await read_triggers(target, tables=tables)]
        costs: list[Cost] = []
        notes: tuple[str, ...] = ()
        if measure or on_database:
            costs, notes = await measure_all(target, known, on_database=on_database, rows_max=rows_max)
        verdicts = judge(known, costs)
        if as_json:
            print_json(_as_json(verdicts, notes))
        else:
            _print(verdicts, notes)
        return 0

    return on_target(settings, dsn, work)


def _as_json(verdicts: list[Verdict], notes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "triggers": [
            {
                "trigger": one.trigger.id,
                "definition": one.trigger.definition,
                "enabled": one.trigger.enabled,
                "writes_per_s": round(one.trigger.writes_per_s, 3),
                "body": asdict(one.body),
                "action": one.action,
                "reason": one.reason,
                "cure": one.cure,
                "statements": one.statements,
                "ms_per_s": one.ms_per_s,
                "costs": [{**asdict(cost), "proven": cost.proven} for cost in one.costs],
            }
            for one in verdicts
        ],
        "findings": [{"id": found.id, **asdict(found)} for one in verdicts if (found := one.finding()) is not None],
        "notes": notes,
    }


def _print(verdicts: list[Verdict], notes: tuple[str, ...]) -> None:
    if not verdicts:
        click.echo("There are no triggers.")
        return
    rows = [
        (
            one.trigger.id,
            f"{one.trigger.timing} {'/'.join(one.trigger.events)} {'row' if one.trigger.each_row else 'statement'}",
            f"{one.trigger.writes_per_s:,.1f}",
            one.action,
        )
        for one in verdicts
    ]
    print_table(("trigger", "fires", "writes/s", "advice"), rows)
    if measured := [cost for one in verdicts for cost in one.costs]:
        click.echo("\nWhat each costs, for each row written:")
        print_table(
            ("trigger", "write", "time", "95 % sure", "own", "of the write", "statements", "WAL", "locks"), map(_cost, measured)
        )
    for one in verdicts:
        if one.action != "keep":
            click.echo(f"\n{one.trigger.id}: {one.action}. {one.reason}\n  {one.cure}")
            for statement in one.statements:
                click.echo(f"    {statement};")
    for note in notes:
        click.echo(note, err=True)


def _cost(cost: Cost) -> tuple[str, ...]:
    time = cost.ms if cost.ms is not None else cost.own_ms
    sure = "-" if cost.ms_low is None or cost.ms_high is None else f"{cost.ms_low * 1000:,.1f} to {cost.ms_high * 1000:,.1f} µs"
    return (
        cost.trigger,
        str(cost.shape),
        f"{time * 1000:,.1f} µs",
        sure,
        f"{cost.own_ms * 1000:,.1f} µs",
        f"{cost.share:.0%}",
        "-" if cost.statements is None else f"{cost.statements:,.1f}",
        "-" if cost.wal_bytes is None else f"{cost.wal_bytes:,.0f} B",
        "; ".join(cost.locks) or "-",
    )
