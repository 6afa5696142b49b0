"""Rules about estimates: more rows than the planner expected, and a loop that was planned for fewer."""

from __future__ import annotations

from collections.abc import Iterator

from milepost.doctor.finding import Cure, Finding
from milepost.doctor.plans._index_cure import create, operation
from milepost.doctor.plans._tables import Table
from milepost.doctor.plans._view import EQUAL, ROWS_MIN, View, index_name, seconds
from milepost.doctor.plans.node import PlanNode

__all__ = ["misestimate", "nested_loop"]

FACTOR = 10.0  # how far off an estimate may be


def misestimate(view: View) -> Iterator[Finding]:
    """Only where it begins: what is above inherits it."""
    for node in view.nodes():
        if not _misestimated(node) or any(_misestimated(one) for one in node.children if one.executed):
            continue
        if not view.matters(node.time_ms) or node.relation is None:
            continue
        table = view.table(node)
        conditions = [*view.conditions(node), *view.conditions(node, "Index Cond")]
        columns = sorted({one.column for one in conditions if one.wrapped is None})
        wrapped = sorted({one.wrapped for one in conditions if one.wrapped is not None})
        yield view.finding(
            "plan_misestimate",
            node,
            f"The planner expected {node.rows_planned:,.0f} rows of {node.relation}, and {node.rows:,.0f} came: {node.misestimate:,.0f} "
            "times off, so what is above it was planned for another size.",
            _estimates_cure(table, columns, wrapped),
            time_ms=node.time_ms,
            rows=node.rows,
            rows_planned=node.rows_planned,
            factor=round(node.misestimate, 1),
        )


def _misestimated(node: PlanNode) -> bool:
    # Below a Limit a node may have been stopped early, which is no mistake of the estimate; only too few is certain.
    return node.misestimate >= FACTOR and max(node.rows, 1) >= ROWS_MIN and node.rows > node.rows_planned


def nested_loop(view: View) -> Iterator[Finding]:
    """Planned for a few rows outside, run for many."""
    for node in view.nodes():
        if node.kind != "Nested Loop" or len(node.children) < 2:
            continue
        outer, inner = node.children[0], node.children[1]
        scan = next((one for one in inner.walk() if one.relation is not None), inner)
        blind = inner.kind == "Seq Scan" and inner.loops > 1 and inner.removed >= ROWS_MIN
        planned_for = max(1.0, outer.rows_planned)
        if not view.matters(inner.time_ms) or not (blind or (inner.loops >= ROWS_MIN and outer.rows >= FACTOR * planned_for)):
            continue
        table = view.table(scan)
        conditions = [one for one in view.conditions(inner) if one.operator == EQUAL and one.wrapped is None] if blind else []
        if blind and table is not None and conditions:
            parts = [one.column for one in conditions]
            cure = Cure(
                text=f"An index on {', '.join(parts)} of {table.name}: each loop reads only its own rows.",
                statements=(create(table, parts),),
                operation=operation(table, parts),
            )
        else:
            left = next((view.table(one) for one in outer.walk() if one.relation is not None), None)
            cure = _estimates_cure(left, [], [])
        yield view.finding(
            "plan_nested_loop",
            node,
            f"A nested loop ran its inner side {inner.loops:,} times ({seconds(inner.time_ms)}); the planner expected {planned_for:,.0f} rounds.",
            cure,
            time_ms=inner.time_ms,
            about=scan.relation,
            loops=inner.loops,
            loops_planned=planned_for,
        )


def _estimates_cure(table: Table | None, columns: list[str], wrapped: list[str]) -> Cure:
    if table is None:
        return Cure(
            text="Analyze the tables, so that the planner knows what is in them.",
            by_hand="The plan does not say which tables they are.",
        )
    analyze = f"ANALYZE {table.name}"
    operation = {"operation": "analyze", "table": table.name}
    if not table.analyzed or table.modified > max(ROWS_MIN, table.rows // 10):
        return Cure(
            text=f"Analyze {table.name}: {table.modified:,} of about {table.rows:,} rows have changed since it was."
            if table.analyzed
            else f"Analyze {table.name}: it never was.",
            statements=(analyze,),
            operation=operation,
        )
    name = index_name(table, [*columns, "stats"]).removesuffix("_idx")
    if wrapped:
        made = f"CREATE STATISTICS {name} ON ({wrapped[0]}) FROM {table.name}"
        return Cure(
            text=f"Keep statistics of the expression {wrapped[0]}: without them it is guessed.",
            statements=(made, analyze),
            operation=_statistics(table, name, [f"({wrapped[0]})"]),
        )
    if len(columns) > 1:
        made = f"CREATE STATISTICS {name} (dependencies, ndistinct, mcv) ON {', '.join(columns)} FROM {table.name}"
        return Cure(
            text="Keep statistics of these columns together: they depend on each other.",
            statements=(made, analyze),
            operation=_statistics(table, name, columns),
        )
    target = columns[0] if columns else None
    if target is None:
        return Cure(
            text=f"Analyze {table.name}, so that the planner knows what is in it.", statements=(analyze,), operation=operation
        )
    made = f"ALTER TABLE {table.name} ALTER COLUMN {target} SET STATISTICS 1000"
    return Cure(
        text=f"Keep finer statistics of {target}.",
        statements=(made, analyze),
        operation=operation | {"statistics": {target: 1000}},
    )


def _statistics(table: Table, name: str, columns: list[str]) -> dict[str, object]:
    return {"operation": "create_statistics", "table": table.name, "columns": columns, "name": name}
