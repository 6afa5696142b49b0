"""Rules about memory, triggers, compiling, planning, workers and subplans."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from milepost.doctor.finding import Cure, Finding
from milepost.doctor.plans._view import STATEMENT, View, seconds
from milepost.doctor.plans.node import PlanNode

__all__ = ["RULES"]

KIB = 1024
PAGE_KIB = 8
SORT_ROOM = 2.5  # rows in memory take more than on disk
SORTED_MIN = 10_000  # rows
SUBPLAN_LOOPS_MIN = 1_000
PLANNING_MS_MIN = 25.0  # below, a machine that was busy elsewhere may be the reason
PARTITIONS_MIN = 8


def spill(view: View) -> Iterator[Finding]:
    """A sort or hash that did not fit into work_mem."""
    for node in view.nodes():
        spilled_kib, wanted_kib = _spilled(node)
        if not spilled_kib or not view.matters(node.own_ms):
            continue
        mib = max(1, -(-int(wanted_kib) // KIB))
        yield view.finding(
            "plan_spill",
            node,
            f"{node.kind} did not fit into work_mem and wrote {spilled_kib / KIB:,.1f} MB to disk ({seconds(node.own_ms)}).",
            Cure(
                text=f"Give this statement about {mib} MB of work_mem (its transaction alone: SET LOCAL), or an index in the order it sorts by.",
                statements=(f"SET LOCAL work_mem = '{mib}MB'",),
                by_hand=STATEMENT,
            ),
            about=node.kind,
            spilled_kib=spilled_kib,
            work_mem_kib=mib * KIB,
        )


def _spilled(node: PlanNode) -> tuple[float, float]:
    """How many KiB went to disk, and about how many would have been needed in memory."""
    raw = node.raw
    if raw.get("Sort Space Type") == "Disk":
        used = float(raw["Sort Space Used"])
        return used, used * SORT_ROOM
    if raw.get("Hash Batches", 1) > 1:
        peak = float(raw["Peak Memory Usage"])
        return max(peak, float(raw.get("Temp Written Blocks", 0)) * PAGE_KIB), peak * float(raw["Hash Batches"]) * 1.2
    if raw.get("Disk Usage", 0) > 0:
        return float(raw["Disk Usage"]), float(raw["Disk Usage"]) * SORT_ROOM + float(raw.get("Peak Memory Usage", 0))
    return 0.0, 0.0


def lossy_bitmap(view: View) -> Iterator[Finding]:
    """A bitmap that remembers whole pages, whose rows are all checked again."""
    for node in view.nodes():
        lossy, exact = float(node.raw.get("Lossy Heap Blocks", 0)), float(node.raw.get("Exact Heap Blocks", 0))
        if lossy == 0 or not view.matters(node.own_ms):
            continue
        checked = float(node.raw.get("Rows Removed by Index Recheck", 0)) * node.loops
        # A page takes some 64 bytes in a bitmap of tuples.
        mib = max(1, -(-int((lossy + exact) * 64 * 2) // (KIB * KIB)))
        yield view.finding(
            "plan_lossy_bitmap",
            node,
            f"The bitmap over {node.relation} outgrew work_mem: {lossy:,.0f} of {lossy + exact:,.0f} pages were kept as a whole, and "
            f"{checked:,.0f} rows checked in vain.",
            Cure(
                text=f"Give this statement about {mib} MB of work_mem.",
                statements=(f"SET LOCAL work_mem = '{mib}MB'",),
                by_hand=STATEMENT,
            ),
            lossy_pages=lossy,
            rows_rechecked=checked,
        )


def sort_without_index(view: View) -> Iterator[Finding]:
    """All is read and sorted for its first few rows."""
    for node in view.nodes():
        method = str(node.raw.get("Sort Method", ""))
        below = node.children[0] if node.children else node
        if node.kind != "Sort" or method != "top-N heapsort" or below.rows < SORTED_MIN or not view.matters(node.time_ms):
            continue
        scan = below if below.relation is not None else None
        table = view.table(scan) if scan is not None else None
        if scan is None or table is None:
            continue
        keys = [str(key).replace(f"{scan.raw['Alias']}.", "") for key in node.raw["Sort Key"]]
        order = ", ".join(keys)
        yield view.finding(
            "plan_sort_without_index",
            node,
            f"{below.rows:,.0f} rows of {scan.relation} were read and sorted by {order} for the first {node.rows:,.0f} ({seconds(node.time_ms)}).",
            Cure(
                text=f"An index in the order {order}: reading begins at its end and stops after the rows wanted.",
                statements=(f"CREATE INDEX CONCURRENTLY ON {table.name} ({order})",),
                operation={"operation": "create_index", "table": table.name, "columns": keys},
            ),
            time_ms=node.time_ms,
            about=scan.relation,
            rows_sorted=below.rows,
        )


def trigger_time(view: View) -> Iterator[Finding]:
    """What the statement itself does not show."""
    for one in view.explained.plan.triggers:
        if not view.matters(one.time_ms):
            continue
        if one.constraint is not None:
            cure = Cure(
                text=f"Index the columns that refer through {one.constraint}: each row deleted or changed looks for rows that refer to it.",
                by_hand="The plan does not name those columns; `milepost doctor check` has a finding that does.",
            )
        else:
            cure = Cure(
                text=f"Ask `milepost doctor triggers --measure` what {one.name} costs, and what could take its place.",
                by_hand="What could take its place is for those findings to say.",
            )
        yield view.finding(
            "plan_trigger_time",
            view.explained.plan.root,
            f"{one.constraint or one.name} on {one.relation} ran {one.calls:,} times and took {seconds(one.time_ms)} of {seconds(view.total_ms)}.",
            cure,
            time_ms=one.time_ms,
            about=f"{one.relation}.{one.constraint or one.name}",
            calls=one.calls,
        )


def subplan_loops(view: View) -> Iterator[Finding]:
    """A query within the query, run once for each row."""
    for node in view.nodes():
        if node.raw.get("Parent Relationship") != "SubPlan" or node.loops < SUBPLAN_LOOPS_MIN or not view.matters(node.time_ms):
            continue
        yield view.finding(
            "plan_subplan_loops",
            node,
            f"{node.raw.get('Subplan Name', 'A subquery')} was run {node.loops:,} times, once for each row ({seconds(node.time_ms)}).",
            Cure(
                text="Join with the subquery grouped by what it is correlated with, or join LATERAL with an index that serves one round.",
                by_hand=STATEMENT,
            ),
            time_ms=node.time_ms,
            about=next((one.relation for one in node.walk() if one.relation), None),
            loops=node.loops,
        )


def unpruned_partitions(view: View) -> Iterator[Finding]:
    """Most partitions gave nothing."""
    for node in view.nodes():
        read = [one for one in node.children if one.executed]
        empty = [one for one in read if one.rows == 0]
        if node.kind not in ("Append", "Merge Append") or len(read) < PARTITIONS_MIN or len(empty) < 0.75 * len(read):
            continue
        spent = sum(one.time_ms for one in empty)
        if view.matters(spent):
            yield view.finding(
                "plan_partitions_not_pruned",
                node,
                f"{len(empty)} of {len(read)} partitions were read for nothing ({seconds(spent)}).",
                Cure(
                    text="State a bound on the partition key itself, in its own type, so that the others are left out.",
                    by_hand=STATEMENT,
                ),
                time_ms=spent,
                about=next((one.relation for one in node.walk() if one.relation), None),
                partitions=len(read),
                empty=len(empty),
            )


def compiling(view: View) -> Iterator[Finding]:
    """JIT that does not pay."""
    plan = view.explained.plan
    if plan.jit_ms and plan.share(plan.jit_ms) >= 0.3 and view.matters(plan.jit_ms):
        yield view.finding(
            "plan_jit",
            plan.root,
            f"Compiling the plan (JIT) took {seconds(plan.jit_ms)} of {seconds(view.total_ms)}.",
            Cure(
                text="Turn JIT off for statements like this one, or raise jit_above_cost.",
                statements=("SET jit = off",),
                by_hand="It is set in the sessions of such statements alone.",
            ),
            time_ms=plan.jit_ms,
            about="jit",
        )


def planning(view: View) -> Iterator[Finding]:
    """Planning that takes longer than running."""
    plan = view.explained.plan
    if (
        plan.planning_ms is not None
        and plan.execution_ms is not None
        and plan.planning_ms >= max(PLANNING_MS_MIN, plan.execution_ms)
    ):
        yield view.finding(
            "plan_planning_time",
            plan.root,
            f"Planning took {seconds(plan.planning_ms)}, running {seconds(plan.execution_ms)}.",
            Cure(
                text="Prepare the statement, so that it is planned once; many partitions, joins or indexes make planning long.",
                by_hand=STATEMENT,
            ),
            time_ms=0.0,
            about="planning",
            planning_ms=plan.planning_ms,
        )


def missing_workers(view: View) -> Iterator[Finding]:
    """A parallel plan that did not get its workers."""
    for node in view.nodes():
        planned, launched = int(node.raw.get("Workers Planned", 0)), int(node.raw.get("Workers Launched", 0))
        if launched < planned and view.matters(node.time_ms):
            yield view.finding(
                "plan_missing_workers",
                node,
                f"{planned} workers were planned and {launched} came: others have them.",
                Cure(
                    text="Raise max_parallel_workers (and max_worker_processes), or let fewer statements run in parallel.",
                    by_hand="How many cores are to spare is for a person to say.",
                ),
                time_ms=node.time_ms,
                about="workers",
                planned=planned,
                launched=launched,
            )


RULES: Final[tuple[Callable[[View], Iterator[Finding]], ...]] = (
    spill,
    lossy_bitmap,
    sort_without_index,
    trigger_time,
    subplan_loops,
    unpruned_partitions,
    compiling,
    planning,
    missing_workers,
)
