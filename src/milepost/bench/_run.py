"""Choosing and running a scenario."""

from __future__ import annotations

import asyncio
import difflib
import inspect
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from milepost.bench import advisor, boards, checks, client, intake, lifecycle, pressure, reads, search, soak, versions
from milepost.bench._report import Report
from milepost.errors import InvalidInput
from milepost.settings import Settings

__all__ = ["SCENARIOS", "command"]

# Each takes settings and a folder, and by name the options it has.
SCENARIOS: dict[str, Callable[..., Coroutine[Any, Any, Report]]] = {
    "advisor": advisor.measure,
    "boards": boards.measure,
    "checks": checks.measure,
    "client": client.measure,
    "intake": intake.measure,
    "lifecycle": lifecycle.measure,
    "pressure": pressure.measure,
    "reads": reads.measure,
    "search": search.measure,
    "soak": soak.measure,
    "versions": versions.measure,
}


def command(name: str, settings: Settings, *, as_json: bool, **options: Any) -> int:
    """Run the scenario on an embedded server of its own. options: None is not given. → 0, or 1 where a figure misses its target."""
    if name not in SCENARIOS:
        near = difflib.get_close_matches(name, SCENARIOS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise InvalidInput(f"There is no scenario {name!r}; there are {', '.join(SCENARIOS)}.{hint}")
    asked = {option: value for option, value in options.items() if value is not None}
    for option in asked:
        if option not in inspect.signature(SCENARIOS[name]).parameters:
            raise InvalidInput(f"The scenario {name} takes no --{option}.")
    with TemporaryDirectory(prefix="milepost-bench-") as folder:
        report = asyncio.run(SCENARIOS[name](settings, Path(folder), **asked))
    if as_json:
        sys.stdout.write(msgspec.json.encode(report.as_json()).decode() + "\n")
    else:
        table = Table(title=f"milepost bench {name}", title_justify="left")
        for column in ("figure", "value", "unit", "target", "met"):
            table.add_column(column, justify="right" if column == "value" else "left")
        for figure in report.as_json()["figures"]:
            met = {True: "yes", False: "NO", None: ""}[figure["met"]]
            table.add_row(figure["name"], f"{figure['value']:,}", figure["unit"], figure["target"] or "", met)
        Console().print(table)
    return 0 if report.met else 1
