"""Which activities are due: what the model's `keep` says may leave PostgreSQL for the archive at a moment.

Each activity falls under one entry (`milepost.storage.policies`); what falls under none stays, and so does what a legal hold covers. By `last change` an activity is as old as what came last of its object, and as the last time that it was received or corrected;
so what is still worked on stays together.

What is due is due only in a partition all of whose time is past: `border` is the time before which any policy lets go.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from milepost.activity import id_from
from milepost.model import Keep, Model
from milepost.postgres import Connection, load_queries
from milepost.storage.policies import HELD, Selection, selections

__all__ = ["Due", "due_at"]

queries = load_queries(__package__, "due.sql")

_POLICY: LiteralString = "({selected} AND s.id < %(before_{n})s{more})"
_CHANGED: LiteralString = (
    " AND s.received_at < %(at_{n})s AND (s.object_id IS NULL OR NOT EXISTS ("
    "SELECT FROM milepost.activity o WHERE o.tenant_id = s.tenant_id AND o.object_kind = s.object_kind"
    " AND o.object_id = s.object_id AND o.id >= %(before_{n})s))"
)


@dataclass(frozen=True, kw_only=True)
class Due:
    """condition: on activities `s`, with these parameters. border: nothing from it on is due."""

    condition: LiteralString
    parameters: dict[str, Any]
    border: datetime

    def unless(self, *conditions: LiteralString, **parameters: Any) -> Due:
        """Less what meets one of these conditions."""
        held = "".join(f" AND NOT ({one})" for one in conditions)
        return Due(condition=f"({self.condition}){held}", parameters={**self.parameters, **parameters}, border=self.border)


async def due_at(conn: Connection, model: Model, now: datetime) -> Due | None:
    """None: no policy archives anything."""
    policies = [keep for keep in model.keep.values() if keep.archive is not None]
    if not policies:
        return None
    rows = await (await conn.execute(queries.before, {"now": now, "ages": [keep.hot for keep in policies]})).fetchall()
    moments = [row[0] for row in rows]
    selected = selections(model)
    conditions: list[LiteralString] = []
    parameters: dict[str, Any] = {}
    for number, (keep, moment) in enumerate(zip(policies, moments, strict=True)):
        parameters |= {f"before_{number}": id_from(moment), f"at_{number}": moment, **selected[keep.name].parameters}
        conditions.append(_condition(keep, selected[keep.name], number))
    return Due(condition=" OR ".join(conditions), parameters=parameters, border=max(moments)).unless(HELD)


def _condition(keep: Keep, selection: Selection, number: int) -> LiteralString:
    more = _CHANGED if keep.age == "last change" else ""
    policy = _POLICY.replace("{more}", more).replace("{n}", str(number))
    return policy.replace("{selected}", selection.condition)
