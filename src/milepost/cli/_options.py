"""Options that commands share: every setting as a flag, and `--json`.

A command names the settings that mean something to it and gets one checked `Settings`; the flags, their help and their
environment twins are made from the settings' own descriptions, so they cannot differ from them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from milepost.settings import Described, Settings, described, load_settings

__all__ = ["PLACE", "WHOLE", "json_option", "settings_options", "system_option"]

F = TypeVar("F", bound=Callable[..., Any])

SETTINGS_FILE = Path("milepost.toml")
LOGS = ("log_level", "log_format")
# What a command needs to find its database.
PLACE = ("database_url", "data_dir", "pg_bin", *LOGS)
# For what serves.
WHOLE = tuple(item.name for item in described())

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, and nothing else there.")
system_option = click.option(
    "--system",
    metavar="NAME",
    help="Use the database of `milepost demo --system NAME` in the data folder. "
    "Default: the folder's own, or the demo's that ran there last.",
)


def settings_options(*names: str, quiet: bool = True) -> Callable[[F], F]:
    """Gives a command the flags of these settings, and the argument `settings`.

    quiet: a command that answers and ends logs only warnings, unless a flag or variable says otherwise.
    """
    chosen = [item for item in described() if item.name in names]
    assert len(chosen) == len(set(names)), f"unknown settings: {set(names) - {item.name for item in chosen}}"

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapped(*args: Any, **given: Any) -> Any:
            flags = {item.name: given.pop(item.name) for item in chosen}
            settings = _load(flags, given.pop("config"), quiet=quiet)
            return function(*args, settings=settings, **given)

        options: Any = click.option(
            "--config",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="A file of settings. Default: milepost.toml, where there is one.",
        )(wrapped)
        for item in reversed(chosen):
            options = click.option(item.flag, item.name, metavar=_metavar(item), help=_help(item))(options)
        return options  # type: ignore[no-any-return]

    return decorate


def _load(flags: Mapping[str, Any], config: Path | None, *, quiet: bool) -> Settings:
    from milepost.telemetry import configure_logs

    environ: Mapping[str, str] = os.environ
    if quiet and not os.environ.get("MILEPOST_LOG_LEVEL"):
        environ = {**os.environ, "MILEPOST_LOG_LEVEL": "warning"}
    file = config if config is not None else SETTINGS_FILE if SETTINGS_FILE.exists() else None
    settings = load_settings(flags, environ, file)
    configure_logs(settings.log_level, settings.log_format)  # type: ignore[arg-type]
    return settings


def _metavar(item: Described) -> str:
    return {"int": "NUMBER", "float": "NUMBER", "Path": "PATH", "tuple": "LIST"}.get(item.type, "TEXT")


def _help(item: Described) -> str:
    default = "none" if item.default is None or item.default == () else item.default
    unit = f" ({item.unit})" if item.unit and item.unit != "size" else ""
    return f"{item.help} [{item.variable}; default: {default}{unit}]"
