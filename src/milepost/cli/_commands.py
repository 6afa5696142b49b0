"""Which commands there are, and in which module each is: a module is imported when its command runs, and not before."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

import click

__all__ = ["COMMANDS", "program"]

# name → (module, the command in it, one line for the list of commands)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "serve": ("serve", "serve", "Serve the HTTP API and load what comes in."),
    "demo": ("demo", "demo", "Load a sample of one of the four systems, and serve it."),
    "db": ("db", "db", "The database's schema: migrate, status."),
    "model": ("model", "model", "The model: check, show, apply."),
    "tenant": ("tenant", "tenant", "Tenants: create, list, show, limit, login."),
    "key": ("key", "key", "Keys of a tenant: create, token, list, revoke."),
    "group": ("group", "group", "Groups of a tenant: create, list, show."),
    "import": ("import_", "import_", "Import CSV, JSON lines or Parquet files by a map."),
    "verify": ("verify", "verify", "Recompute everything derived from the activities, and compare."),
    "archive": ("archive", "archive", "The archive: run, list, restore, check."),
    "bench": ("bench", "bench", "Measure, on an embedded server of its own."),
    "doctor": ("doctor", "doctor", "Find what makes a PostgreSQL slow, and prove the cure."),
    "jobs": ("jobs", "jobs", "The schedule of jobs: list, run, history, set."),
    "rollout": ("rollout", "rollout", "Change a database that is in use: lint, plan, run, status, rollback."),
    "retention": ("retention", "retention", "What is over: plan, run, log, set; legal holds: hold, holds, lift."),
    "export": ("export", "export", "Write a tenant's or an actor's activities as JSON lines or Parquet."),
    "erase": ("erase", "erase", "Erase an actor, or look for what is left of one."),
    "chain": ("chain", "chain", "Whether activities were changed behind milepost's back: head, verify, proof, check, drop."),
    "dead-letters": ("dead_letters", "dead_letters", "What could not be loaded: list, show, replay, discard, log."),
}


class LazyCommands(click.Group):
    """Knows its commands by name and one line each; imports a command's module only to run it or to explain it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        command = getattr(import_module(f"milepost.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"There is no command {args[0]}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


def _print_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"milepost {version('milepost')}")
        ctx.exit()


@click.group(cls=LazyCommands, no_args_is_help=True)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Print the version.")
def program() -> None:
    """Activities into feeds, exact rollups, goals and boards, on one PostgreSQL.

    Settings come from flags, else from MILEPOST_… variables, else from milepost.toml. Without MILEPOST_DATABASE_URL an
    embedded PostgreSQL in the data folder is used, and started where it does not run.
    """
