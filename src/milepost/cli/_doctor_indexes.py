"""`milepost doctor indexes`: which indexes to make and which to drop, for a whole workload."""

from __future__ import annotations

import asyncio
import re
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from milepost.cli._database import opened
from milepost.cli._options import PLACE, json_option, settings_options
from milepost.cli._output import print_json, print_table
from milepost.cli._rollout_progress import shown
from milepost.doctor import Target
from milepost.doctor.advisor import Advice, Workload, advise, read_statements, read_target
from milepost.doctor.advisor.apply import Applied, apply, settle
from milepost.doctor.advisor.findings import findings_of
from milepost.doctor.advisor.prove import Proven, prove_on_scratch
from milepost.doctor.advisor.timing import readable
from milepost.errors import InvalidInput
from milepost.postgres import EmbeddedServer
from milepost.settings import Settings

__all__ = ["indexes"]

UNITS = {None: 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}


@click.command()
@click.argument("dsn", required=False)
@click.option(
    "--workload",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Statements, each ended by a semicolon, with `-- calls: N` before it. Default: the target's pg_stat_statements.",
)
@click.option("--budget", default="2GB", show_default=True, metavar="BYTES", help="What new indexes may take, such as 500MB.")
@click.option(
    "--prove", is_flag=True, help="Build the indexes on a scratch copy with rows, and measure each statement with and without."
)
@click.option(
    "--rows",
    default=200_000,
    show_default=True,
    type=click.IntRange(min=1000),
    help="Of --prove: copied of each table at most.",
)
@click.option(
    "--apply", "act", is_flag=True, help="Build them on the database, one rollout each, and keep those that help there."
)
@json_option
@settings_options(*PLACE)
def indexes(dsn: str | None, settings: Settings, as_json: bool, **asked: Any) -> int:
    """Which indexes to make and which to drop, for all that the database is asked.

    The workload is planned on an empty copy of the schema with the target's sizes and statistics: without --apply,
    nothing is written to the target. --prove reads rows of the tables that the workload names.
    """
    asked["budget"] = _bytes(asked["budget"])
    if dsn is not None:
        return asyncio.run(_run(dsn, settings, as_json, **asked))
    with opened(settings) as url:
        return asyncio.run(_run(url, settings, as_json, **asked))


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(kB|MB|GB|TB)?", text)
    if found is None:
        raise InvalidInput(f"--budget {text}: must be a size such as 500MB (kB, MB, GB or TB).")
    return int(float(found[1]) * UNITS[found[2]])


async def _run(
    url: str, settings: Settings, as_json: bool, *, workload: Path | None, budget: int, prove: bool, rows: int, act: bool
) -> int:
    target = await Target.open(url)
    applied = await _settled(target) if act else []
    statements = read_statements(workload) if workload is not None else await read_target(target)
    with TemporaryDirectory(prefix="milepost-planning-") as folder:
        # Files of tables have lengths of their own there: nothing may come to vacuum them.
        with EmbeddedServer.start(
            Path(folder), settings={"autovacuum": "off"}, durable=False, bin_dir=settings.pg_bin
        ) as server:
            advice = await advise(target, server, statements, budget=budget)
    proven = await prove_on_scratch(target, advice, statements, rows_max=rows) if prove else None
    applied += await _apply(target, advice, proven, statements) if act else []
    if as_json:
        print_json(_as_json(advice, proven, applied, statements))
    else:
        _print(advice, proven, applied)
    return 0


async def _settled(target: Target) -> list[Applied]:
    """What a run that was killed left under way: it is settled before anything new is advised."""
    with shown() as say:
        left = await settle(target, say=say)
    return [] if left is None else [left]


async def _apply(target: Target, advice: Advice, proven: Proven | None, workload: Workload) -> list[Applied]:
    """What saves most first. Nothing is dropped that was there before."""
    runnable = _runnable(advice, workload)
    with shown() as say:
        missing = [one for one in findings_of(advice, proven) if one.check == "index_missing"]
        return [await apply(target, one, runnable, say=say) for one in missing]


def _runnable(advice: Advice, workload: Workload) -> dict[str, str]:
    """Statements that can be run without writing, by which it is measured what came of the advice."""
    return {one.name: one.sql for one in workload if one.name in advice.statements and readable(one)}


def _as_json(advice: Advice, proven: Proven | None, applied: list[Applied], workload: Workload) -> dict[str, Any]:
    return {
        "workload": _runnable(advice, workload),
        "findings": [{"id": one.id, **asdict(one)} for one in findings_of(advice, proven)],
        "vetoed": {} if proven is None else proven.vetoed,
        "applied": [asdict(one) for one in applied],
        "cost": {"before": advice.before, "after": advice.after},
        "statements": {name: {"before": costs[0], "after": costs[1]} for name, costs in advice.statements.items()},
        "skipped": advice.skipped,
        "missing": advice.missing,
        "bytes": advice.bytes,
        "work": {
            "candidates": advice.candidates,
            "useful": advice.useful,
            "planner_calls": advice.calls,
            "costs_asked": advice.asked,
            "seconds": round(advice.seconds, 3),
        },
    }


def _print_proofs(proven: Proven) -> None:
    rows = [
        (
            one.statement,
            f"{one.before_ms:,.3f}",
            f"{one.after_ms:,.3f}",
            *((f"{one.ratio:.3f}", f"{one.low:.3f} to {one.high:.3f}") if one.doubt is None else ("-", "no promise")),
        )
        for one in sorted(proven.proofs.values(), key=lambda one: one.ratio)
    ]
    click.echo("")
    print_table(("statement", "ms before", "after", "ratio", "by 95 %"), rows)
    for one in proven.proofs.values():
        if one.doubt is not None:
            click.echo(f"no promise for {one.statement}: {one.doubt}")
    for name, why in proven.failed.items():
        click.echo(f"no promise for {name}, which fails on the copy: {why}")


def _print(advice: Advice, proven: Proven | None, applied: list[Applied]) -> None:
    for one in findings_of(advice, proven):
        click.echo(f"{one.severity}: {one.detail}")
        for statement in one.cure.statements:
            click.echo(f"  {statement};")
    for name, statement in (proven.vetoed if proven is not None else {}).items():
        click.echo(f"taken back: {name}, with which {statement} was slower")
    if proven is not None:
        _print_proofs(proven)
    for done in applied:
        click.echo(f"{'kept' if done.kept else 'undone'}: {done.index}{f' ({done.why})' if done.why else ''}")
    if not advice.make and not advice.drop:
        click.echo("No index would help, and none is needless.")
    changed = sorted(advice.statements.items(), key=lambda item: item[1][1] - item[1][0])
    if shown := [(name, f"{before:,.0f}", f"{after:,.0f}") for name, (before, after) in changed if after < before * 0.99]:
        click.echo("")
        print_table(("statement", "cost before", "after"), shown[:20])
    for name, why in advice.skipped.items():
        click.echo(f"no plan for {name}: {why}", err=True)
    click.echo(
        f"\nThe workload's cost {advice.before:,.0f} → {advice.after:,.0f} by the planner, {advice.bytes / 1e6:.1f} MB; "
        f"{advice.useful} of {advice.candidates} candidates looked at, {advice.calls} plans, {advice.seconds:.1f} s."
    )
