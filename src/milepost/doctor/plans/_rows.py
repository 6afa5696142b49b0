"""All rules about rows, and those about rows that are skipped or fetched one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from milepost.doctor.finding import Cure, Finding
from milepost.doctor.plans._estimates import misestimate, nested_loop
from milepost.doctor.plans._filters import late_filter, order_by_wrong_index, wrapped_column
from milepost.doctor.plans._view import ROWS_MIN, STATEMENT, View, seconds

__all__ = ["ROW_RULES"]


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
                text="Page by the last row seen: WHERE (order columns) > (their last values) ORDER BY them LIMIT n, with an index in that order.",
                by_hand=STATEMENT,
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
                text=f"Vacuum {table.name}, and let autovacuum come more often.",
                statements=(f"VACUUM (ANALYZE) {table.name}",),
                operation={"operation": "vacuum", "table": table.name},
            ),
            heap_fetches=fetched,
        )


# The first one that sees an object speaks of it.
ROW_RULES: Final[tuple[Callable[[View], Iterator[Finding]], ...]] = (
    misestimate,
    order_by_wrong_index,
    wrapped_column,
    late_filter,
    nested_loop,
    deep_offset,
    heap_fetches,
)
