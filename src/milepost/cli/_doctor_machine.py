"""Options by which a person says what the server's machine has, where the doctor cannot find it out."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from milepost.doctor.machine import Machine, find_machine
from milepost.doctor.target import Target
from milepost.errors import InvalidInput

__all__ = ["Told", "machine_options", "size"]

F = TypeVar("F", bound=Callable[..., Any])

UNITS = {"": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}


@dataclass(frozen=True, kw_only=True)
class Told:
    """What was said on the command line; None for what was not."""

    memory_bytes: int | None
    cores: int | None
    disk: str | None

    async def on(self, target: Target) -> Machine:
        async with target.reading() as connection:
            found = await find_machine(target, connection)
        return found.told(memory_bytes=self.memory_bytes, cores=self.cores, disk=self.disk)


def size(text: str | None) -> int | None:
    """Bytes of `16GB`."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)\s*([kmgt]?b?)", text.strip().lower())
    unit = None if found is None else found[2] if found[2].endswith("b") or not found[2] else f"{found[2]}b"
    if found is None or unit not in UNITS:
        raise InvalidInput(f"{text!r} is not a size: write 16GB.")
    return int(found[1]) * UNITS[unit]


def machine_options(function: F) -> F:
    """Gives a command `--memory`, `--cores` and `--disk` as the argument `told`."""

    @functools.wraps(function)
    def wrapped(*args: Any, memory: str | None, cores: int | None, disk: str | None, **given: Any) -> Any:
        return function(*args, told=Told(memory_bytes=size(memory), cores=cores, disk=disk), **given)

    options = (
        click.option(
            "--memory",
            metavar="SIZE",
            help="The memory of the server's machine, such as 16GB. Default: found out, if it can be.",
        ),
        click.option("--cores", type=click.IntRange(min=1), metavar="NUMBER", help="The cores of the server's machine."),
        click.option("--disk", type=click.Choice(["ssd", "hdd"]), metavar="KIND", help="The server's disk: ssd or hdd."),
    )
    made: Any = wrapped
    for option in reversed(options):
        made = option(made)
    return made  # type: ignore[no-any-return]
