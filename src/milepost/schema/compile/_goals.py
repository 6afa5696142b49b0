"""A goal's value straight from the activities, for `milepost verify`: what its reader takes from one row of a rollup.

Only the contributions are shared with the fold (`_contributions`). The value is aggregated in one step, not from stored parts;
zone and bucket come from `group_reach` and PostgreSQL's calendar, where the reader goes by `group_span` and its own. The
percentage is left to whoever compares. Whose activities were removed in part is left out: what is kept of them is parts of the rollup,
whose rows are compared anyway.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from milepost.model import Goal, Model, Rollup
from milepost.schema.compile._columns import MOMENT, distinct_of
from milepost.schema.compile._contributions import contributions, literal
from milepost.schema.compile._rollup_table import ACTIVITIES

__all__ = ["recomputed_goal"]


def recomputed_goal(model: Model, goal: Goal) -> str:
    """A SELECT of every group or actor (`entity`, its number), the `value` in the bucket of `now` (NULL: nothing counts
    there), and the `target` as text.

    Parameters: tenant_id, now; low and high, the bounds of the ids that may count.
    """
    whole = model.rollups[goal.rollup]
    rollup = replace(whole, values=(goal.value,))
    by_group = rollup.by == ("group",)
    key, table = ("group_id", "groups") if by_group else ("actor_id", "actor")
    source = contributions(model, rollup, source=ACTIVITIES, where="s.id >= %(low)s AND s.id < %(high)s")
    now = f"%(now)s::timestamptz AT TIME ZONE {literal(model.time_zone)}"
    zones = ""
    if by_group and goal.per in ("hour", "day", "week", "month"):
        now = f"%(now)s::timestamptz AT TIME ZONE coalesce(nullif(z.time_zone, ''), {literal(model.time_zone)})"
        zones = (
            "\n    JOIN milepost.group_reach z ON z.tenant_id = %(tenant_id)s AND z.group_id = s.group_id"
            " AND z.ancestor_id = s.group_id AND z.since <= %(now)s AND z.until > %(now)s"
        )
    attribute = goal.target.removeprefix("group.")
    target = f"e.attributes ->> {literal(attribute)}" if attribute != goal.target else f"{literal(goal.target)}::text"
    return f"""WITH again AS (
    SELECT s.{key} AS entity, {_value(model, rollup)} AS value
    FROM (
{source}
    ) s{zones}
    WHERE {_in_bucket(model, whole, goal, now)}
    GROUP BY 1
)
SELECT e.{key} AS entity, again.value, {target} AS target
FROM milepost.{table} e LEFT JOIN again ON again.entity = e.{key}
WHERE e.tenant_id = %(tenant_id)s AND NOT EXISTS (
    SELECT FROM milepost.residue z WHERE z.tenant_id = e.tenant_id AND z.name = {literal("rollup_" + whole.name)}
        AND z.keys = jsonb_build_object({literal(key)}, e.{key})
)"""


def _value(model: Model, rollup: Rollup) -> str:
    """An aggregate over contributions `s`, in the user's units, rounded as readers are told."""
    (value,) = rollup.values
    if value.function == "count":
        return "count(*)"
    if value.function == "distinct":
        return f"count(DISTINCT s.value_{distinct_of(rollup)[0][0]})"
    measure, scale = f"s.m_{value.arguments[0]}", model.measures()[value.arguments[0]].scale
    unit = f" * {Decimal(1).scaleb(-scale)}" if scale else ""
    match value.function:
        case "sum":
            return f"coalesce(sum({measure}), 0){unit}"
        case "avg":
            return f"round(sum({measure}){unit} / nullif(count({measure}), 0), {scale + 6})"
        case "weighted_avg":
            weight = f"s.m_{value.arguments[1]}"
            weights = f"nullif(sum({weight}) FILTER (WHERE {measure} IS NOT NULL), 0)"
            return f"round(sum({measure}::numeric * {weight}){unit} / {weights}, {scale + 6})"
        case "min" | "max":
            return f"{value.function}({measure}){unit}"
        case "latest":
            return f"(max(ARRAY[{MOMENT}, {measure}]) FILTER (WHERE {measure} IS NOT NULL))[2]{unit}"
        case "share":
            return f"round(count(*) FILTER (WHERE s.passed_0)::numeric / nullif(count({measure}), 0), 6)"
    raise AssertionError("the model's check refuses any other: a goal is a number")


def _in_bucket(model: Model, rollup: Rollup, goal: Goal, now: str) -> str:
    """now: the local time of the goal's group, as SQL."""
    local = "s.hour" if "hour" in rollup.per else "s.day"
    match goal.per:
        case "all":
            return "true"
        case "hour" | "day" | "week" | "month":
            return f"date_trunc('{goal.per}', {local}) = date_trunc('{goal.per}', {now})"
        case name:
            term = model.terms[name]
            return f"{local}::date BETWEEN date '{term.first}' AND date '{term.last}'"
