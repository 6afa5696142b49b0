"""Rules about rows that are read and thrown away, because no index leads to those that are wanted."""

from __future__ import annotations

from collections.abc import Iterator

from milepost.doctor.finding import Cure, Finding
from milepost.doctor.plans._index_cure import create, operation
from milepost.doctor.plans._tables import Table
from milepost.doctor.plans._view import EQUAL, ROWS_MIN, STATEMENT, Condition, View, index_name, seconds
from milepost.doctor.plans.node import PlanNode

__all__ = ["late_filter", "order_by_wrong_index", "wrapped_column"]

KEPT_MAX = 0.1  # of the rows read
SCANS = frozenset({"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"})
RANGES = frozenset({"<", "<=", ">", ">="})
LIKES = frozenset({"~~", "~~*"})


def order_by_wrong_index(view: View) -> Iterator[Finding]:
    """An index was walked for its order, under a LIMIT, and most of its rows thrown away on the way."""
    for node in view.nodes():
        if node.kind != "Limit":
            continue
        for scan in node.walk():
            if scan.kind not in ("Index Scan", "Index Only Scan") or "Index Cond" in scan.raw or not _wasteful(scan):
                continue
            table = view.table(scan)
            equal = [one.column for one in view.conditions(scan) if one.operator == EQUAL and one.wrapped is None]
            if table is None or not view.matters(scan.own_ms) or not equal:
                continue
            order: list[str] = next(
                (
                    one["columns"]
                    for one in table.indexes
                    if one["name"].rpartition(".")[2].strip('"') == scan.raw["Index Name"]
                ),
                [],
            )
            parts = list(dict.fromkeys([*equal, *order]))
            yield view.finding(
                "plan_wrong_index_for_order",
                scan,
                f"{scan.raw['Index Name']} gave the order, but {scan.removed:,.0f} rows were read along it and thrown away to find "
                f"{scan.rows:,.0f} ({seconds(scan.own_ms)}).",
                Cure(
                    text=f"One index with {', '.join(equal)} first and the order after it: it begins at the rows wanted.",
                    statements=(create(table, parts),),
                    operation=operation(table, parts),
                ),
                rows_removed=scan.removed,
                rows=scan.rows,
            )


def wrapped_column(view: View) -> Iterator[Finding]:
    """A filter around a column, so that no index on the column serves it."""
    for node in view.nodes():
        table = view.table(node)
        if node.kind not in SCANS or table is None or not _wasteful(node) or not view.matters(node.own_ms):
            continue
        for one in view.conditions(node):
            if one.wrapped is None:
                continue
            indexed = table.has_index_on([one.column])
            what = f"a cast to {one.cast}" if one.cast else "a function or expression"
            known = f"; the index {indexed} on {one.column} cannot serve it" if indexed else ""
            if one.cast and indexed:
                cure = Cure(
                    text=f"Compare {one.column} with a value of its own type, {table.columns[one.column]}: cast the value, not the column.",
                    by_hand=STATEMENT,
                )
            else:
                cure = Cure(
                    text=f"An index on the expression {one.wrapped} (its functions must be immutable), or compare the bare column.",
                    statements=(create(table, [one.wrapped], expression=True),),
                    operation=operation(table, [one.wrapped]) | {"columns": [f"({one.wrapped})"]},
                )
            yield view.finding(
                "plan_wrapped_column",
                node,
                f"The filter puts {what} around {one.column} ({one.wrapped} {one.operator} …){known}: {node.removed:,.0f} rows were read "
                f"and thrown away ({seconds(node.own_ms)}).",
                cure,
                about=f"{node.relation}.{one.column}",
                rows_removed=node.removed,
                expression=one.wrapped,
            )
            break


def late_filter(view: View) -> Iterator[Finding]:
    """Rows are read, and nine of ten thrown away."""
    explained = {one.evidence["node"] for rule in (order_by_wrong_index, wrapped_column) for one in rule(view)}
    for node in view.nodes():
        table = view.table(node)
        if (
            node.kind not in SCANS
            or table is None
            or not _wasteful(node)
            or not view.matters(node.own_ms)
            or node.number in explained
        ):
            continue
        conditions = [one for one in view.conditions(node) if one.wrapped is None]
        yield view.finding(
            "plan_late_filter",
            node,
            f"{node.relation} was read by {node.kind.lower()}, and {node.removed:,.0f} of {node.removed + node.rows:,.0f} rows were thrown away "
            f"by the filter ({seconds(node.own_ms)}).",
            _filter_cure(view, node, table, conditions),
            rows_removed=node.removed,
            rows=node.rows,
            pages=node.pages,
        )


def _filter_cure(view: View, node: PlanNode, table: Table, conditions: list[Condition]) -> Cure:
    before = [
        one.column
        for one in view.conditions(node, "Index Cond") or view.conditions(node, "Recheck Cond")
        if one.operator == EQUAL
    ]
    equal = [one.column for one in conditions if one.operator == EQUAL]
    ranges = [one.column for one in conditions if one.operator in RANGES]
    likes = [one for one in conditions if one.operator in LIKES]
    parts = list(dict.fromkeys([*before, *equal, *ranges[:1]]))
    if (equal or ranges) and (there := table.has_index_on(parts)) is None:
        return Cure(
            text=f"An index on {', '.join(parts)}: only the rows wanted are read.",
            statements=(create(table, parts),),
            operation=operation(table, parts),
        )
    if likes:
        column = likes[0].column
        made = (
            f"CREATE INDEX CONCURRENTLY {index_name(table, [column, 'trgm'])} ON {table.name} USING gin ({column} gin_trgm_ops)"
        )
        return Cure(
            text=f"A trigram index on {column} serves patterns that begin with a wildcard; it needs the extension pg_trgm.",
            statements=("CREATE EXTENSION IF NOT EXISTS pg_trgm", made),
            operation=operation(table, [column, "trgm"]) | {"columns": [f"{column} gin_trgm_ops"], "method": "gin"},
        )
    if equal or ranges:
        return Cure(
            text=f"The index {there} is there and was not used: the planner expected more rows; see to its estimates.",
            statements=(f"ANALYZE {table.name}",),
            operation={"operation": "analyze", "table": table.name},
        )
    return Cure(
        text="Filter by what an index can serve, or keep what is filtered by in a column of its own and index that.",
        by_hand=STATEMENT,
    )


def _wasteful(node: PlanNode) -> bool:
    return node.removed >= ROWS_MIN and node.rows <= KEPT_MAX * (node.removed + node.rows)
