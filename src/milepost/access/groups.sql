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
-- A page of groups as they are at a moment, by what they must be. {groups}: where they are looked for.
SELECT g.external_id, g.kind, g.name, p.external_id AS parent, s.time_zone, g.status, g.attributes::text, g.changed_at
FROM {groups}
LEFT JOIN milepost.group_span s
  ON s.tenant_id = g.tenant_id AND s.group_id = g.group_id AND s.since <= %(at)s AND s.until > %(at)s
LEFT JOIN milepost.groups p ON p.tenant_id = s.tenant_id AND p.group_id = s.parent_id
WHERE g.tenant_id = %(tenant_id)s AND g.external_id > %(after)s
  AND (%(kind)s::text IS NULL OR g.kind = %(kind)s)
  AND (%(status)s::text IS NULL OR g.status = %(status)s) AND {readable}
ORDER BY g.external_id
LIMIT %(limit)s;

-- name: every_group
-- Where groups are looked for: in the order of their ids, by the index that has it.
milepost.groups g

-- name: groups_below
-- Where groups are looked for: those of one parent, by the index of parents.
milepost.groups above
JOIN milepost.group_span below
  ON below.tenant_id = above.tenant_id AND below.parent_id = above.group_id AND below.since <= %(at)s AND below.until > %(at)s
 AND above.tenant_id = %(tenant_id)s AND above.external_id = %(parent)s
JOIN milepost.groups g ON g.tenant_id = below.tenant_id AND g.group_id = below.group_id

-- name: few_groups
-- Where groups are looked for: those that a viewer may read, where they are few. OFFSET keeps each look-up by its number.
unnest(%(few)s::bigint[]) few (group_id)
CROSS JOIN LATERAL (
    SELECT * FROM milepost.groups g WHERE g.tenant_id = %(tenant_id)s AND g.group_id = few.group_id OFFSET 0
) g

-- name: found_groups
-- Where groups are looked for: those that the index of words has. How many are ranked is decided when it is known which are meant.
milepost.groups_found(%(words)s, %(found)s) found (group_id)
CROSS JOIN LATERAL (
    SELECT * FROM milepost.groups g WHERE g.tenant_id = %(tenant_id)s AND g.group_id = found.group_id OFFSET 0
) g

-- name: search_groups
-- A page of groups in which all words begin like those asked for, the best first: the words of the name count most, then those of the id,
-- then those of attributes that the model searches; a name or id that is, or begins with, what was asked for comes before all. No more are
-- ranked than {ranked} says, of those that are what they must be and may be read.
SELECT g.external_id, g.kind, g.name, p.external_id AS parent, s.time_zone, g.status, g.attributes::text, g.changed_at, g.score::text
FROM (
    SELECT g.*, (
            CASE WHEN lower(%(words)s) IN (lower(g.name), lower(g.external_id)) THEN 2
                 WHEN starts_with(lower(g.name), lower(%(words)s)) OR starts_with(lower(g.external_id), lower(%(words)s)) THEN 1
                 ELSE 0 END + ts_rank(w.words, w.query)::numeric(12, 6)
        )::numeric(12, 6) AS score
    FROM {groups}
    CROSS JOIN LATERAL (
        SELECT setweight(milepost.plain_words(g.name), 'A') || setweight(milepost.plain_words(g.external_id), 'B')
            || setweight(milepost.plain_words((
                SELECT string_agg(g.attributes ->> a.name, ' ') FROM unnest(%(kinds)s::text[], %(attributes)s::text[]) a (kind, name)
                WHERE a.kind = g.kind
            )), 'C') AS words,
            milepost.beginnings(%(words)s, '') AS query
    ) w
    WHERE g.tenant_id = %(tenant_id)s AND (%(kind)s::text IS NULL OR g.kind = %(kind)s)
      AND (%(status)s::text IS NULL OR g.status = %(status)s) AND w.words @@ w.query AND {readable}
    LIMIT {ranked}
) g
LEFT JOIN milepost.group_span s
  ON s.tenant_id = g.tenant_id AND s.group_id = g.group_id AND s.since <= %(at)s AND s.until > %(at)s
LEFT JOIN milepost.groups p ON p.tenant_id = s.tenant_id AND p.group_id = s.parent_id
WHERE (-g.score, g.external_id) > (-%(score)s::numeric, %(after)s)
ORDER BY -g.score, g.external_id
LIMIT %(limit)s;

-- name: list_members
-- A page of who is in a group at a moment, in the order of their numbers: a stretch of the primary key, however large the group. Not as
-- equalities: then the order would follow from the index of actors as well, which suits none but the largest.
SELECT %(group)s, (SELECT a.external_id FROM milepost.actor a WHERE a.tenant_id = %(tenant_id)s AND a.actor_id = m.actor_id), m.role, m.permissions,
       CASE WHEN isfinite(m.since) THEN m.since END, CASE WHEN isfinite(m.until) THEN m.until END, m.added_at, m.added_by
FROM (SELECT g.group_id FROM milepost.groups g WHERE g.tenant_id = %(tenant_id)s AND g.external_id = %(group)s AND {readable} OFFSET 0) g
CROSS JOIN LATERAL (
    SELECT m.* FROM milepost.member m
    WHERE m.tenant_id = %(tenant_id)s AND (m.group_id, m.actor_id) > (g.group_id, %(after)s::bigint) AND m.group_id <= g.group_id
      AND m.since <= %(at)s AND m.until > %(at)s
    ORDER BY m.group_id, m.actor_id
    LIMIT %(limit)s
) m;

-- name: list_members_in_role
-- The same of one role, by the index of roles.
SELECT %(group)s, (SELECT a.external_id FROM milepost.actor a WHERE a.tenant_id = %(tenant_id)s AND a.actor_id = m.actor_id), m.role, m.permissions,
       CASE WHEN isfinite(m.since) THEN m.since END, CASE WHEN isfinite(m.until) THEN m.until END, m.added_at, m.added_by
FROM (SELECT g.group_id FROM milepost.groups g WHERE g.tenant_id = %(tenant_id)s AND g.external_id = %(group)s AND {readable} OFFSET 0) g
CROSS JOIN LATERAL (
    SELECT m.* FROM milepost.member m
    WHERE m.tenant_id = %(tenant_id)s AND m.group_id = g.group_id AND (m.role, m.actor_id) > (%(role)s, %(after)s::bigint) AND m.role <= %(role)s
      AND m.since <= %(at)s AND m.until > %(at)s
    ORDER BY m.role, m.actor_id
    LIMIT %(limit)s
) m;

-- name: actor_groups
-- A page of the groups an actor is in at a moment. Its own memberships it sees all.
SELECT g.external_id, a.external_id, m.role, m.permissions,
       CASE WHEN isfinite(m.since) THEN m.since END, CASE WHEN isfinite(m.until) THEN m.until END, m.added_at, m.added_by
FROM milepost.actor a
JOIN milepost.member m
  ON m.tenant_id = a.tenant_id AND m.actor_id = a.actor_id AND m.since <= %(at)s AND m.until > %(at)s
JOIN milepost.groups g ON g.tenant_id = m.tenant_id AND g.group_id = m.group_id
WHERE a.tenant_id = %(tenant_id)s AND a.external_id = %(actor)s AND g.external_id > %(after)s
  AND ({readable} OR a.actor_id = %(viewer_id)s)
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
