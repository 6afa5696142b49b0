"""Reports from a pending list: how much members have open. Each assignment of the groups asked about is looked at once for each member."""

from __future__ import annotations

from milepost.model import ReportValue
from milepost.rollups.read import put_words
from milepost.rollups.reports.asking import Asking, queries
from milepost.schema.compile import due_of, literal

__all__ = ["of_pending"]

VALUES = {
    "count": "count(*)",
    "overdue": "count(*) FILTER (WHERE t.due < %(now)s)",
    "next_due": "min(t.due) FILTER (WHERE t.due >= %(now)s)",
}


def of_pending(asking: Asking) -> str:
    pending = asking.model.pending[asking.report.source]
    roles = f" AND m.role IN ({', '.join(map(literal, pending.roles))})" if pending.roles else ""

    def expression(value: ReportValue) -> str:
        return VALUES[value.function]

    return put_words(
        queries.pending,
        keys=asking.listed,
        values="".join(asking.named(number, expression(value)) for number, value in enumerate(asking.values)),
        due=due_of(pending, "t."),
        name=pending.name,
        roles=roles,
        where=asking.conditions.replace("t.group_id", "m.group_id").replace("t.actor_id", "m.actor_id"),
        group=asking.group,
    )
