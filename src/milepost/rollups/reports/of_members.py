"""Reports from memberships: the groups that an actor is in, or the members of a group, with rows of rollups beside each.

"My studies, with statistics" is one of these, and so is the list of a class with everybody's grades. Memberships are those of now, in
the order in which groups and actors came to be known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from milepost.model import Model, Report, ReportValue
from milepost.postgres import Connection
from milepost.rollups.read import RollupPage, put_words, shown_number
from milepost.rollups.reports.asking import queries
from milepost.schema.compile import reading_of

__all__ = ["read_members"]

ORDER = ("group_id", "actor_id")


async def read_members(
    conn: Connection,
    model: Model,
    report: Report,
    values: Sequence[ReportValue],
    *,
    conditions: str,
    parameters: dict[str, Any],
    limit: int,
    after: bytes | None,
) -> RollupPage:
    """conditions: on memberships as `t`. parameters: theirs, and `tenant_id` and `now`. after: the `next` of the page before."""
    # What is asked for is the same in every row: the order is by the other, which an index has.
    order = ", ".join(f"t.{name}" for name in ORDER if name not in parameters) or "t.group_id"
    if after is not None:
        passed = dict(zip(("after_group", "after_actor"), msgspec.json.decode(after), strict=True))
        parameters |= passed
        conditions += " AND (t.group_id, t.actor_id) > (%(after_group)s, %(after_actor)s)"
    statement = put_words(
        queries.members,
        values="".join(f", {_value(model, value)}" for value in values),
        where=conditions,
        order=order,
        rows=str(limit + 1),
    )
    rows = await (await conn.execute(statement, parameters)).fetchall()
    items = []
    for row in rows[:limit]:
        keys = {"group": row[2], "actor": row[3]}
        shown = {value.text: _shown(value, number) for value, number in zip(values, row[4:], strict=True)}
        items.append({"keys": {key: keys[key] for key in report.by or keys}, "values": shown})
    position = msgspec.json.encode(list(rows[limit - 1][:2])) if len(rows) > limit else None
    return RollupPage(items=items, next=position)


def _shown(value: ReportValue, number: Any) -> Any:
    if number is None and value.function in ("count", "sum", "distinct") and value.passes is None:
        return 0
    return shown_number(number)


def _value(model: Model, value: ReportValue) -> str:
    if value.rollup is None:
        match value.function:
            case "members":
                expression = put_words(queries.member_count, group_id="m.group_id")
            case "since":
                return "nullif(nullif(m.since, '-infinity'), 'infinity')"
            case "count":
                expression = "1"
            case word:  # role, permissions
                return f"m.{word}"
    else:
        rollup = model.rollups[value.rollup]
        kept = next(one for one in rollup.values if one.text == value.plain)
        keys = "".join(f" AND t.{key}_id = m.{key}_id" for key in rollup.by)
        expression = put_words(queries.of_membership, value=reading_of(model, rollup, kept), rollup=rollup.name, keys=keys)
    return expression if value.passes is None else f"({expression}) {value.passes[0]} {value.passes[1]}"
