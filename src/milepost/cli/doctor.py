"""`milepost doctor`: its commands, each in a module of its own that is imported when it runs."""

from __future__ import annotations

from importlib import import_module

import click

__all__ = ["doctor"]

# name → (module, the command in it, one line for the list of commands)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "check": ("_doctor_check", "check", "What is wrong with a database, with a cure for each finding."),
    "indexes": ("_doctor_indexes", "indexes", "Which indexes to make and to drop, for a whole workload."),
    "statements": ("_doctor_statements", "statements", "Which statements take the time, where nobody counts them."),
    "promises": ("_doctor_promises", "promises", "What findings promised, and what came of it."),
    "watch": ("_doctor_watch", "watch", "The same at intervals: what is new, standing, cured, come back."),
    "capacity": ("_doctor_capacity", "capacity", "What grows, how fast, and what runs out first."),
    "settings": ("_doctor_settings", "settings_command", "A ready configuration, with the reason for each setting."),
    "views": ("_doctor_views", "views", "Three SQL views for administrators: install, remove."),
    "explain": ("_doctor_explain", "explain", "How one statement is run, and what is wrong with that."),
    "triggers": ("_doctor_triggers", "triggers", "What each trigger costs a write, and what could take its place."),
}


class LazyDoctor(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        command = getattr(import_module(f"milepost.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


@click.group(cls=LazyDoctor, no_args_is_help=True)
def doctor() -> None:
    """Find what makes a PostgreSQL slow, prove the cure. Reads only, unless told to act.

    DSN is a connection string (postgresql://user@host:port/database); without one, milepost's own database is looked at.
    """
