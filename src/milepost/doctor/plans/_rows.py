"""Rules about rows: estimated wrongly, read and thrown away, fetched one by one, skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from milepost.doctor.finding import Cure, Finding
from milepost.doctor.plans._tables import Table
from milepost.doctor.plans._view import Condition, View, index_name, seconds
from milepost.doctor.plans.node import PlanNode

__all__ = ["ROW_RULES"]

FACTOR = 10.0  # how far off an estimate may be
ROWS_MIN = 1_000  # below, nothing here is worth a word
KEPT_MAX = 0.1  # of the rows read
SCANS = frozenset({"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"})
EQUAL = "="
RANGES = frozenset({"<", "<=", ">", ">="})
LIKES = frozenset({"~~", "~~*"})


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


def _estimates_cure(table: Table | None, columns: list[str], wrapped: list[str]) -> Cure:
    if table is None:
        return Cure(text="Analyze the tables, so that the planner knows what is in them.")
    analyze = f"ANALYZE {table.name}"
    if not table.analyzed or table.modified > max(ROWS_MIN, table.rows // 10):
        return Cure(
            text=f"Analyze {table.name}: {table.modified:,} of about {table.rows:,} rows have changed since it was."
            if table.analyzed
            else f"Analyze {table.name}: it never was.",
            statements=(analyze,),
        )
    name = index_name(table, [*columns, "stats"]).removesuffix("_idx")
    if wrapped:
        made = f"CREATE STATISTICS {name} ON ({wrapped[0]}) FROM {table.name}"
        return Cure(
            text=f"Keep statistics of the expression {wrapped[0]}: without them it is guessed.", statements=(made, analyze)
        )
    if len(columns) > 1:
        made = f"CREATE STATISTICS {name} (dependencies, ndistinct, mcv) ON {', '.join(columns)} FROM {table.name}"
        return Cure(text="Keep statistics of these columns together: they depend on each other.", statements=(made, analyze))
    target = columns[0] if columns else None
    if target is None:
        return Cure(text=f"Analyze {table.name}, so that the planner knows what is in it.", statements=(analyze,))
    made = f"ALTER TABLE {table.name} ALTER COLUMN {target} SET STATISTICS 1000"
    return Cure(text=f"Keep finer statistics of {target}.", statements=(made, analyze))


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
                    statements=(_create(table, parts),),
                    operation=_operation(table, parts),
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
                    text=f"Compare {one.column} with a value of its own type, {table.columns[one.column]}: cast the value, not the column."
                )
            else:
                cure = Cure(
                    text=f"An index on the expression {one.wrapped} (its functions must be immutable), or compare the bare column.",
                    statements=(_create(table, [one.wrapped], expression=True),),
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
            statements=(_create(table, parts),),
            operation=_operation(table, parts),
        )
    if likes:
        column = likes[0].column
        made = (
            f"CREATE INDEX CONCURRENTLY {index_name(table, [column, 'trgm'])} ON {table.name} USING gin ({column} gin_trgm_ops)"
        )
        return Cure(
            text=f"A trigram index on {column} serves patterns that begin with a wildcard.",
            statements=("CREATE EXTENSION IF NOT EXISTS pg_trgm", made),
        )
    if equal or ranges:
        return Cure(
            text=f"The index {there} is there and was not used: the planner expected more rows; see to its estimates.",
            statements=(f"ANALYZE {table.name}",),
        )
    return Cure(text="Filter by what an index can serve, or keep what is filtered by in a column of its own and index that.")


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
                statements=(_create(table, parts),),
                operation=_operation(table, parts),
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


def deep_offset(view: View) -> Iterator[Finding]:
    """Rows are made and skipped, the more the deeper the page."""
    for node in view.nodes():
        if node.kind != "Limit" or not node.children:
            continue
        below = node.children[0]
        skipped = below.rows - node.rows
        if skipped < ROWS_MIN or skipped < 2 * node.rows or not view.matters(node.time_ms):
            continue
        yield view.finding(
            "plan_deep_offset",
            node,
            f"{below.rows:,.0f} rows were made to give {node.rows:,.0f}: OFFSET reads all that it skips ({seconds(node.time_ms)}).",
            Cure(
                text="Page by the last row seen: WHERE (order columns) > (their last values) ORDER BY them LIMIT n, with an index in that order."
            ),
            time_ms=node.time_ms,
            about=next((one.relation for one in node.walk() if one.relation), None),
            rows_skipped=skipped,
        )


def heap_fetches(view: View) -> Iterator[Finding]:
    """An index-only scan that had to look into the table."""
    for node in view.nodes():
        fetched = float(node.raw.get("Heap Fetches", 0)) * node.loops
        table = view.table(node)
        if table is None or fetched < ROWS_MIN or fetched < 0.2 * node.rows or not view.matters(node.own_ms):
            continue
        yield view.finding(
            "plan_heap_fetches",
            node,
            f"The index alone would have done, but {fetched:,.0f} of {node.rows:,.0f} rows were looked up in {node.relation}, whose pages are "
            "not marked as all visible.",
            Cure(
                text=f"Vacuum {table.name}, and let autovacuum come more often.", statements=(f"VACUUM (ANALYZE) {table.name}",)
            ),
            heap_fetches=fetched,
        )


def _wasteful(node: PlanNode) -> bool:
    return node.removed >= ROWS_MIN and node.rows <= KEPT_MAX * (node.removed + node.rows)


def _create(table: Table, parts: list[str], *, expression: bool = False) -> str:
    listed = ", ".join(f"({one})" if expression else one for one in parts)
    return f"CREATE INDEX CONCURRENTLY {index_name(table, parts)} ON {table.name} ({listed})"


def _operation(table: Table, parts: list[str]) -> dict[str, object]:
    return {"operation": "create_index", "table": table.name, "columns": parts, "name": index_name(table, parts)}


ROW_RULES: Final[tuple[Callable[[View], Iterator[Finding]], ...]] = (
    misestimate,
    order_by_wrong_index,
    wrapped_column,
    late_filter,
    nested_loop,
    deep_offset,
    heap_fetches,
)
