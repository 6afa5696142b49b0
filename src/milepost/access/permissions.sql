-- Who may do what, many questions in one statement. Each part that is looked up stands in a LATERAL of its own with a LIMIT, which
-- the planner takes apart no further: so every question is a few look-ups by index, whatever it believes about the rest.

-- name: in_groups
-- Of questions about groups, those whose answer is yes. q.n is a question's number.
SELECT q.n
FROM unnest(%(numbers)s::int[], %(actors)s::text[], %(actions)s::text[], %(targets)s::text[]) q (n, actor, action, target)
CROSS JOIN LATERAL (
    SELECT a.actor_id FROM milepost.actor a
    WHERE a.tenant_id = %(tenant_id)s AND a.external_id = q.actor LIMIT 1) who
CROSS JOIN LATERAL (
    SELECT g.group_id FROM milepost.groups g
    WHERE g.tenant_id = %(tenant_id)s AND g.external_id = q.target LIMIT 1) what
CROSS JOIN LATERAL (
    SELECT FROM milepost.group_reach r
    JOIN milepost.member m ON m.tenant_id = r.tenant_id AND m.group_id = r.ancestor_id AND m.actor_id = who.actor_id
    JOIN milepost.groups o ON o.tenant_id = m.tenant_id AND o.group_id = m.group_id
    WHERE r.tenant_id = %(tenant_id)s AND r.group_id = what.group_id AND r.since <= %(at)s AND r.until > %(at)s
      AND m.since <= %(at)s AND m.until > %(at)s AND {granted}
    LIMIT 1) yes;

-- name: on_activities
-- The same of activities, by public or current id: who may do something in a group that the activity is addressed to, and may see
-- it; to read it, seeing it is enough. r.may_read and r.may_do are of all of its groups together.
SELECT q.n
FROM unnest(%(numbers)s::int[], %(actors)s::text[], %(actions)s::text[], %(targets)s::uuid[]) q (n, actor, action, target)
LEFT JOIN milepost.tombstone t ON t.tenant_id = %(tenant_id)s AND t.id = q.target
CROSS JOIN LATERAL (
    SELECT a.actor_id FROM milepost.actor a
    WHERE a.tenant_id = %(tenant_id)s AND a.external_id = q.actor LIMIT 1) who
CROSS JOIN LATERAL (
    SELECT s.audience, s.actor_id, s.group_id, array_prepend(s.group_id, s.more_groups) AS groups
    FROM {activities} s
    WHERE s.tenant_id = %(tenant_id)s AND s.id = CASE WHEN t.current_id IS NOT NULL THEN t.current_id ELSE q.target END
    LIMIT 1) s
CROSS JOIN LATERAL (
    SELECT COALESCE(bool_or({may_read}), false) AS may_read, COALESCE(bool_or({may_do}), false) AS may_do
    FROM milepost.group_reach r
    JOIN milepost.member m ON m.tenant_id = r.tenant_id AND m.group_id = r.ancestor_id AND m.actor_id = who.actor_id
    JOIN milepost.groups o ON o.tenant_id = m.tenant_id AND o.group_id = m.group_id
    WHERE r.tenant_id = %(tenant_id)s AND r.group_id = ANY (s.groups) AND r.since <= %(at)s AND r.until > %(at)s
      AND m.since <= %(at)s AND m.until > %(at)s) r
WHERE (   s.audience = 0
       OR s.audience = 1 AND r.may_read
       OR s.actor_id = who.actor_id AND (s.audience = 2 OR s.group_id IS NULL))
  AND (q.action = 'read' OR r.may_do);

-- name: archived
-- Activities of the archive, as rows of the table that they were in.
jsonb_populate_recordset(NULL::milepost.activity, %(cold_rows)s)

-- name: permitted
-- A page of who may do something in a group, in the order of their numbers, each with one membership that gives the right to it: in
-- the group itself, if there is one. Of each group in the line, role and reason only as many are read as the page can hold, each
-- from an index of its own: by role, by permissions, and, where being a member is enough, by the primary key.
SELECT p.actor_id, who.external_id, p."group", p.role, p.permissions
FROM (
    SELECT DISTINCT ON (m.actor_id) m.actor_id, o.external_id AS "group", m.role, m.permissions
    FROM (
        SELECT o.group_id, o.external_id, o.kind FROM milepost.group_reach r
        CROSS JOIN LATERAL (
            SELECT g.group_id, g.external_id, g.kind FROM milepost.groups g
            WHERE g.tenant_id = %(tenant_id)s AND g.group_id = r.ancestor_id LIMIT 1) o
        WHERE r.tenant_id = %(tenant_id)s AND r.group_id = %(group_id)s AND r.since <= %(at)s AND r.until > %(at)s
        LIMIT %(levels)s) o
    CROSS JOIN LATERAL (
        SELECT by_role.* FROM unnest(%(kinds)s::text[], %(kind_roles)s::text[]) w (kind, role)
        CROSS JOIN LATERAL (
            SELECT m.actor_id, m.role, m.permissions FROM milepost.member m
            -- Not as equalities: then the order would follow from other indexes as well, which suit all groups but the largest.
            WHERE m.tenant_id = %(tenant_id)s AND m.group_id = o.group_id AND (m.role, m.actor_id) > (w.role, %(after)s)
              AND m.role <= w.role AND m.since <= %(at)s AND m.until > %(at)s
            ORDER BY m.role, m.actor_id LIMIT %(limit)s) by_role
        WHERE w.kind = o.kind
        UNION ALL
        (SELECT m.actor_id, m.role, m.permissions FROM milepost.member m
         WHERE m.tenant_id = %(tenant_id)s AND (m.group_id, m.actor_id) > (o.group_id, %(after)s) AND m.group_id <= o.group_id AND m.permissions <> '{}'
           AND m.since <= %(at)s AND m.until > %(at)s AND {granted}
         ORDER BY m.group_id, m.actor_id LIMIT %(limit)s)
        {members}
    ) m
    ORDER BY m.actor_id, o.group_id <> %(group_id)s, o.external_id
    LIMIT %(limit)s
) p
CROSS JOIN LATERAL (
    SELECT a.external_id FROM milepost.actor a WHERE a.tenant_id = %(tenant_id)s AND a.actor_id = p.actor_id LIMIT 1) who
ORDER BY p.actor_id;

-- name: members
-- The part of `permitted` that is for reading alone: where a kind has no roles, being a member is enough.
UNION ALL
(SELECT m.actor_id, m.role, m.permissions FROM milepost.member m
 WHERE m.tenant_id = %(tenant_id)s AND (m.group_id, m.actor_id) > (o.group_id, %(after)s) AND m.group_id <= o.group_id
   AND m.since <= %(at)s AND m.until > %(at)s
   AND (o.kind IS NULL OR o.kind <> ALL (%(kinds_with_roles)s::text[]))
 ORDER BY m.group_id, m.actor_id LIMIT %(limit)s);
