-- name: part
-- One list: of each group that the actor is in now, the first that are not done, in the order of the index on due dates. What the actor
-- has done is read once, into a hash: looked up one at a time, the first page of a diligent student a year into a class took seven
-- times as long. {rows} is written out, so that the planner knows it.
SELECT nullif({due}, 'infinity') AS due, t.id, t.group_id, '{name}'::text AS list, t.occurred_at, t.object_kind, t.object_id
FROM (
    SELECT DISTINCT m.group_id FROM milepost.member m
    WHERE m.tenant_id = %(tenant_id)s AND m.actor_id = %(actor_id)s AND m.since <= %(now)s AND m.until > %(now)s
      AND ({anybody} OR m.role = ANY ({roles}::text[]))
      AND (%(groups)s::bigint[] IS NULL OR m.group_id = ANY (%(groups)s))
) m
CROSS JOIN LATERAL (
    SELECT t.* FROM milepost.given_{name} t
    WHERE t.tenant_id = %(tenant_id)s AND t.group_id = m.group_id{after}
      AND (t.object_kind, t.object_id) NOT IN (
          SELECT d.object_kind, d.object_id FROM milepost.done_{name} d
          WHERE d.tenant_id = %(tenant_id)s AND d.actor_id = %(actor_id)s)
    ORDER BY {due}, t.id
    LIMIT {rows}
) t

-- name: page
-- All lists together, the first due first; names are looked up after the LIMIT.
SELECT p.due, p.id, p.group_id, p.list, p.occurred_at, p.object_kind, p.object_id, g.external_id
FROM (
    SELECT * FROM (
{parts}
    ) p
    ORDER BY coalesce(p.due, 'infinity'), p.id, p.group_id, p.list
    LIMIT {rows}
) p
JOIN milepost.groups g ON g.tenant_id = %(tenant_id)s AND g.group_id = p.group_id
ORDER BY coalesce(p.due, 'infinity'), p.id, p.group_id, p.list

-- name: groups_of
-- The groups that an actor is in now, some few.
SELECT DISTINCT group_id FROM milepost.member
WHERE tenant_id = %(tenant_id)s AND actor_id = %(actor_id)s AND since <= %(now)s AND until > %(now)s
