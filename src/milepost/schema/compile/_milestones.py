"""Milestones: an activity for each percentage of a goal's target that is reached, made in the load that reaches it.

`milestones_GOAL` says which stand: of a group or actor, in a bucket of the goal, with the id of the activity. Which ones stand is a pure
function of the activities and the target: exactly those whose percentage the value has reached. So a load settles the groups and
actors that it touched: what is reached and does not stand yet gets its activity, once; what stands and is not reached any more, after a
retraction or under a higher target, loses it, and gets it again when it is reached again. When it was reached is the moment of the newest
activity that the settling load counted there, and so the one thing that depends on how activities came in.

The id is a hash of goal, group or actor, bucket and percentage at that moment; so is the `key`, without the moment. The activity of a group
is in the group's feed, by the actor `milepost`: whose activity it was that reached it may be private. That of an actor is its own, and private.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from milepost.model import Goal, Model, Value, definition_hash
from milepost.schema.compile._columns import reading_of
from milepost.schema.compile._contributions import contributions, literal
from milepost.schema.compile._rollup_table import ALL_BUCKET, Check

__all__ = ["SYSTEM_ACTOR", "CompiledMilestones", "compile_milestones"]

SYSTEM_ACTOR = "milepost"
# As a target is read: what is no number is none.
NUMBER = "'^-?[0-9]{1,30}([.][0-9]{1,30})?$'"


@dataclass(frozen=True, kw_only=True)
class CompiledMilestones:
    """touch: the delta's groups or actors, by bucket. touch_targets: those of the groups `group_names`, all of their buckets, at the moment
    `at`; None: the target is no group's. settle: what was touched.
    """

    name: str
    table: str
    of: tuple[str, ...]  # verbs
    needs: str  # the rollup's table, which must be complete
    by_group: bool
    definition: str  # when it changes, the milestones are made anew
    ddl: tuple[str, ...]
    temp_ddl: tuple[str, ...]
    touch: str
    touch_targets: str | None
    settle: tuple[str, ...]
    take_away: str  # the activities of all that stands, before the table goes
    verify: tuple[Check, ...]


def compile_milestones(model: Model, goal: Goal) -> CompiledMilestones:
    rollup = model.rollups[goal.rollup]
    by_group = rollup.by == ("group",)
    key = "group_id" if by_group else "actor_id"
    table, touched = f"milepost.milestones_{goal.name}", f"touched_{goal.name}"
    per = f"term:{goal.per}" if goal.per in model.terms else goal.per
    value = f"({reading_of(model, rollup, goal.value)})"
    attribute = goal.target.removeprefix("group.")
    of_group = attribute != goal.target
    text = f"(e.attributes ->> {literal(attribute)})"
    target = f"CASE WHEN {text} ~ {NUMBER} THEN {text}::numeric END" if of_group else f"{goal.target}::numeric"
    percents = f"unnest(ARRAY[{', '.join(map(str, goal.milestones))}]) m (percent)"
    stored = f"t.tenant_id = %(tenant_id)s AND t.per = {literal(per)} AND t.n <> 0"
    entity = f"milepost.{'groups' if by_group else 'actor'} e WHERE e.tenant_id = %(tenant_id)s"
    reached = "now.target > 0 AND now.value * 100 >= now.target * m.percent"
    same = f"o.{key} = now.{key} AND o.bucket = now.bucket"
    filling = (
        f"SELECT FROM milepost.filling f WHERE f.tenant_id = %(tenant_id)s AND f.name = {literal('rollup_' + rollup.name)}"
    )
    words = f"{literal(goal.name + '/')} || now.name || '/' || to_char(now.bucket, 'YYYY-MM-DD\"T\"HH24') || '/' || m.percent"
    # Looked up by index, one group or actor after another: joined, temp tables that nobody analyses would have whole tables read.
    settle = f"""WITH now AS MATERIALIZED (
    SELECT k.{key}, k.bucket, k.at, e.external_id AS name, {value} AS value, {target} AS target
    FROM (SELECT {key}, bucket, max(at) AS at FROM {touched} GROUP BY 1, 2) k
    CROSS JOIN LATERAL (SELECT e.* FROM {entity} AND e.{key} = k.{key} OFFSET 0) e
    LEFT JOIN LATERAL (
        SELECT t.* FROM milepost.rollup_{rollup.name} t WHERE {stored} AND t.{key} = k.{key} AND t.bucket = k.bucket OFFSET 0
    ) t ON true
    WHERE NOT EXISTS ({filling})
), gone AS (
    DELETE FROM {table} o USING now
    WHERE o.tenant_id = %(tenant_id)s AND {same}
      AND NOT EXISTS (SELECT FROM {percents} WHERE m.percent = o.percent AND {reached})
    RETURNING o.id
), taken AS (
    DELETE FROM milepost.activity a WHERE a.tenant_id = %(tenant_id)s AND a.id = ANY (ARRAY(SELECT id FROM gone))
    RETURNING a.id, a.occurred_at, a.actor_id, a.group_id, a.audience, a.verb
), fresh AS (
    INSERT INTO {table} (tenant_id, {key}, bucket, percent, id)
    SELECT %(tenant_id)s, now.{key}, now.bucket, m.percent,
        (left(replace(milepost.id_from(now.at)::text, '-', ''), 16) || '8' || left(md5({words}), 15))::uuid
    FROM now CROSS JOIN {percents}
    WHERE {reached}
    ON CONFLICT (tenant_id, {key}, bucket, percent) DO NOTHING
    RETURNING {key}, bucket, percent, id
), {_who(by_group)}, made AS (
    INSERT INTO milepost.activity
        (tenant_id, id, occurred_at, received_at, actor_id, group_id, audience, verb, source, key, data)
    SELECT %(tenant_id)s, fresh.id, now.at, now(), who.actor_id, {"fresh.group_id, 1" if by_group else "NULL::bigint, 2"}, 'milestone',
        'milepost', {words},
        jsonb_build_object('goal', {literal(goal.name)}, 'percent', m.percent, 'value', now.value, 'target', now.target)
    FROM fresh JOIN now USING ({key}, bucket) JOIN {percents} USING (percent) JOIN who ON {"true" if by_group else "who.actor_id = now.actor_id"}
    RETURNING id, occurred_at, actor_id, group_id, audience, verb
)
INSERT INTO delta (sign, id, occurred_at, actor_id, group_id, audience, verb)
SELECT -1, * FROM taken UNION ALL SELECT 1, * FROM made"""
    dated = replace(rollup, values=(Value(function="last_at", text="last_at"),))
    local = "s.hour" if "hour" in rollup.per else "s.day"
    touch = (
        f"INSERT INTO {touched} ({key}, bucket, at)\nSELECT s.{key}, {_bucket(model, goal, local)}, max(s.occurred_at)\n"
        f"FROM (\n{contributions(model, dated, source='delta')}\n) s\nWHERE {_bucket(model, goal, local)} IS NOT NULL\nGROUP BY 1, 2"
    )
    touch_targets = (
        f"INSERT INTO {touched} ({key}, bucket, at)\nSELECT t.group_id, t.bucket, %(at)s\n"
        f"FROM milepost.groups e JOIN milepost.rollup_{rollup.name} t ON {stored} AND t.group_id = e.group_id\n"
        "WHERE e.tenant_id = %(tenant_id)s AND e.external_id = ANY (%(group_names)s::text[])"
    )
    again = f"""SELECT now.{key}, now.bucket, m.percent
FROM (
    SELECT t.{key}, t.bucket, {value} AS value, {target} AS target
    FROM milepost.rollup_{rollup.name} t JOIN (SELECT * FROM {entity}) e ON e.{key} = t.{key}
    WHERE {stored}
) now CROSS JOIN {percents}
WHERE {reached}"""
    # What stands must have its activity, and an activity must stand.
    own = f"""SELECT coalesce(o.{key}, CASE WHEN a.id IS NOT NULL THEN 0 END) AS {key}, coalesce(o.bucket, a.occurred_at AT TIME ZONE 'UTC') AS bucket,
    coalesce(o.percent, 0) AS percent, o.id IS NOT NULL AND a.id IS NOT NULL AS whole
FROM (SELECT * FROM {table} WHERE tenant_id = %(tenant_id)s) o
FULL JOIN (
    SELECT id, occurred_at FROM milepost.activity
    WHERE tenant_id = %(tenant_id)s AND verb = 'milestone' AND data ->> 'goal' = {literal(goal.name)}
) a USING (id)"""
    verify = (
        f"SELECT jsonb_build_object({literal(key)}, {key}, 'percent', percent) AS keys, {literal(per)} AS per, bucket,\n"
        f"    to_jsonb(own.whole) AS stored, CASE WHEN again.percent IS NOT NULL THEN to_jsonb(true) END AS again\n"
        f"FROM (\n{own}\n) own FULL JOIN (\n{again}\n) again USING ({key}, bucket, percent)\n"
        "WHERE own.whole IS DISTINCT FROM true OR again.percent IS NULL"
    )
    return CompiledMilestones(
        name=goal.name,
        table=table,
        of=rollup.of,
        needs=f"rollup_{rollup.name}",
        by_group=by_group,
        definition=f"{goal} {definition_hash(rollup, model)}",
        ddl=(
            f"CREATE TABLE {table} (\n    tenant_id integer NOT NULL,\n    {key} bigint NOT NULL,\n    bucket timestamp NOT NULL,\n"
            f"    percent integer NOT NULL,\n    id uuid NOT NULL,\n    PRIMARY KEY (tenant_id, {key}, bucket, percent)\n)",
        ),
        temp_ddl=(
            f"CREATE TEMP TABLE IF NOT EXISTS {touched} ({key} bigint NOT NULL, bucket timestamp NOT NULL, at timestamptz NOT NULL)"
            " ON COMMIT DELETE ROWS",
        ),
        touch=touch,
        touch_targets=touch_targets if of_group else None,
        settle=(settle, f"DELETE FROM {touched}"),
        take_away=f"DELETE FROM milepost.activity a USING {table} o WHERE a.tenant_id = o.tenant_id AND a.id = o.id",
        verify=(Check(what="milestones", chunked=False, sql=verify),),
    )


def _who(by_group: bool) -> str:
    """Whose the activities are. milepost's own actor is there from the first milestone of a group on."""
    if not by_group:
        return "who AS (SELECT DISTINCT actor_id FROM fresh)"
    name = literal(SYSTEM_ACTOR)
    known = f"SELECT actor_id FROM milepost.actor WHERE tenant_id = %(tenant_id)s AND external_id = {name}"
    return f"""named AS (
    INSERT INTO milepost.actor (tenant_id, external_id, kind)
    SELECT %(tenant_id)s, {name}, 'system' WHERE EXISTS (SELECT FROM fresh) AND NOT EXISTS ({known})
    RETURNING actor_id
), who AS ({known} UNION ALL SELECT actor_id FROM named)"""


def _bucket(model: Model, goal: Goal, local: str) -> str:
    """The goal's bucket of a local time; NULL: it is outside of the term."""
    match goal.per:
        case "all":
            return ALL_BUCKET
        case "hour" | "day" | "week" | "month":
            return f"date_trunc('{goal.per}', {local})"
        case name:
            term = model.terms[name]
            return (
                f"CASE WHEN {local}::date BETWEEN date '{term.first}' AND date '{term.last}' THEN timestamp '{term.first}' END"
            )
