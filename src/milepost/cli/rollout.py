"""`milepost rollout`: change a database that is in use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import zip_longest
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any, TypeVar

import click

from milepost.cli._database import opened
from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json, print_table
from milepost.cli._rollout_change import Wanted, change_arguments
from milepost.cli._rollout_progress import shown
from milepost.doctor import Target
from milepost.doctor.rollout import Outcome, Rollout, Standing, Waits, standing
from milepost.settings import Settings

if TYPE_CHECKING:
    from milepost.doctor.rollout.lint import Problem

__all__ = ["rollout"]

F = TypeVar("F", bound=Callable[..., Any])
Answer = TypeVar("Answer")

DSN = click.argument("dsn", required=False)
INSTEAD = "`milepost rollout` does it without:"
PRECEDES = "after this by `milepost rollout`, it does no harm:"


def waits_options(function: F) -> F:
    """How long a rollout waits for what, as flags."""
    plain = Waits()
    for flag, metavar, default, words in (
        (
            "--batch-rows",
            "NUMBER",
            plain.batch_rows,
            "Rows of a backfill's first transaction; later ones are fitted to 100 ms.",
        ),
        (
            "--build-timeout-s",
            "NUMBER",
            plain.build_timeout_s,
            "How long one attempt at a concurrent build may take (seconds).",
        ),
        ("--give-up-s", "NUMBER", plain.give_up_s, "How long one lock is tried for, over all attempts (seconds)."),
        (
            "--lock-timeout-ms",
            "NUMBER",
            plain.lock_timeout_ms,
            "How long one attempt waits for a lock that blocks others (milliseconds).",
        ),
    ):
        function = click.option(
            flag, type=type(default), metavar=metavar, default=default, help=f"{words} Default: {default:g}."
        )(function)
    return function


@click.group()
def rollout() -> None:
    """Change a database that is in use: no request fails, none waits longer than a lock timeout.

    DSN is a connection string (postgresql://user@host:port/database); without one, it is milepost's own database.
    """


@rollout.command("lint")
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--dsn", metavar="DSN", help="The database whose schema they meet. Default: milepost's own.")
@click.option(
    "--write",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the operations that do it without, as a FILE for `milepost rollout plan` and `run`.",
)
@json_option
@system_option
@settings_options(*PLACE)
def lint_(
    settings: Settings, files: tuple[Path, ...], dsn: str | None, system: str | None, write: Path | None, as_json: bool
) -> int:
    """Say what files of SQL would do to those who use the database. Exit code 1: one of them stops reads or writes, or fails.

    What an operation of a rollout does without is shown as that operation, ready to be run. Each statement is executed on an empty clone of the schema, file after file, and looked at there; the database is only read.
    """
    from dataclasses import asdict

    from milepost.doctor.rollout.file import toml_of
    from milepost.doctor.rollout.lint import judged, measured
    from milepost.doctor.scratch import Scratch
    from milepost.errors import InvalidInput

    texts: list[tuple[Path, str]] = []
    for file in files:
        try:
            texts.append((file, file.read_text(encoding="utf-8")))
        except OSError as error:
            raise InvalidInput(f"{file} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{file} cannot be read: {error}.") from error

    async def work(target: Target) -> tuple[tuple[str, ...], list[tuple[Path, Problem]]]:
        async with Scratch.open(target) as scratch:
            found = [
                (file, problem) for file, text in texts for each in await measured(scratch, text) for problem in judged(each)
            ]
            return scratch.notes, found

    notes, found = _on(settings, dsn, system, work)
    if write is not None:
        write.write_text(toml_of(_without(found)), encoding="utf-8")
    if as_json:
        print_json({"problems": [{"file": str(file), **asdict(problem)} for file, problem in found], "notes": notes})
    else:
        for note in notes:
            click.echo(note, err=True)
        for (file, problem), following in zip_longest(found, found[1:]):
            click.echo(f"{file}:{problem.line}: {problem.severity}: {problem.rule}: {problem.message}")
            # Once for all problems of a statement.
            if problem.operations and (following is None or following[1].operations != problem.operations):
                click.echo(f"  {PRECEDES if problem.precedes else INSTEAD}")
                click.echo(indent(toml_of(problem.operations), "    "))
    return 1 if any(problem.severity == "error" for _, problem in found) else 0


def _without(found: list[tuple[Path, Problem]]) -> list[Mapping[str, Any]]:
    """All operations, each once, in the order of the files."""
    listed = [operation for _, problem in found for operation in problem.operations]
    return [operation for number, operation in enumerate(listed) if operation not in listed[:number]]


@rollout.command("plan")
@change_arguments
@json_option
@system_option
@settings_options(*PLACE)
def plan_(settings: Settings, wanted: Wanted, system: str | None, as_json: bool) -> None:
    """Say what a rollout of FILE, or the cure of a finding, would do, and refuse what it could not. Reads only."""
    from milepost.doctor.rollout.plan import planned

    async def work(target: Target) -> list[dict[str, Any]]:
        return await planned(target, await wanted.on(target))

    found = _on(settings, wanted.dsn, system, work)
    if as_json:
        print_json({"operations": found})
    else:
        print_table(
            ("operation", "lock at worst", "after it is complete"),
            [(each["does"], each["locks"], each["final"] or "can be rolled back") for each in found],
        )


@rollout.command("run")
@change_arguments
@click.option(
    "--hold", is_flag=True, help="Stop where all can still be taken back; `run` without it completes, `rollback` returns."
)
@waits_options
@json_option
@system_option
@settings_options(*PLACE)
def run_(settings: Settings, wanted: Wanted, hold: bool, system: str | None, as_json: bool, **waits: Any) -> int:
    """Do what FILE says, or what cures a finding; or go on where a run of it was killed.

    What cannot be done is rolled back (exit code 1).
    """

    async def work(target: Target) -> Outcome:
        change = await wanted.on(target)
        with shown() as say:
            async with Rollout.open(target, waits=Waits(**waits), say=say) as running:
                return await running.run(change, hold=hold, again=wanted.looked_anew)

    return _answer(_on(settings, wanted.dsn, system, work), as_json)


@rollout.command("rollback")
@DSN
@waits_options
@json_option
@system_option
@settings_options(*PLACE)
def rollback_(settings: Settings, dsn: str | None, system: str | None, as_json: bool, **waits: Any) -> int:
    """Take back the rollout under way, or the last one."""

    async def work(target: Target) -> Outcome:
        with shown() as say:
            async with Rollout.open(target, waits=Waits(**waits), say=say) as running:
                return await running.roll_back()

    return _answer(_on(settings, dsn, system, work), as_json, wanted="rolled_back")


@rollout.command("status")
@DSN
@json_option
@system_option
@settings_options(*PLACE)
def status_(settings: Settings, dsn: str | None, system: str | None, as_json: bool) -> None:
    """Say how far the rollout under way is, or how the last one ended. Reads only."""

    async def work(target: Target) -> Standing | None:
        async with target.reading() as connection:
            return await standing(connection)

    found = _on(settings, dsn, system, work)
    if as_json:
        print_json({"rollout": None if found is None else _told(found)})
    elif found is None:
        click.echo("There was no rollout on this database.")
    else:
        _print(found)


# ── Parts ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _on(settings: Settings, dsn: str | None, system: str | None, work: Callable[[Target], Awaitable[Answer]]) -> Answer:
    async def run(url: str) -> Answer:
        return await work(await Target.open(url))

    if dsn is not None:
        return asyncio.run(run(dsn))
    with opened(settings, system=system) as url:
        return asyncio.run(run(url))


def _answer(outcome: Outcome, as_json: bool, *, wanted: str = "") -> int:
    if as_json:
        print_json({"rollout": _told(outcome.standing)})
    else:
        _print(outcome.standing)
    return 1 if outcome.standing.state == "rolled_back" and wanted != "rolled_back" else 0


def _told(found: Standing) -> dict[str, Any]:
    listed = [
        {"operation": entry.operation, "state": entry.state, "step": entry.step, "changed_at": entry.changed_at}
        for entry in found.operations
    ]
    facts = {key: value for key, value in vars(found).items() if key not in ("operations", "rollout_id")}
    return facts | {"operations": listed}


def _print(found: Standing) -> None:
    click.echo(f"{found.name}: {found.state.replace('_', ' ')}" + (f" ({found.error})" if found.error else ""))
    rows = [
        (entry.position, entry.operation["operation"], entry.state.replace("_", " "), entry.step) for entry in found.operations
    ]
    print_table(("", "operation", "state", "last step"), rows)
