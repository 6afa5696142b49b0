-- name: intern_actors
-- The numbers of these actors, each looked up once; those not seen before get theirs here. The scalar sub-select keeps it a look-up by
-- index: a join would read the whole table of a large tenant. Only this lane's loader adds names of this tenant.
WITH found AS MATERIALIZED (
    SELECT s.name, (
        SELECT a.actor_id FROM milepost.actor a WHERE a.tenant_id = %(tenant_id)s AND a.external_id = s.name
    ) AS actor_id
    FROM unnest(%(names)s::text[]) s (name)
), fresh AS (
    INSERT INTO milepost.actor (tenant_id, external_id)
    SELECT %(tenant_id)s, name FROM found WHERE actor_id IS NULL ORDER BY name
    RETURNING external_id, actor_id
)
SELECT name, actor_id FROM found WHERE actor_id IS NOT NULL UNION ALL SELECT external_id, actor_id FROM fresh

-- name: intern_groups
-- The same for groups. A new one reaches itself, always, in the model's zone, until it is declared.
WITH found AS MATERIALIZED (
    SELECT s.name, (
        SELECT g.group_id FROM milepost.groups g WHERE g.tenant_id = %(tenant_id)s AND g.external_id = s.name
    ) AS group_id
    FROM unnest(%(names)s::text[]) s (name)
), fresh AS (
    INSERT INTO milepost.groups (tenant_id, external_id)
    SELECT %(tenant_id)s, name FROM found WHERE group_id IS NULL ORDER BY name
    RETURNING external_id, group_id
), reach AS (
    INSERT INTO milepost.group_reach (tenant_id, group_id, since, until, ancestor_id, time_zone)
    SELECT %(tenant_id)s, group_id, '-infinity', 'infinity', group_id, '' FROM fresh
)
SELECT name, group_id FROM found WHERE group_id IS NOT NULL UNION ALL SELECT external_id, group_id FROM fresh

-- name: note_erased
-- Whose names were erased before: what they did until then stays out. Where a tenant has erased nobody, no name is looked at.
INSERT INTO milepost.erased_actor (tenant_id, actor_id, until)
SELECT e.tenant_id, a.actor_id, max(e.until)
FROM milepost.actor a JOIN milepost.erasure e ON e.tenant_id = a.tenant_id AND e.subject = milepost.subject_of(a.tenant_id, a.external_id)
WHERE a.tenant_id = %(tenant_id)s AND a.external_id = ANY (%(names)s::text[])
    AND (SELECT EXISTS (SELECT FROM milepost.erasure o WHERE o.tenant_id = %(tenant_id)s))
GROUP BY 1, 2
ON CONFLICT (tenant_id, actor_id) DO UPDATE SET until = greatest(erased_actor.until, excluded.until)
