"""What a rollout changes, as arguments: a file of operations, or findings of the doctor whose cures they are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from milepost.doctor import Target
from milepost.doctor.rollout import Change, change_curing, read_change
from milepost.errors import InvalidInput

__all__ = ["Wanted", "change_arguments", "limit"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """change or findings, one of the two. dsn: None for milepost's own database."""

    change: Change | None
    findings: tuple[str, ...]
    report: Path | None
    limits: dict[str, float]
    dsn: str | None

    @property
    def looked_anew(self) -> bool:
        """Then a finding is there again; in a report it is for ever."""
        return bool(self.findings) and self.report is None

    async def on(self, target: Target) -> Change:
        if self.change is not None:
            return self.change
        return await change_curing(target, self.findings, report=self.report, limits=self.limits)


def change_arguments(function: F) -> F:
    """Gives a command `FILE [DSN]`, or `--finding ID [DSN]`, as the argument `wanted`."""

    @functools.wraps(function)
    def wrapped(
        *args: Any,
        places: tuple[str, ...],
        findings: tuple[str, ...],
        report: Path | None,
        limits: tuple[str, ...],
        **given: Any,
    ) -> Any:
        files = places[: 0 if findings else 1]
        dsns = places[len(files) :]
        if len(dsns) > 1 or not (files or findings):
            raise InvalidInput("Name a FILE of operations or a --finding, and then at most one DSN.")
        if (report is not None or limits) and not findings:
            raise InvalidInput("--report and --limit go with --finding.")
        wanted = Wanted(
            change=read_change(Path(files[0])) if files else None,
            findings=findings,
            report=report,
            limits=dict(map(limit, limits)),
            dsn=dsns[0] if dsns else None,
        )
        return function(*args, wanted=wanted, **given)

    options = (
        click.argument("places", nargs=-1, metavar="[FILE] [DSN]"),
        click.option(
            "--finding",
            "findings",
            multiple=True,
            metavar="ID",
            help="Apply the cure of this finding, instead of a FILE; it is looked for anew. May be given again.",
        ),
        click.option(
            "--limit",
            "limits",
            multiple=True,
            metavar="CHECK.LIMIT=NUMBER",
            help="With --finding: another limit of its check. May be given again.",
        ),
        click.option(
            "--report",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            metavar="FILE",
            help="With --finding: take it from what a command of the doctor printed with --json.",
        ),
    )
    made: Any = wrapped
    for option in reversed(options):
        made = option(made)
    return made  # type: ignore[no-any-return]


def limit(text: str) -> tuple[str, float]:
    """`CHECK.LIMIT=NUMBER`."""
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise InvalidInput(f"--limit {text}: write CHECK.LIMIT=NUMBER, such as unused_index.bytes_min=1000000.") from None
