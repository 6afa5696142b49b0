-- Reading groups and members. Lists are read in the order of ids, from after the last one seen. {readable}: what the viewer may read.

-- name: get_group
-- One group as it is at a moment: its parent and zone are those of then.
SELECT g.external_id, g.kind, g.name, p.external_id AS parent, s.time_zone, g.status, g.attributes::text, g.changed_at
FROM milepost.groups g
LEFT JOIN milepost.group_span s
  ON s.tenant_id = g.tenant_id AND s.group_id = g.group_id AND s.since <= %(at)s AND s.until > %(at)s
LEFT JOIN milepost.groups p ON p.tenant_id = s.tenant_id AND p.group_id = s.parent_id
WHERE g.tenant_id = %(tenant_id)s AND g.external_id = %(id)s AND {readable};

-- name: list_groups
-- A page of groups as they are at a moment, by what they must be.
SELECT g.external_id, g.kind, g.name, p.external_id AS parent, s.time_zone, g.status, g.attributes::text, g.changed_at
FROM milepost.groups g
LEFT JOIN milepost.group_span s
  ON s.tenant_id = g.tenant_id AND s.group_id = g.group_id AND s.since <= %(at)s AND s.until > %(at)s
LEFT JOIN milepost.groups p ON p.tenant_id = s.tenant_id AND p.group_id = s.parent_id
WHERE g.tenant_id = %(tenant_id)s AND g.external_id > %(after)s
  AND (%(kind)s::text IS NULL OR g.kind = %(kind)s)
  AND (%(status)s::text IS NULL OR g.status = %(status)s)
  AND (%(query)s::text IS NULL OR g.name ILIKE %(query)s OR g.external_id ILIKE %(query)s) AND {readable}
ORDER BY g.external_id
LIMIT %(limit)s;

-- name: list_groups_below
-- The same for the groups of one parent: a query of its own, because it begins with the index of parents.
SELECT g.external_id, g.kind, g.name, p.external_id AS parent, s.time_zone, g.status, g.attributes::text, g.changed_at
FROM milepost.groups p
JOIN milepost.group_span s
  ON s.tenant_id = p.tenant_id AND s.parent_id = p.group_id AND s.since <= %(at)s AND s.until > %(at)s
JOIN milepost.groups g ON g.tenant_id = s.tenant_id AND g.group_id = s.group_id
WHERE p.tenant_id = %(tenant_id)s AND p.external_id = %(parent)s AND g.external_id > %(after)s
  AND (%(kind)s::text IS NULL OR g.kind = %(kind)s)
  AND (%(status)s::text IS NULL OR g.status = %(status)s)
  AND (%(query)s::text IS NULL OR g.name ILIKE %(query)s OR g.external_id ILIKE %(query)s) AND {readable}
ORDER BY g.external_id
LIMIT %(limit)s;

-- name: list_members
-- A page of who is in a group at a moment.
SELECT g.external_id, a.external_id, m.role, m.permissions,
       CASE WHEN isfinite(m.since) THEN m.since END, CASE WHEN isfinite(m.until) THEN m.until END, m.added_at, m.added_by
FROM milepost.groups g
JOIN milepost.member m
  ON m.tenant_id = g.tenant_id AND m.group_id = g.group_id AND m.since <= %(at)s AND m.until > %(at)s
JOIN milepost.actor a ON a.tenant_id = m.tenant_id AND a.actor_id = m.actor_id
WHERE g.tenant_id = %(tenant_id)s AND g.external_id = %(group)s AND a.external_id > %(after)s
  AND (%(role)s::text IS NULL OR m.role = %(role)s)
ORDER BY a.external_id
LIMIT %(limit)s;

-- name: actor_groups
-- A page of the groups an actor is in at a moment.
SELECT g.external_id, a.external_id, m.role, m.permissions,
       CASE WHEN isfinite(m.since) THEN m.since END, CASE WHEN isfinite(m.until) THEN m.until END, m.added_at, m.added_by
FROM milepost.actor a
JOIN milepost.member m
  ON m.tenant_id = a.tenant_id AND m.actor_id = a.actor_id AND m.since <= %(at)s AND m.until > %(at)s
JOIN milepost.groups g ON g.tenant_id = m.tenant_id AND g.group_id = m.group_id
WHERE a.tenant_id = %(tenant_id)s AND a.external_id = %(actor)s AND g.external_id > %(after)s AND {readable}
ORDER BY g.external_id
LIMIT %(limit)s;

-- name: get_member
-- One actor's membership of a group as it is at a moment.
SELECT g.external_id, a.external_id, m.role, m.permissions,
       CASE WHEN isfinite(m.since) THEN m.since END, CASE WHEN isfinite(m.until) THEN m.until END, m.added_at, m.added_by
FROM milepost.groups g
JOIN milepost.actor a ON a.tenant_id = g.tenant_id AND a.external_id = %(actor)s
JOIN milepost.member m
  ON m.tenant_id = g.tenant_id AND m.group_id = g.group_id AND m.actor_id = a.actor_id
 AND m.since <= %(at)s AND m.until > %(at)s
WHERE g.tenant_id = %(tenant_id)s AND g.external_id = %(group)s;

-- name: group_ids
-- The numbers of groups by their ids.
SELECT external_id, group_id FROM milepost.groups
WHERE tenant_id = %(tenant_id)s AND external_id = ANY (%(ids)s::text[]);

-- name: readable_ids
-- The same for a viewer.
SELECT g.external_id, g.group_id FROM milepost.groups g
WHERE g.tenant_id = %(tenant_id)s AND g.external_id = ANY (%(ids)s::text[]) AND {readable};

-- name: group_names
-- The ids of groups by their numbers.
SELECT group_id, external_id FROM milepost.groups
WHERE tenant_id = %(tenant_id)s AND group_id = ANY (%(ids)s::bigint[]);
