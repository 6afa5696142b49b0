"""What a finding promises, read from its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["Promise", "Source", "promises_of"]

Source: TypeAlias = Literal["planner", "proof", "estimate"]
CONTROLS_MAX = 3
RATIO_MIN = 1e-6  # figures are rounded, and of nothing there is no logarithm


@dataclass(frozen=True, kw_only=True)
class Promise:
    """name: of a statement, or of a relation. sql: the statement; None for a relation, of which bytes are promised. source: who
    promises; None for a control statement. promised: of a statement, its time after by that before; of a relation, its bytes; None of a
    control, and of a statement that shall be helped and of which nothing is promised.
    """

    finding: str
    kind: str
    name: str
    sql: str | None
    source: Source | None
    promised: float | None


def promises_of(
    finding: str, evidence: Mapping[str, Any], operation: Mapping[str, Any], workload: Mapping[str, str]
) -> Iterator[Promise]:
    """workload: statements that may be run, by name; those of which nothing is promised are controls."""
    kind = str(operation["operation"])
    helped: Mapping[str, Any] = evidence.get("statements", {})
    proofs: Mapping[str, Any] = evidence.get("measured", {})
    for name, costs in helped.items():
        if name in workload:
            source: Source = "proof" if name in proofs else "planner"
            ratio = max(proofs[name]["ratio"] if name in proofs else costs[1] / max(costs[0], 1e-9), RATIO_MIN)
            promised = None if "doubt" in proofs.get(name, {}) else ratio
            yield Promise(finding=finding, kind=kind, name=name, sql=workload[name], source=source, promised=promised)
    if any(name in workload for name in helped):
        for name in [one for one in workload if one not in helped][:CONTROLS_MAX]:
            yield Promise(finding=finding, kind=kind, name=name, sql=workload[name], source=None, promised=None)
    size = evidence.get("estimated_bytes", evidence.get("expected_bytes"))
    relation = _relation(operation)
    if size is not None and relation is not None:
        yield Promise(finding=finding, kind=kind, name=relation, sql=None, source="estimate", promised=float(size))


def _relation(operation: Mapping[str, Any]) -> str | None:
    """Whose bytes are promised."""
    if operation["operation"] == "create_index" and "name" in operation:
        table = str(operation["table"])
        # Of a quoted name the dot before it; there may be others inside.
        schema = table[: table.rindex('."') + 1] if table.endswith('"') and '."' in table else table[: table.rfind(".") + 1]
        return f"{schema}{operation['name']}"
    named = {"reindex": "index", "rewrite_table": "table"}.get(operation["operation"])
    return None if named is None else str(operation[named])
