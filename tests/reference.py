"""The tables of the reference pages, made from what the code says: `python tests/reference.py` writes them (`make docs`).

A test holds that the pages are what this makes. A page's own words stand above the mark; everything below it is made.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import click

import milepost.settings
from doctor_faults import FAULTS, SERVER_FAULTS
from milepost.cli._commands import COMMANDS
from milepost.cli._commands import program as root
from milepost.doctor.checks import CHECKS
from milepost.doctor.report import schema
from milepost.settings import described
from milepost.telemetry import EVENTS

__all__ = ["MARK", "PAGES", "page"]

DOCS = Path(__file__).parent.parent / "docs"
MARK = "<!-- Below is made by `make docs`. -->"


def settings() -> Iterator[str]:
    """One table for each group of settings, as the code groups them."""
    lines = inspect.getsource(milepost.settings.Settings).splitlines()
    groups: dict[str, str] = {}
    group = ""
    for line in lines:
        if heading := re.match(r"\s*# ── (.*?) ─", line):
            group = heading[1]
        elif field := re.match(r"    (\w+): .* = setting\(", line):
            groups[field[1]] = group
    for name in dict.fromkeys(groups.values()):
        yield f"## {name}\n\n| setting | default | what it does |\n|---|---|---|"
        for item in described():
            if groups[item.name] == name:
                unit = f" ({item.unit})" if item.unit and item.unit != "size" else ""
                default = "none" if item.default is None or item.default == () else f"{item.default}{unit}"
                yield f"| `{item.flag}`, `{item.variable}` | {default} | {item.help} |"
        yield ""


def commands() -> Iterator[str]:
    """One heading for each command, with its usage and its options; settings are on their own page."""
    ours = {item.flag for item in described()} | {"--config", "--help"}
    context = click.Context(root, info_name="milepost")
    for name in COMMANDS:
        found = root.get_command(context, name)
        assert found is not None
        inner = click.Context(found, info_name=name, parent=context)
        parts = list(inner_commands(found, inner)) if isinstance(found, click.Group) else [found]
        for command in parts:
            here = click.Context(command, info_name=command.name, parent=inner if command is not found else context)
            usage = " ".join(piece for piece in command.collect_usage_pieces(here) if piece != "[OPTIONS]")
            yield f"## {here.command_path}{f' {usage}' if usage else ''}\n\n{inspect.cleandoc(command.help or '')}\n"
            shared = ours | ({"--json"} if name == "demo" else {"--json", "--system"})
            options = [one for one in command.params if isinstance(one, click.Option) and one.opts[0] not in shared]
            if options:
                yield "| option | what it does |\n|---|---|"
                for option in options:
                    metavar = "" if option.is_flag else f" {option.make_metavar(here)}"
                    words = f"`{option.opts[0]}{metavar}`".replace("|", "\\|")
                    required = " Required." if option.required else ""
                    yield f"| {words} | {' '.join((option.help or '').split())}{required} |"
                yield ""
            taken = [item.flag for item in described() if any(item.flag in one.opts for one in command.params)]
            left = [item.flag for item in described() if item.flag not in taken]
            if len(left) < len(taken):
                but = f" but {listed(left)}" if left else ""
                yield f"Takes every [setting](settings.md){but} as a flag.\n"
            elif taken:
                yield f"Settings as flags: {listed(taken)}.\n"


def inner_commands(group: click.Group, context: click.Context) -> Iterator[click.Command]:
    """Also of a group that imports a command's module only when it is asked for."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield command


def listed(flags: list[str]) -> str:
    return ", ".join(f"`{flag}`" for flag in flags)


def metrics() -> Iterator[str]:
    yield "| metric | kind | labels | what it counts |\n|---|---|---|---|"
    for event in EVENTS:
        name = f"milepost_{event.name}{'_total' if event.kind == 'counter' else ''}"
        labels = ", ".join(f"`{label}`" for label in event.labels) or "–"
        yield f"| `{name}` | {event.kind}, {event.unit} | {labels} | {event.description} |"
    yield ""


def doctor_checks() -> Iterator[str]:
    """One heading for each check, under its area, with its limits."""
    for area in dict.fromkeys(check.area for check in CHECKS):
        yield f"## {area.capitalize()}\n"
        for check in (one for one in CHECKS if one.area == area):
            yield f"### {check.name}\n\n**{check.title}.** {check.why}\n\nCure: {check.cured}\n"
            if check.needs:
                yield f"Needs the extension `{check.needs}`.\n"
            if check.limits:
                yield "| limit | default | why |\n|---|---|---|"
                for name, limit in check.limits.items():
                    yield f"| `{check.name}.{name}` | {limit.value:g} {limit.unit} | {limit.why} |"
                yield ""


def doctor_faults() -> Iterator[str]:
    """What the tests build, and hold: each must be found, and nothing else."""
    kinds = {fault.check for fault in FAULTS} | {check for check, _ in SERVER_FAULTS}
    count = len(FAULTS) + len(SERVER_FAULTS)
    yield "## Faults that the tests build\n"
    yield (
        f"{count} faults, which {len(kinds)} of {len(CHECKS)} checks must find (`degraded_statement` is tested with two looks). Recall "
        f"{count} of {count}, precision 100 %: no finding that is not of a fault, and none on the healthy twins. The tests fail otherwise.\n"
    )
    yield "| fault | found by | cured by |\n|---|---|---|"
    for fault in FAULTS:
        yield f"| {fault.name.replace('_', ' ')} | `{fault.check}` | {f'`{fault.operation}`' if fault.operation else 'a person'} |"
    for check, about in SERVER_FAULTS:
        yield f"| {about} | `{check}` | – |"
    yield ""


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "settings.md": settings,
    "commands.md": commands,
    "metrics.md": metrics,
    "doctor-checks.md": lambda: chain(doctor_checks(), doctor_faults()),
}


def page(name: str) -> str:
    """The whole page as it should be."""
    own, mark, _ = (DOCS / name).read_text(encoding="utf-8").partition(MARK)
    assert mark, f"docs/{name} has lost its mark"
    return f"{own}{MARK}\n\n" + "\n".join(PAGES[name]()).rstrip() + "\n"


if __name__ == "__main__":
    for name in PAGES:
        (DOCS / name).write_text(page(name), encoding="utf-8")
    (DOCS / "doctor-report.schema.json").write_text(json.dumps(schema(), indent=1) + "\n", encoding="utf-8")
