"""`milepost import`: real files become activities and entities, by a map."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import click

from milepost.cli._database import as_service
from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json
from milepost.importing import Counts, Map, MapError, Summary, Watch, check_map, load_map, run_import
from milepost.limits import ACTIVITIES_PER_REQUEST_MAX
from milepost.postgres import Database
from milepost.settings import Settings

__all__ = ["import_"]

LINE_EVERY_S = 10.0  # of progress, where stderr is no terminal


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--map", "map_path", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="MAP.toml",
    help="Says what a row becomes; docs/import.md.",
)  # fmt: skip
@click.option("--tenant", required=True, metavar="NAME", help="Whose activities they are.")
@click.option(
    "--rejects", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Where rows go that cannot be imported, with their reason. Default: NAME.rejects.jsonl in this folder.",
)  # fmt: skip
@click.option("--restart", is_flag=True, help="Begin anew, also where an import of this file was interrupted.")
@click.option(
    "--batch-rows", type=click.IntRange(1, ACTIVITIES_PER_REQUEST_MAX), default=5_000, show_default=True, metavar="NUMBER",
    help="Activities sent at once.",
)  # fmt: skip
@json_option
@system_option
@settings_options(*PLACE)
def import_(
    file: Path,
    map_path: Path,
    tenant: str,
    rejects: Path | None,
    restart: bool,
    batch_rows: int,
    settings: Settings,
    system: str | None,
    as_json: bool,
) -> None:
    """Import FILE (CSV, JSON lines or Parquet; plain, gzip, zstd, xz, bzip2), or a folder of files, by a map.

    An import that was killed goes on where it was; a row that is imported twice counts once.
    """
    whole = load_map(map_path)
    rejects_path = rejects or Path(f"{file.resolve().name}.rejects.jsonl")

    async def work(database: Database) -> Summary:
        from milepost.importing.database import open_sink

        async with open_sink(database, settings, tenant) as sink:
            problems = check_map(whole, sink.model)
            if problems:
                raise MapError(tuple(f"{whole.name}: {problem}" for problem in problems))
            with _shown(file) as watch:
                return await run_import(
                    file,
                    whole,
                    sink,
                    tenant=tenant,
                    progress_folder=settings.data_dir / "imports",
                    rejects_path=rejects_path,
                    restart=restart,
                    batch_rows=batch_rows,
                    watch=watch,
                )

    try:
        summary = as_service(settings, work, system=system)
    except (KeyboardInterrupt, SystemExit):
        click.echo("Interrupted: the same command goes on from here.", err=True)
        raise
    if as_json:
        print_json(summary.flat())
    else:
        _print(summary, whole)


def _print(summary: Summary, whole: Map) -> None:
    counts = summary.counts
    click.echo(f"{summary.file}: {counts.read:,} rows in {summary.seconds:,.1f} s ({summary.rows_s:,} a second)")
    entities = ((counts.groups, "groups"), (counts.actors, "actors"), (counts.members, "members"))
    if any(number for number, _ in entities):
        click.echo("  declared: " + ", ".join(f"{number:,} {name}" for number, name in entities if number))
    click.echo(f"  accepted: {counts.accepted:,} activities, {counts.duplicates:,} of them were there already")
    if counts.skipped:
        click.echo(f"  skipped: {counts.skipped:,} rows that the map does not want")
    if counts.rejected:
        click.echo(f"  rejected: {counts.rejected:,}, in {summary.rejects}")
        for reason, number in sorted(counts.reasons.items(), key=lambda item: -item[1]):
            click.echo(f"    {number:,} × {reason}")
    if counts.dead_letters:
        click.echo(f"  set aside: {counts.dead_letters:,} batches; see `milepost dead-letters list`")
    if summary.left_out:
        click.echo(f"  not of this file: {', '.join(summary.left_out)} of {whole.name}")


@contextmanager
def _shown(file: Path) -> Iterator[Watch]:
    """A bar on a terminal, a line now and then elsewhere; always on stderr."""
    if not sys.stderr.isatty():
        yield _Lines(file.name).say
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s, {task.fields[rejected]:,} rejected"),
        TimeRemainingColumn(),
    )
    rate = _Rate()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(file.name, total=1.0, rows=0, rate=0.0, rejected=0)

        def say(step: str, share: float, rows: int, counts: Counts) -> None:
            now = rate.of(counts)
            progress.update(task, description=step, completed=share, rows=rows, rate=now, rejected=counts.rejected)

        yield say


class _Rate:
    """Rows a second since the first activities: neither what an earlier run had read nor the entities before count."""

    def __init__(self) -> None:
        self.began = monotonic()
        self.first: int | None = None

    def of(self, counts: Counts) -> float:
        if self.first is None or counts.read == self.first:
            self.began, self.first = monotonic(), counts.read
        return (counts.read - self.first) / max(monotonic() - self.began, 0.001)


class _Lines:
    def __init__(self, name: str) -> None:
        self.name = name
        self.rate = _Rate()
        self.said_at = monotonic()

    def say(self, step: str, share: float, rows: int, counts: Counts) -> None:
        rate = self.rate.of(counts)
        if monotonic() - self.said_at < LINE_EVERY_S:
            return
        self.said_at = monotonic()
        line = f"{step}: {rows:,} rows, {share:.0%} of {self.name}, {rate:,.0f} a second, {counts.rejected:,} rejected"
        click.echo(line, err=True)
