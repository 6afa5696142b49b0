"""A plan for a person: a tree, each step with its time, rows, estimate and pages, then the findings below it."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from milepost.doctor import Finding, Severity
from milepost.doctor.plans import Explained, Plan, PlanNode

__all__ = ["print_explained", "print_findings"]

COLOURS = {"critical": "bold red", "warning": "yellow", "notice": "cyan"}
CONDITIONS = ("Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond", "Join Filter", "Filter")
PIPED_WIDTH = 240  # columns, where there is no terminal to fit
HOT_SHARE = 0.25  # of the time, from which a step stands out
ALIKE_MAX = 3  # of the same shape below one step: those that took longest


def print_explained(explained: Explained, found: tuple[Finding, ...]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPED_WIDTH)
    plan = explained.plan
    marked: dict[int | None, Severity] = {one.evidence.get("node"): one.severity for one in reversed(found)}
    console.print(_tree(plan, plan.root, marked))
    for one in explained.parameters:
        console.print(f"[dim]${one.number} = {escape(one.value)} ({one.type}; {one.source})[/dim]")
    if explained.generic:
        console.print("[dim]The generic plan: nothing says which values its parameters have, so it was not run.[/dim]")
    elif plan.execution_ms is None:
        console.print("[dim]Planned, not run. --analyze runs it, and rolls back.[/dim]")
    else:
        console.print(f"planned in {plan.planning_ms or 0:.1f} ms, run in {plan.execution_ms:.1f} ms")
    print_findings(console, found, nothing="Nothing stands out.")


def print_findings(console: Console, found: tuple[Finding, ...], *, nothing: str) -> None:
    if not found:
        console.print(f"\n{nothing}")
    for one in found:
        place = f" (step {one.evidence['node']})" if "node" in one.evidence else ""
        console.print(f"\n[{COLOURS[one.severity]}]{one.severity}[/] {escape(one.object)}{place}: {escape(one.detail)}")
        console.print(f"  cure: {escape(one.cure.text)}")
        for statement in one.cure.statements:
            console.print(f"    [bold]{escape(statement)};[/bold]")


def _tree(plan: Plan, node: PlanNode, marked: dict[int | None, Severity]) -> Tree:
    tree = Tree(_line(plan, node, marked.get(node.number)))
    for name in CONDITIONS:
        if name in node.raw:
            removed = f" [dim]({node.removed:,.0f} rows thrown away)[/dim]" if name == "Filter" and node.removed else ""
            tree.add(f"[dim]{name.lower()}[/dim] {escape(str(node.raw[name]))}{removed}")
    shown, left_out = _shown(node, marked)
    for child in shown:
        tree.children.append(_tree(plan, child, marked))
    if left_out:
        tree.add(f"[dim]{_summary(plan, left_out)}[/dim]")
    return tree


def _shown(node: PlanNode, marked: dict[int | None, Severity]) -> tuple[list[PlanNode], list[PlanNode]]:
    """The children to show, in order, and those that a line stands for: partitions that are read as others are, in little time."""
    shown: list[PlanNode] = []
    left_out: list[PlanNode] = []
    alike: dict[object, list[PlanNode]] = {}
    for child in node.children:
        alike.setdefault(_shape(child), []).append(child)
    for same in alike.values():
        slowest = {one.number for one in sorted(same, key=lambda one: (-one.time_ms, one.number))[:ALIKE_MAX]}
        for one in same:
            keep = len(same) <= ALIKE_MAX + 1 or one.number in slowest or any(below.number in marked for below in one.walk())
            (shown if keep else left_out).append(one)
    return sorted(shown, key=lambda one: one.number), left_out


def _shape(node: PlanNode) -> object:
    """Equal for partitions of one table that are read in one way: the conditions are the same but for the alias."""
    alias = f"{node.raw.get('Alias', '')}."
    conditions = tuple(str(node.raw[name]).replace(alias, "") for name in CONDITIONS if name in node.raw)
    return (node.kind, node.executed, conditions, tuple(_shape(child) for child in node.children))


def _summary(plan: Plan, nodes: list[PlanNode]) -> str:
    text = f"{len(nodes)} more like these"
    if plan.execution_ms is None:
        return text
    time_ms, rows, pages = sum(one.time_ms for one in nodes), sum(one.rows for one in nodes), sum(one.pages for one in nodes)
    return f"{text}: {time_ms:,.1f} ms, {rows:,.0f} rows, {pages:,} pages"


def _line(plan: Plan, node: PlanNode, severity: Severity | None) -> str:
    raw = node.raw
    what = " ".join(filter(None, (raw.get("Operation"), raw["Node Type"] if raw["Node Type"] != "ModifyTable" else None)))
    name = f"{node.number} {what}"
    if "Index Name" in raw:
        name += f" by {raw['Index Name']}"
    if node.relation is not None:
        name += f" on {node.relation}"
    if "Sort Key" in raw:
        name += f" by {', '.join(raw['Sort Key'])}"
    name = escape(name)
    if severity is not None:
        name = f"[{COLOURS[severity]}]{name}[/]"
    if plan.execution_ms is None:
        return f"{name}  {node.rows_planned:,.0f} rows expected, cost {raw['Total Cost']:,.0f}"
    if not node.executed:
        return f"{name}  [dim]never run[/dim]"
    share = plan.share(node.own_ms)
    time = f"{node.time_ms:,.1f} ms (own {node.own_ms:,.1f}, {share:.0%})"
    if share >= HOT_SHARE:
        time = f"[bold]{time}[/bold]"
    loops = f" in {node.loops:,} loops" if node.loops > 1 else ""
    return f"{name}  {time}, {node.rows:,.0f} rows{loops} ({node.rows_planned:,.0f} expected), {node.pages:,} pages"
