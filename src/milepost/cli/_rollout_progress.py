"""How far a rollout is, on stderr: a bar on a terminal, else a line for each step."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from milepost.doctor.rollout.work import Event

__all__ = ["shown"]


@contextmanager
def shown() -> Iterator[Callable[[Event], None]]:
    """What events are given to."""
    if not sys.stderr.isatty():
        yield lambda event: None if event.total is not None else click.echo(event.text, err=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("", total=None)

        def say(event: Event) -> None:
            if event.total is None:
                bars.console.print(event.text, markup=False, highlight=False)
            else:
                bars.update(
                    bar, description=f"{event.text} ({event.unit})", completed=event.done or 0, total=event.total or None
                )

        yield say
