"""What a check is: one query, one rule over its rows, and the limits below which nothing is said.

A query gets its check's limits as parameters by name, and the facts that all checks share (`Facts`). The rule (`judge`) makes findings of
its rows. Limits have a minimum size, count or duration, so that a small or young database that is healthy gives no finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, LiteralString, TypeAlias

from milepost.doctor.finding import Cure, Finding, Severity
from milepost.doctor.machine import Machine
from milepost.doctor.target import Target

__all__ = ["GIB", "KIB", "MIB", "Area", "Check", "Limit", "Row", "Seen", "said_bytes", "said_s"]

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30

COUNTED: Final = "pg_stat_statements"

Area: TypeAlias = Literal["statements", "indexes", "tables", "views", "partitions", "sessions", "server", "settings"]
Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Limit:
    """value: the default. unit: of the value. why: what it keeps quiet, or where the figure comes from."""

    value: float
    unit: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a rule may look at beside its rows. limits: the check's, as they hold in this run. facts: what queries get, too.
    since: counters of statements by id at an earlier look; empty if there was none.
    """

    check: str
    target: Target
    limits: Mapping[str, float]
    facts: Mapping[str, Any]
    machine: Machine
    since: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def finding(self, about: str, severity: Severity, detail: str, cure: Cure, evidence: Mapping[str, Any]) -> Finding:
        return Finding(check=self.check, severity=severity, object=about, detail=detail, cure=cure, evidence=evidence)


@dataclass(frozen=True, kw_only=True)
class Check:
    """name: of its module, too. title: three to eight words. why: what it costs. cured: what is proposed, in general.
    needs: an extension without which it is left out. applies: says why it is left out on this target; empty if it is not.
    """

    name: str
    area: Area
    title: str
    why: str
    cured: str
    query: LiteralString | Callable[[Target], LiteralString]
    judge: Callable[[Sequence[Row], Seen], Iterator[Finding]]
    limits: Mapping[str, Limit] = field(default_factory=dict)
    needs: str | None = None
    applies: Callable[[Target], str] = lambda target: ""

    def query_for(self, target: Target) -> LiteralString:
        return self.query(target) if callable(self.query) else self.query

    def left_out(self, target: Target) -> str:
        """Why it cannot run there; empty if it can."""
        if self.needs is not None and self.needs not in target.extensions:
            instead = "; `milepost doctor statements` sees slow ones without it" if self.needs == COUNTED else ""
            return f"the extension {self.needs} is not installed in {target.dbname}{instead}"
        return self.applies(target)


def said_bytes(count: float) -> str:
    """`12 MiB`: as people read sizes."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def said_s(seconds: float) -> str:
    """`3 min`: as people read durations."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, length in (("s", 120), ("min", 7200), ("h", 172_800)):
        if seconds < length:
            return f"{seconds / {'s': 1, 'min': 60, 'h': 3600}[unit]:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"
