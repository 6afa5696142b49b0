"""What is wrong, by the name that it has on the command line: errors name fields by JSON pointers, as the API does."""

from __future__ import annotations

from collections.abc import Sequence

import click

__all__ = ["as_written"]


def as_written(pointer: str, program: click.Command, words: Sequence[str]) -> str:
    """A pointer as the option or argument of the command that the words ran; itself where the command has none such.

    `/time_zone` is `--time-zone`, `/attributes/goal_m` is `--attribute goal_m`.
    """
    _, _, path = pointer.partition("/")
    field, *inner = path.split("/")
    for parameter in _command_of(program, words).params:
        calls = {one.lstrip("-").replace("-", "_") for one in parameter.opts} | {(parameter.name or "").rstrip("_")}
        if field in calls:
            shown = max(parameter.opts, key=len) if isinstance(parameter, click.Option) else parameter.human_readable_name
            return " ".join((shown, *inner))
    return pointer


def _command_of(program: click.Command, words: Sequence[str]) -> click.Command:
    command = program
    for word in words:
        found = command.get_command(click.Context(command), word) if isinstance(command, click.Group) else None
        if found is None:
            break
        command = found
    return command
