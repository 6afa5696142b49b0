"""A plan as the server described it, with what it leaves to the reader worked out: totals over loops, and each node's own time.

Times are milliseconds of the wall clock: a node below Gather ran in several processes at once, and its loops are divided by them.
Rows and removed rows are totals over all loops. A node's own time is its time without its children's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Plan", "PlanNode", "Trigger"]


@dataclass(frozen=True, kw_only=True)
class PlanNode:
    """One node. number: in the order of the text, from 1. parent: None at the root. raw: what the server said, children apart."""

    number: int
    kind: str
    raw: Mapping[str, Any]
    children: tuple[PlanNode, ...]
    executed: bool
    loops: int
    rows: float
    rows_planned: float
    time_ms: float
    own_ms: float
    parallel: int = 1

    @property
    def relation(self) -> str | None:
        """Schema and name, unquoted, with a dot between."""
        if "Relation Name" not in self.raw:
            return None
        return f"{self.raw.get('Schema', 'public')}.{self.raw['Relation Name']}"

    @property
    def removed(self) -> float:
        """Rows read and thrown away by a filter here."""
        return float(self.raw.get("Rows Removed by Filter", 0)) * self.loops

    @property
    def pages(self) -> int:
        """Shared pages touched, children included."""
        return int(self.raw.get("Shared Hit Blocks", 0)) + int(self.raw.get("Shared Read Blocks", 0))

    @property
    def misestimate(self) -> float:
        """By which factor the estimate was off, at least 1; of loops on average."""
        actual, planned = max(self.rows, 1.0), max(self.rows_planned, 1.0)
        return max(actual / planned, planned / actual)

    def walk(self) -> Iterator[PlanNode]:
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """What the triggers of one name took in all. constraint: of a foreign key's hidden trigger."""

    name: str
    relation: str
    constraint: str | None
    calls: int
    time_ms: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A whole plan. execution_ms: None if it was not run. jit_ms: compiling. settings: other than their defaults."""

    root: PlanNode
    planning_ms: float | None
    execution_ms: float | None
    jit_ms: float
    triggers: tuple[Trigger, ...]
    settings: Mapping[str, str]
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Plan:
        """From the one object in the list that EXPLAIN (FORMAT JSON) gives."""
        root, _ = _node(raw["Plan"], 1, 1)
        triggers = tuple(
            Trigger(
                name=one["Trigger Name"],
                relation=one["Relation"],
                constraint=one.get("Constraint Name"),
                calls=int(one["Calls"]),
                time_ms=float(one.get("Time", 0.0)),
            )
            for one in raw.get("Triggers", ())
        )
        return cls(
            root=root,
            planning_ms=raw.get("Planning Time"),
            execution_ms=raw.get("Execution Time"),
            jit_ms=float(raw.get("JIT", {}).get("Timing", {}).get("Total", 0.0)),
            triggers=triggers,
            settings=raw.get("Settings", {}),
            raw=raw,
        )

    def share(self, time_ms: float) -> float:
        """Of the whole's time, between 0 and 1."""
        return min(1.0, time_ms / self.execution_ms) if self.execution_ms else 0.0


def _node(raw: Mapping[str, Any], number: int, processes: int) -> tuple[PlanNode, int]:
    """The node and the number after the last below it."""
    below = processes
    if raw["Node Type"] in ("Gather", "Gather Merge"):
        below = 1 + int(raw.get("Workers Launched", 0))
    children = []
    after = number + 1
    for one in raw.get("Plans", ()):
        child, after = _node(one, after, below)
        children.append(child)
    loops = int(raw.get("Actual Loops", 0))
    time_ms = float(raw.get("Actual Total Time", 0.0)) * loops / processes
    # An InitPlan's or CTE's time is in the node that first reads it, which may be another than its parent.
    inside = sum(one.time_ms for one in children if one.raw.get("Parent Relationship") != "InitPlan")
    node = PlanNode(
        number=number,
        kind=raw["Node Type"],
        raw={name: value for name, value in raw.items() if name != "Plans"},
        children=tuple(children),
        executed=loops > 0,
        loops=loops,
        rows=float(raw.get("Actual Rows", 0.0)) * loops,
        rows_planned=float(raw["Plan Rows"]) * max(loops, 1),
        time_ms=time_ms,
        own_ms=max(0.0, time_ms - inside),
        parallel=processes,
    )
    return node, after
