"""`milepost demo`: from nothing to an API that answers, with plausible data in it and more coming."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from milepost.cli._database import opened
from milepost.cli._options import WHOLE, settings_options
from milepost.demo import SYSTEMS
from milepost.settings import Settings

if TYPE_CHECKING:
    from milepost.demo.prepare import Prepared, Progress

__all__ = ["curl", "demo"]

NOT_HERE = ("model", "workers")


@click.command()
@click.option("--system", type=click.Choice(SYSTEMS), default="fitness", show_default=True, help="Which of the four.")
@click.option(
    "--activities", type=click.IntRange(min=1), metavar="NUMBER", help="How large the sample is; when it is first loaded."
)
@click.option("--no-trickle", is_flag=True, help="Let nothing new happen.")
@click.option("--once", is_flag=True, help="Load the sample and leave; do not serve.")
@settings_options(*(name for name in WHOLE if name not in NOT_HERE))
def demo(settings: Settings, system: str, activities: int | None, no_trickle: bool, once: bool) -> int:
    """Load a sample of one of the four systems, serve it, and let new activities happen.

    Ctrl-C stops it cleanly; the next run goes on from the same data. Each system has a database of its own in the data folder's
    PostgreSQL; with MILEPOST_DATABASE_URL, that database is used.
    """
    # A demo is stopped by stopping it: that is no failure, whenever it happens.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _run(settings, system, activities, trickle=not no_trickle, once=once)
    except KeyboardInterrupt:
        click.echo("stopped; the next run goes on from here", err=True)
    return 0


def _run(settings: Settings, system: str, activities: int | None, *, trickle: bool, once: bool) -> None:
    from milepost.demo.prepare import prepare
    from milepost.web.server import listen, run_serving

    listening = None
    if not once:
        # Before anything is loaded: an address that is taken should not be found out a minute later.
        listening = listen(settings)
    if settings.database_url is None:
        click.echo("starting PostgreSQL …", err=True)
    with opened(settings, system=system, remember=True, guard=True) as url:

        async def work() -> None:
            with _shown() as on_progress:
                prepared = await prepare(settings, url, system, activities, on_progress)
            if listening is None:
                click.echo(f"{system}: {prepared.sample.summary}; {prepared.loaded:,} activities loaded now")
                return
            from milepost.demo.trickle import Trickle
            from milepost.web.server import serving, stopped_by_signals

            async with serving(settings, url, listening=listening) as server:
                with stopped_by_signals(server.stop):
                    happening = Trickle(server.services, prepared.tenant, prepared.sample)
                    if trickle:
                        await happening.start()
                    try:
                        _welcome(settings, system, server.address, prepared)
                        await server.wait()
                    finally:
                        await happening.stop()
            click.echo("stopped; the next run goes on from here", err=True)

        run_serving(work())


def _welcome(settings: Settings, system: str, address: str, prepared: Prepared) -> None:
    lines = [
        f"milepost {system}: {prepared.sample.summary}",
        "",
        f"  address  {address}",
        f"  key      {prepared.key}",
        f"  OpenAPI  {address}/openapi.json",
    ]
    for call in prepared.sample.tour():
        lines += ["", f"{call.shows}:", f"  {curl(address, prepared.key, call.path, call.body)}"]
    lines += ["", "Ctrl-C stops it; the next run goes on from the same data."]
    click.echo("\n".join(lines))
    sys.stdout.flush()


def curl(address: str, key: str, path: str, body: str | None) -> str:
    """A command for a shell, on one line."""
    words = ["curl", "-s", f"{address}{path}", "-H", f"Authorization: Bearer {key}"]
    if body is not None:
        words += ["-H", "Content-Type: application/json", "-H", "Prefer: wait=5", "-d", body]
    return shlex.join(words)


@contextmanager
def _shown() -> Iterator[Progress]:
    """A bar on a terminal, a line at the beginning of each step elsewhere; on stderr."""
    if not sys.stderr.isatty():
        said: set[str] = set()

        def say(step: str, done: int, total: int) -> None:
            if step not in said and done < total:
                click.echo(f"loading {total:,} {step} …", err=True)
                said.add(step)

        yield say
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:>18}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, TaskID] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step, total=total)
            progress.update(tasks[step], completed=done)

        yield show
