"""`milepost dead-letters`: what could not be loaded: listed, looked into, replayed, discarded, and the log of that.

Letters are named by their numbers, or by a selection; a replay or discard that names neither is no order, and is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from getpass import getuser
from typing import Any, TypeVar

import click

from milepost.access.tenants import Tenant
from milepost.cli import _dead_letter_tables as tables
from milepost.cli._database import as_service
from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json
from milepost.cli.tenant import every_tenant, tenant_named
from milepost.errors import InvalidInput, NotFound
from milepost.intake.dead_letters import KIND_NAMES, LetterKind
from milepost.intake.fault import ERROR_CLASSES
from milepost.intake.letters import Selection, contents, find, log_page, page
from milepost.intake.replay import Done
from milepost.intake.replay import discard as discard_letters
from milepost.intake.replay import replay as replay_letters
from milepost.postgres import Connection, Database
from milepost.schema.models import current_model
from milepost.settings import Settings

__all__ = ["dead_letters"]

KINDS = {name: kind for kind, name in KIND_NAMES.items()}
F = TypeVar("F", bound=Callable[..., Any])

tenant_option = click.option("--tenant", "name", metavar="NAME", help="Only this tenant's. Default: every tenant's.")
TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"])


def selecting(function: F) -> F:
    """The options that select letters."""
    for option in (
        click.option("--to", "until", type=TIME, metavar="TIME", help="Failed last before this time."),
        click.option(
            "--from", "since", type=TIME, metavar="TIME", help="Failed last from this time on: 2026-03-01, or RFC 3339."
        ),
        click.option("--kind", type=click.Choice(list(KINDS)), help="Only of this kind."),
        click.option("--error-class", type=click.Choice(list(ERROR_CLASSES)), help="Only of this class of error."),
    ):
        function = option(function)
    return function


@click.group("dead-letters")
def dead_letters() -> None:
    """What could not be loaded, with its error. It lies there until it is replayed or discarded."""


@dead_letters.command("list")
@tenant_option
@selecting
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many of each tenant.")
@click.option("--after", type=int, default=0, metavar="NUMBER", help="Only those with a larger number: the next page.")
@json_option
@system_option
@settings_options(*PLACE)
def list_(
    settings: Settings, system: str | None, name: str | None, limit: int, after: int, as_json: bool, **chosen: Any
) -> int:
    """List them, oldest first. Exit code 1: there are some."""
    selection = _selection((), **chosen)

    async def work(database: Database) -> tuple[list[dict[str, Any]], bool]:
        found: list[dict[str, Any]] = []
        more = False
        for tenant in await _tenants(database, name):
            async with database.transaction("point", tenant_id=tenant.tenant_id) as connection:
                letters = await page(connection, tenant.tenant_id, selection, after=after, limit=limit + 1)
            found += [{"tenant": tenant.name, **letter.shown()} for letter in letters[:limit]]
            more = more or len(letters) > limit
        return found, more

    found, more = as_service(settings, work, system=system)
    if as_json:
        print_json({"items": found, "more": more})
    elif found:
        tables.letters(found, more=more)
    else:
        click.echo("there are none")
    return 1 if found else 0


@dead_letters.command()
@click.argument("number", type=int)
@tenant_option
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Show at most so many of its rows."
)
@json_option
@system_option
@settings_options(*PLACE)
def show(number: int, settings: Settings, system: str | None, name: str | None, limit: int, as_json: bool) -> None:
    """Show the dead letter NUMBER: its error, and its activities as they would be sent."""

    async def work(database: Database) -> dict[str, Any]:
        async def look(connection: Connection, tenant: Tenant) -> dict[str, Any]:
            letter = await find(connection, tenant.tenant_id, number)
            items = await contents(connection, letter, rows=limit)
            return {"tenant": tenant.name, **letter.shown(), "items": items}

        for tenant in await _tenants(database, name):
            async with database.transaction("point", tenant_id=tenant.tenant_id) as connection:
                try:
                    return await look(connection, tenant)
                except NotFound:
                    continue
        raise NotFound(f"There is no dead letter {number}: `milepost dead-letters list` shows those there are.")

    found = as_service(settings, work, system=system)
    if as_json:
        print_json(found)
    else:
        tables.letter(found)


@dead_letters.command()
@click.argument("numbers", type=int, nargs=-1)
@tenant_option
@selecting
@click.option("--all", "every", is_flag=True, help="All there are.")
@json_option
@system_option
@settings_options(*PLACE)
def replay(
    numbers: tuple[int, ...],
    settings: Settings,
    system: str | None,
    name: str | None,
    every: bool,
    as_json: bool,
    **chosen: Any,
) -> int:
    """Put dead letters into the queue again: by NUMBERS, by a selection, or all.

    Each goes exactly once, under the current model. Exit code 1: some rows stay, since the model does not take them.
    """
    selection = _selection(numbers, every=every, explicit=True, **chosen)

    async def work(database: Database) -> Done:
        async with database.transaction("point") as connection:
            current = await current_model(connection)

        async def one(tenant: Tenant) -> Done:
            return await replay_letters(
                database, tenant.tenant_id, selection, model=current.model, version=current.version, by=_who()
            )

        return await _for_each(database, name, one)

    done = _checked(as_service(settings, work, system=system), numbers)
    if as_json:
        print_json({"letters": done.letters, "rows": done.rows, "kept": done.kept, "batches": done.batches})
    else:
        click.echo(f"replayed: {tables.many(done.letters, 'letter')} of {tables.many(done.rows, 'row')}; in the queue again")
        if done.kept:
            click.echo(
                f"kept: {tables.many(done.kept, 'row')}, which the current model does not take; see `milepost dead-letters list`"
            )
    return 1 if done.kept else 0


@dead_letters.command()
@click.argument("numbers", type=int, nargs=-1)
@tenant_option
@selecting
@click.option("--all", "every", is_flag=True, help="All there are.")
@click.option("--reason", required=True, metavar="TEXT", help="Why. It is kept in the log.")
@json_option
@system_option
@settings_options(*PLACE)
def discard(
    numbers: tuple[int, ...],
    settings: Settings,
    system: str | None,
    name: str | None,
    every: bool,
    reason: str,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Throw dead letters away for good: by NUMBERS, by a selection, or all. The log keeps who, when, how many and why."""
    selection = _selection(numbers, every=every, explicit=True, **chosen)
    if not reason.strip():
        raise InvalidInput("--reason is empty: it is kept in the log.")

    async def work(database: Database) -> Done:
        async def one(tenant: Tenant) -> Done:
            return await discard_letters(database, tenant.tenant_id, selection, by=_who(), reason=reason.strip())

        return await _for_each(database, name, one)

    done = _checked(as_service(settings, work, system=system), numbers)
    if as_json:
        print_json({"letters": done.letters, "rows": done.rows})
    else:
        click.echo(f"discarded: {tables.many(done.letters, 'letter')} of {tables.many(done.rows, 'row')}")


@dead_letters.command()
@tenant_option
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many of each tenant.")
@json_option
@system_option
@settings_options(*PLACE)
def log(settings: Settings, system: str | None, name: str | None, limit: int, as_json: bool) -> None:
    """Show what was replayed and discarded: who, when, how many, and why. The newest first."""

    async def work(database: Database) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for tenant in await _tenants(database, name):
            async with database.transaction("point", tenant_id=tenant.tenant_id) as connection:
                entries = await log_page(connection, tenant.tenant_id, limit=limit)
            found += [{"tenant": tenant.name, **asdict(entry)} for entry in entries]
        return sorted(found, key=lambda one: one["at"], reverse=True)

    found = as_service(settings, work, system=system)
    if as_json:
        print_json({"items": found})
    elif found:
        tables.log(found)
    else:
        click.echo("nothing was replayed or discarded yet")


async def _tenants(database: Database, name: str | None) -> list[Tenant]:
    return await every_tenant(database) if name is None else [await tenant_named(database, name)]


async def _for_each(database: Database, name: str | None, work: Callable[[Tenant], Awaitable[Done]]) -> Done:
    sum_ = Done()
    for tenant in await _tenants(database, name):
        done = await work(tenant)
        sum_ = replace(
            sum_,
            letters=sum_.letters + done.letters,
            rows=sum_.rows + done.rows,
            kept=sum_.kept + done.kept,
            batches=(*sum_.batches, *done.batches),
        )
    return sum_


def _checked(done: Done, numbers: Sequence[int]) -> Done:
    if numbers and not done.letters and not done.kept:
        raise NotFound("There is no such dead letter: `milepost dead-letters list` shows those there are.")
    return done


def _selection(
    numbers: Sequence[int],
    *,
    error_class: str | None,
    kind: str | None,
    since: datetime | None,
    until: datetime | None,
    every: bool = False,
    explicit: bool = False,
) -> Selection:
    """explicit: something must be named, or `--all`."""
    named = bool(numbers or error_class or kind or since or until)
    if explicit and named == every:
        raise InvalidInput("Name what is meant, by numbers or options, or say --all" + (", but not both." if every else "."))
    return Selection(
        ids=tuple(numbers) or None,
        error_class=error_class,
        kind=None if kind is None else LetterKind(KINDS[kind]),
        since=_zoned(since),
        until=_zoned(until),
    )


def _zoned(moment: datetime | None) -> datetime | None:
    """A date is its midnight in UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _who() -> str:
    try:
        return f"login {getuser()}"
    except (KeyError, OSError):
        return "login unknown"
