"""A contribution: what one activity adds to one row of a rollup. This is the one place that says so.

The fold of a batch, the refill of a changed rollup, the repair of a day and `milepost verify` all read contributions made here,
from the delta of a load or from the activity table. Group, ancestors, zone and membership hold as of `occurred_at`.

The SQL has one named parameter, `%(tenant_id)s`. Its rows carry the keys, `sign`, the local wall-clock `hour` or `day`, and the
measures and fields that the values need, under the alias `s`.
"""

from __future__ import annotations

from milepost.model import Model, Rollup
from milepost.schema.compile._columns import distinct_of, key_columns, threshold_units

__all__ = ["MEMBERSHIP", "REACH", "contributions", "literal", "row_of"]

# Where the delta's groups count, and when: each group is looked up once a load, not once an activity and rollup. In tables of their
# own, whose size the planner knows, so that it joins them by hash.
REACH = """INSERT INTO delta_reach
SELECT r.group_id, r.ancestor_id, r.time_zone, r.since, r.until, r.ancestor_id = r.group_id
FROM (
    SELECT group_id FROM delta WHERE group_id IS NOT NULL
    UNION SELECT unnest(more_groups) FROM delta WHERE more_groups IS NOT NULL
) k
JOIN milepost.group_reach r ON r.tenant_id = %(tenant_id)s AND r.group_id = k.group_id"""

# The same for actors: through each group they belong to, while they do.
MEMBERSHIP = """INSERT INTO delta_membership
SELECT k.actor_id, r.ancestor_id, r.time_zone, greatest(m.since, r.since), least(m.until, r.until), r.ancestor_id = r.group_id,
    r.group_id
FROM (SELECT DISTINCT actor_id FROM delta) k
JOIN milepost.member m ON m.tenant_id = %(tenant_id)s AND m.actor_id = k.actor_id
JOIN milepost.group_reach r ON r.tenant_id = %(tenant_id)s AND r.group_id = m.group_id AND r.since < m.until AND m.since < r.until"""


def literal(text: str) -> str:
    """A SQL string literal that is also safe in a query with `%` parameters."""
    return "'" + text.replace("'", "''").replace("%", "%%") + "'"


def contributions(model: Model, rollup: Rollup, *, source: str, where: str = "true") -> str:
    """A SELECT of the rollup's contributions of the activities in `source` (an alias `s` is put on it) that meet `where`."""
    verbs = ", ".join(literal(verb) for verb in rollup.of)
    conditions = [f"s.verb IN ({verbs})", f"({where})"]
    if "object" in rollup.by:
        conditions.append("s.object_id IS NOT NULL")
    condition = " AND ".join(conditions)
    if "group" not in rollup.by:
        zone = literal(model.time_zone)
        return f"SELECT {row_of(model, rollup, zone)}\nFROM {source} s\nWHERE {condition}"

    if source == "delta":
        return _of_delta(model, rollup, condition)
    zone = f"coalesce(nullif(r.time_zone, ''), {literal(model.time_zone)})"
    row = row_of(model, rollup, zone)
    only = "" if rollup.ancestors else " AND r.ancestor_id = r.group_id"
    held = f"s.occurred_at >= r.since AND s.occurred_at < r.until{only}"
    if rollup.belongs == "membership":
        # DISTINCT: an ancestor counts an activity once, even through two of the actor's groups.
        return f"""SELECT {row}
FROM {source} s
CROSS JOIN LATERAL (
    SELECT DISTINCT r.ancestor_id, r.time_zone
    FROM milepost.member m
    JOIN milepost.group_reach r ON r.tenant_id = m.tenant_id AND r.group_id = m.group_id AND {held}
    WHERE m.tenant_id = %(tenant_id)s AND m.actor_id = s.actor_id
      AND s.occurred_at >= m.since AND s.occurred_at < m.until
) r
WHERE {condition}"""
    # Nearly all activities have one group, and need no DISTINCT.
    return f"""SELECT {row}
FROM {source} s
JOIN milepost.group_reach r ON r.tenant_id = %(tenant_id)s AND r.group_id = s.group_id AND {held}
WHERE s.more_groups IS NULL AND {condition}
UNION ALL
SELECT {row}
FROM {source} s
CROSS JOIN LATERAL (
    SELECT DISTINCT r.ancestor_id, r.time_zone
    FROM milepost.group_reach r
    WHERE r.tenant_id = %(tenant_id)s AND r.group_id = ANY (s.group_id || s.more_groups) AND {held}
) r
WHERE s.more_groups IS NOT NULL AND {condition}"""


def _of_delta(model: Model, rollup: Rollup, condition: str) -> str:
    """The same for a load's delta, with the reach of its groups and actors looked up beforehand (`REACH`, `MEMBERSHIP`)."""
    zone = f"coalesce(nullif(r.time_zone, ''), {literal(model.time_zone)})"
    only = "" if rollup.ancestors else " AND r.own"
    held = f"s.occurred_at >= r.since AND s.occurred_at < r.until{only}"
    row = row_of(model, rollup, zone)
    if rollup.belongs == "membership":
        return f"""SELECT {row}
FROM delta s
JOIN (
    SELECT DISTINCT s.sign, s.id, r.ancestor_id, r.time_zone
    FROM delta s JOIN delta_membership r ON r.actor_id = s.actor_id AND {held}
    WHERE {condition}
) r ON r.sign = s.sign AND r.id = s.id"""
    # Several groups are unnested and joined as the one is, by hash: looked for one activity at a time, each read the whole reach
    # (2.4 s a fold for 1,000 activities and 4,000 groups).
    return f"""SELECT {row}
FROM delta s JOIN delta_reach r ON r.group_id = s.group_id AND {held}
WHERE s.more_groups IS NULL AND {condition}
UNION ALL
SELECT DISTINCT ON (s.sign, s.id, r.ancestor_id, r.time_zone) {row}
FROM delta s
CROSS JOIN LATERAL unnest(s.group_id || s.more_groups) k (group_id)
JOIN delta_reach r ON r.group_id = k.group_id AND {held}
WHERE s.more_groups IS NOT NULL AND {condition}"""


def row_of(model: Model, rollup: Rollup, zone: str, keys: tuple[tuple[str, str, str], ...] | None = None) -> str:
    """The columns of a contribution. `sign` is +1, or -1 for what a correction or retraction takes back. keys: as of `key_columns`,
    where they are not those of the rollup."""
    unit = "hour" if "hour" in rollup.per else "day"
    parts = [f"{expression} AS {name}" for name, _, expression in keys or key_columns(model, rollup.by)]
    parts.append(f"date_trunc('{unit}', s.occurred_at AT TIME ZONE {zone}) AS {unit}")
    parts.append("s.sign")
    measures = {
        argument
        for value in rollup.values
        if value.function in ("sum", "avg", "weighted_avg", "min", "max", "latest", "share")
        for argument in value.arguments
    }
    parts += [f"s.m_{measure}" for measure in sorted(measures)]
    for index, value in enumerate(rollup.values):
        if value.function == "share":
            measure = f"s.m_{value.arguments[0]}"
            parts.append(f"{measure} {value.comparison} {threshold_units(model, value)} AS passed_{index}")
    parts += [f"{expression} AS value_{suffix}" for suffix, expression, _ in distinct_of(rollup)]
    if any(value.function in ("latest", "first_at", "last_at") for value in rollup.values):
        parts.append("s.occurred_at")
    return ", ".join(parts)
