"""`milepost model`: check a model file, show what it compiles to, apply it to the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import click

from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json, problem_lines
from milepost.model import Model, ModelError, parse_model
from milepost.rollups.reports.formulas import described
from milepost.schema.compile import Check, compile_model, guard
from milepost.settings import Settings

__all__ = ["model"]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def model() -> None:
    """The model: what is declared in TOML."""


@model.command()
@click.argument("file", type=FILE)
@json_option
def check(file: Path, as_json: bool) -> int:
    """Name each mistake of a model FILE: its line, the rule, the nearest known word. Exit code 1: there are some."""
    try:
        parsed = _read(file)
    except ModelError as error:
        if as_json:
            print_json({"problems": [asdict(problem) for problem in error.problems]})
        else:
            for line in problem_lines(error):
                click.echo(line)
        return 1
    if as_json:
        print_json({"problems": []})
    else:
        click.echo(f"{file}: {_summary(parsed)}")
    return 0


@model.command()
@click.argument("file", type=FILE)
@json_option
def show(file: Path, as_json: bool) -> None:
    """Print the DDL and the SQL that a model FILE compiles to."""
    compiled = compile_model(_read(file))
    parts = [("activity", compiled.activity), *((part.table, part) for part in compiled.derived())]
    reports = list(described(compiled.model))
    if as_json:
        print_json({title: dict(_statements(part)) for title, part in parts} | ({"reports": reports} if reports else {}))
        return
    for title, part in parts:
        click.echo(f"-- ── {title} {'─' * max(0, 110 - len(title))}\n")
        for name, text in _statements(part):
            click.echo(f"-- {name}\n{text.strip()};\n")
    for statement in compiled.indexes:
        click.echo(f"-- of reports\n{statement};\n")
    for report in reports:
        click.echo(f"-- report {report['name']}: {', '.join(report['parts']) or 'from ' + report['source']}")
        for value in report["values"]:
            click.echo(f"--   {value['value']}: {value['formula']} ({value['unit']})")


@model.command()
@click.argument("file", type=FILE)
@json_option
@system_option
@settings_options(*PLACE)
def apply(file: Path, settings: Settings, system: str | None, as_json: bool) -> None:
    """Make a model FILE the database's. Servers that run take it up; new rollups are filled from history.

    Run it as the owner of the tables. A change that would lose or falsify data is refused, with what to do.
    """
    from milepost.cli._database import as_owner
    from milepost.postgres import Connection
    from milepost.schema import require
    from milepost.schema.models import Applied, apply_model

    text = file.read_text(encoding="utf-8")
    _read(file)  # so that mistakes are named with the file's name, before a server is started

    async def work(owner: Connection) -> Applied:
        await require(owner)
        return await apply_model(owner, text)

    applied = as_owner(settings, work, system=system)
    if as_json:
        print_json(asdict(applied))
    elif not applied.changed:
        click.echo(f"version {applied.version}: it is this model already")
    else:
        click.echo(f"version {applied.version} applied")
        for table in applied.filling:
            click.echo(f"is being filled from history: {table}")
        for table in applied.dropped:
            click.echo(f"dropped: {table}")


def _read(file: Path) -> Model:
    return parse_model(file.read_text(encoding="utf-8", errors="surrogateescape"), str(file))


def _statements(part: object) -> Iterator[tuple[str, str]]:
    """Every statement of a compiled part, with the name of its field; lists are numbered."""
    for field in fields(part):  # type: ignore[arg-type]
        value: Any = getattr(part, field.name)
        for number, item in enumerate(value if isinstance(value, tuple | list) else (value,), start=1):
            name = f"{field.name} {number}" if isinstance(value, tuple | list) else field.name
            match item:
                case Check():
                    yield f"{name}: {item.what}", item.sql
                case str() if " " in item:  # what has no blank is a table's or a column's name
                    yield name, item
                    if item.split()[:2] == ["CREATE", "TABLE"]:
                        for step, statement in enumerate(guard(item.split()[2]), start=1):
                            yield f"{name}, its guard {step}", statement


def _summary(parsed: Model) -> str:
    counts: dict[str, Mapping[str, object]] = {
        "verb": parsed.verbs,
        "group kind": parsed.groups,
        "rollup": parsed.rollups,
        "latest table": parsed.latest,
        "pair": parsed.pairs,
        "goal": parsed.goals,
        "board": parsed.boards,
        "pending list": parsed.pending,
        "report": parsed.reports,
    }
    return ", ".join(f"{len(found)} {name}{'s' if len(found) != 1 else ''}" for name, found in counts.items() if found)
