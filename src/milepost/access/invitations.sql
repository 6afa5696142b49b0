-- Reading invitations. One whose time is over is expired without anybody having said so.

-- name: get_invitation
-- One of them.
SELECT g.external_id, a.external_id, i.role, i.permissions,
       CASE WHEN i.state = 'open' AND i.expires_at <= %(now)s THEN 'expired' ELSE i.state END,
       i.invited_by, i.invited_at, i.expires_at, i.decided_at
FROM milepost.groups g
JOIN milepost.actor a ON a.tenant_id = g.tenant_id AND a.external_id = %(actor)s
JOIN milepost.invitation i ON i.tenant_id = g.tenant_id AND i.group_id = g.group_id AND i.actor_id = a.actor_id
WHERE g.tenant_id = %(tenant_id)s AND g.external_id = %(group)s;

-- name: of_group
-- A page of those to a group.
SELECT s.* FROM (
    SELECT g.external_id AS "group", a.external_id AS actor, i.role, i.permissions,
           CASE WHEN i.state = 'open' AND i.expires_at <= %(now)s THEN 'expired' ELSE i.state END AS state,
           i.invited_by, i.invited_at, i.expires_at, i.decided_at
    FROM milepost.groups g
    JOIN milepost.invitation i ON i.tenant_id = g.tenant_id AND i.group_id = g.group_id
    JOIN milepost.actor a ON a.tenant_id = i.tenant_id AND a.actor_id = i.actor_id
    WHERE g.tenant_id = %(tenant_id)s AND g.external_id = %(id)s AND a.external_id > %(after)s
) s
WHERE %(state)s::text IS NULL OR s.state = %(state)s
ORDER BY s.actor
LIMIT %(limit)s;

-- name: of_actor
-- A page of those of an actor.
SELECT s.* FROM (
    SELECT g.external_id AS "group", a.external_id AS actor, i.role, i.permissions,
           CASE WHEN i.state = 'open' AND i.expires_at <= %(now)s THEN 'expired' ELSE i.state END AS state,
           i.invited_by, i.invited_at, i.expires_at, i.decided_at
    FROM milepost.actor a
    JOIN milepost.invitation i ON i.tenant_id = a.tenant_id AND i.actor_id = a.actor_id
    JOIN milepost.groups g ON g.tenant_id = i.tenant_id AND g.group_id = i.group_id
    WHERE a.tenant_id = %(tenant_id)s AND a.external_id = %(id)s AND g.external_id > %(after)s
) s
WHERE %(state)s::text IS NULL OR s.state = %(state)s
ORDER BY s."group"
LIMIT %(limit)s;
