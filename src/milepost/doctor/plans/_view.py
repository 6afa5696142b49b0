"""A plan as rules look at it: what matters in it, whose columns a condition names, and how a finding about a node is made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from milepost.doctor.finding import Cure, Finding, Severity
from milepost.doctor.plans._tables import Table
from milepost.doctor.plans.explain import Explained
from milepost.doctor.plans.node import PlanNode
from milepost.doctor.statements import Node, expression, expression_text, nodes, walk
from milepost.errors import InvalidInput

__all__ = ["EQUAL", "ROWS_MIN", "STATEMENT", "Condition", "View", "index_name", "seconds"]

OWN_MS_MIN = 1.0
ROWS_MIN = 1_000  # below, nothing here is worth a word
EQUAL = "="
SHARE_MIN = 0.05
CRITICAL_MS = 1_000.0
CRITICAL_SHARE = 0.5
WARNING_SHARE = 0.25
TEXTUAL = frozenset({"text", "character varying", "character", "name", "bpchar"})
STATEMENT = "The statement is the application's."  # why no rollout does it
AND = 1  # BoolExprType
BITS_SEPARATED = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One comparison of a column. operator: as written, such as `=`. wrapped: the expression around the column, if it is not bare,
    with columns unqualified. cast: the type that the column is cast to, where that is all that is around it. other: the other
    side's text.
    """

    column: str
    operator: str
    wrapped: str | None
    cast: str | None
    other: str


@dataclass(frozen=True, kw_only=True)
class View:
    """The plan, and the tables in it by schema and name."""

    explained: Explained
    tables: Mapping[str, Table]

    @property
    def total_ms(self) -> float:
        return self.explained.plan.execution_ms or 0.0

    def nodes(self) -> Iterator[PlanNode]:
        """Those that were run."""
        return (node for node in self.explained.plan.root.walk() if node.executed)

    def matters(self, time_ms: float) -> bool:
        return time_ms >= OWN_MS_MIN and self.explained.plan.share(time_ms) >= SHARE_MIN

    def table(self, node: PlanNode) -> Table | None:
        return self.tables.get(node.relation) if node.relation is not None else None

    def severity(self, time_ms: float) -> Severity:
        share = self.explained.plan.share(time_ms)
        if time_ms >= CRITICAL_MS and share >= CRITICAL_SHARE:
            return "critical"
        return "warning" if share >= WARNING_SHARE else "notice"

    def conditions(self, node: PlanNode, name: str = "Filter") -> list[Condition]:
        """The comparisons that are ANDed in a node's condition; what else stands there is passed over."""
        text = node.raw.get(name)
        table = self.table(node)
        if text is None or table is None:
            return []
        try:
            tree = expression(text)
        except InvalidInput:
            return []  # it names a subplan
        return [one for part in _anded(tree) if (one := _condition(part, table)) is not None]

    def finding(
        self,
        check: str,
        node: PlanNode,
        detail: str,
        cure: Cure,
        *,
        time_ms: float | None = None,
        about: str | None = None,
        **evidence: Any,
    ) -> Finding:
        spent = node.own_ms if time_ms is None else time_ms
        return Finding(
            check=check,
            severity=self.severity(spent),
            object=about or node.relation or node.kind,
            detail=detail,
            cure=cure,
            evidence={
                "node": node.number,
                "own_ms": round(spent, 3),
                "share": round(self.explained.plan.share(spent), 3),
                **evidence,
            },
        )


def index_name(table: Table, parts: list[str]) -> str:
    """As PostgreSQL would name it, more or less; bounded like its names."""
    words = [BITS_SEPARATED.sub("_", part.lower()).strip("_") for part in parts]
    plain = BITS_SEPARATED.sub("_", table.name.rpartition(".")[2].lower()).strip("_")
    return f"{plain}_{'_'.join(words)}"[:59] + "_idx"


def seconds(time_ms: float) -> str:
    return f"{time_ms / 1000:.2f} s" if time_ms >= 1000 else f"{time_ms:.1f} ms"


def _anded(node: Node) -> Iterator[Node]:
    inner = next(walk(node))
    if type(inner).__name__ == "BoolExpr" and inner.boolop == AND:
        for one in inner.args:
            yield from _anded(one)
    else:
        yield inner


def _condition(node: Node, table: Table) -> Condition | None:
    inner = next(walk(node))
    if type(inner).__name__ != "A_Expr":
        return None
    left_columns, right_columns = list(nodes(inner.lexpr, "ColumnRef")), list(nodes(inner.rexpr, "ColumnRef"))
    if len(left_columns) != 1 or (right_columns and _name(right_columns[0]) == _name(left_columns[0])):
        return None
    column = _name(left_columns[0])
    if column not in table.columns:
        return None
    left = next(walk(inner.lexpr))
    cast = wrapped = None
    if type(left).__name__ == "TypeCast" and type(next(walk(left.arg))).__name__ == "ColumnRef":
        cast = left.type_name.names[-1].string.sval
        if table.columns[column] in TEXTUAL and cast in TEXTUAL:
            cast = None  # the same bytes: an index on the column serves it
        else:
            wrapped = expression_text(inner.lexpr)
    elif type(left).__name__ != "ColumnRef":
        wrapped = expression_text(inner.lexpr)
    operator = inner.name[-1].string.sval
    return Condition(column=column, operator=operator, wrapped=wrapped, cast=cast, other=expression_text(inner.rexpr))


def _name(column: Node) -> str:
    return str(column.fields[-1].string.sval) if column.fields and column.fields[-1].HasField("string") else ""
