"""Which activities are due: what the model's `keep` says may leave PostgreSQL for the archive at a moment.

Each verb has one policy: the one that names it, else `default`; a verb without any stays. Milestones stay: they stand as long as they are
reached. By `last change` an activity is as old as what came last of its object, and as the last time that it was received or corrected;
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

__all__ = ["Due", "due_at"]

queries = load_queries(__package__, "due.sql")

_POLICY: LiteralString = "({verbs} AND s.id < %(before_{n})s{more})"
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
    named = sorted({verb for keep in model.keep.values() for verb in keep.of})
    conditions: list[LiteralString] = []
    parameters: dict[str, Any] = {"named": [*named, "milestone"]}
    for number, (keep, moment) in enumerate(zip(policies, moments, strict=True)):
        parameters |= {f"before_{number}": id_from(moment), f"at_{number}": moment, f"verbs_{number}": list(keep.of)}
        conditions.append(_condition(keep, number))
    return Due(condition=" OR ".join(conditions), parameters=parameters, border=max(moments))


def _condition(keep: Keep, number: int) -> LiteralString:
    n = str(number)
    verbs: LiteralString = "s.verb = ANY (%(verbs_{n})s)" if keep.of else "s.verb <> ALL (%(named)s)"
    more = _CHANGED if keep.age == "last change" else ""
    return _POLICY.replace("{verbs}", verbs).replace("{more}", more).replace("{n}", n)
