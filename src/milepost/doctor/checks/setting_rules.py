"""Rules for settings: when a value is wrong on this machine, what is better, and why. Checks of settings are lists of them.

A rule that depends on what is not known of the machine says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from milepost.doctor.checks.check import Check, Row, Seen
from milepost.doctor.checks.cures import set_setting
from milepost.doctor.finding import Finding, Severity
from milepost.doctor.machine import Machine
from milepost.postgres import load_queries

__all__ = ["Rule", "Setting", "settings_check", "settings_of"]

queries = load_queries(__package__, "setting_rules.sql")

# A unit of pg_settings → bytes, or milliseconds.
UNITS = {"B": 1, "kB": 1 << 10, "8kB": 1 << 13, "MB": 1 << 20, "ms": 1, "s": 1000, "min": 60_000}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """number: in bytes, milliseconds or as it is; 0 for what is not one. choices: of an enumeration."""

    text: str
    number: float
    on: bool
    restart: bool
    choices: tuple[str, ...]


Settings = Mapping[str, Setting]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """better: what it should be where its value is wrong; None where it is fine, or where that cannot be said."""

    name: str
    severity: Severity
    why: str
    better: Callable[[Setting, Machine, Settings], str | None]


def settings_of(rows: Sequence[Row]) -> dict[str, Setting]:
    return {
        row["name"]: Setting(
            text=row["setting"],
            number=float(row["setting"]) * UNITS.get(row["unit"] or "", 1) if row["vartype"] in ("integer", "real") else 0.0,
            on=row["setting"] == "on",
            restart=row["context"] == "postmaster",
            choices=tuple(row["enumvals"] or ()),
        )
        for row in rows
    }


def settings_check(*, name: str, title: str, why: str, rules: Sequence[Rule]) -> Check:
    def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
        settings = settings_of(rows)
        for rule in rules:
            setting = settings.get(rule.name)
            better = None if setting is None else rule.better(setting, seen.machine, settings)
            if setting is None or better is None:
                continue
            shown = next(row["shown"] for row in rows if row["name"] == rule.name)
            yield seen.finding(
                rule.name,
                rule.severity,
                f"{rule.name} is {shown or 'empty'}. {rule.why}",
                set_setting(seen, f"Set {rule.name} to {better}.", rule.name, better, restart=setting.restart),
                {"value": shown, "better": better, "memory_bytes": seen.machine.memory_bytes, "cores": seen.machine.cores},
            )

    cured = f"Looks at {', '.join(f'`{rule.name}`' for rule in rules)}. `milepost doctor settings` prints all as a file."
    return Check(name=name, area="settings", title=title, why=why, cured=cured, query=queries.rows, judge=judge)
