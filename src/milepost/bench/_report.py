"""What a benchmark says: figures with their targets, and the machine they were measured on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Figure", "Report", "percentile"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """value: in `unit`. at_least, at_most: the target, if there is one."""

    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool | None:
        if self.at_least is not None:
            return self.value >= self.at_least
        if self.at_most is not None:
            return self.value <= self.at_most
        return None

    @property
    def target(self) -> str | None:
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most is not None else None

    def as_json(self) -> dict[str, Any]:
        value = round(self.value, 4) if abs(self.value) < 100 else round(self.value)
        return {"name": self.name, "value": value, "unit": self.unit, "target": self.target, "met": self.met}


@dataclass(kw_only=True)
class Report:
    scenario: str
    settings: dict[str, Any]
    figures: list[Figure] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "scenario": self.scenario,
            "machine": machine(),
            "settings": self.settings,
            "figures": [figure.as_json() for figure in self.figures],
        }

    @property
    def met(self) -> bool:
        return all(figure.met is not False for figure in self.figures)


def machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    models = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "processor": models[0] if models else platform.processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1_000_000) * len(ordered) // 1_000_000) - 1)]
