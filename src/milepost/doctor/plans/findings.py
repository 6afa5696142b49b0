"""What is wrong with a plan, in words, each with a cure; the rules are in `_rules` and `_rows`.

A rule speaks only of what took time: 1 ms and a twentieth of the whole at least, so that a quick statement has no findings. How
severe one is says how much of the time its node took.
"""

from __future__ import annotations

from milepost.doctor.finding import SEVERITIES, Finding
from milepost.doctor.plans._rows import ROW_RULES
from milepost.doctor.plans._rules import RULES
from milepost.doctor.plans._tables import read_tables
from milepost.doctor.plans._view import View
from milepost.doctor.plans.explain import Explained
from milepost.doctor.target import Target

__all__ = ["findings"]


async def findings(target: Target, explained: Explained) -> tuple[Finding, ...]:
    """The worst first, then the longest. Nothing is found in a plan that was not run, except what it says of itself."""
    names = {node.relation for node in explained.plan.root.walk() if node.relation is not None}
    async with target.reading() as connection:
        tables = await read_tables(connection, sorted(names))
    view = View(explained=explained, tables=tables)
    found = [one for rule in (*ROW_RULES, *RULES) for one in rule(view)]
    first = {one.id: one for one in reversed(found)}  # one for each object, by the first rule that sees it
    return tuple(sorted(first.values(), key=lambda one: (SEVERITIES.index(one.severity), -one.evidence.get("own_ms", 0))))
