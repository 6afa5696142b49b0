-- Groups three levels deep, and who is in them.

-- name: actors
-- So many members.
INSERT INTO milepost.actor (tenant_id, actor_id, external_id)
SELECT %(tenant_id)s, i, 'user-' || i FROM generate_series(1, %(members)s) i;

-- name: groups
-- Regions 1 to 10, leagues 11 to 210, and a team for each hundred members, at least 1,000.
INSERT INTO milepost.groups (tenant_id, group_id, external_id, kind, name)
SELECT %(tenant_id)s, i, 'group-' || i, CASE WHEN i <= 10 THEN 'region' WHEN i <= 210 THEN 'league' ELSE 'team' END, 'Group ' || i
FROM generate_series(1, %(groups)s) i;

-- name: spans
-- The tree, since ever.
INSERT INTO milepost.group_span (tenant_id, group_id, since, until, parent_id)
SELECT %(tenant_id)s, i, '-infinity'::timestamptz, 'infinity'::timestamptz, CASE WHEN i > 210 THEN 11 + i %% 200 WHEN i > 10 THEN 1 + i %% 10 END
FROM generate_series(1, %(groups)s) i;

-- name: reach
-- Its closure.
INSERT INTO milepost.group_reach (tenant_id, group_id, since, until, ancestor_id, time_zone)
WITH RECURSIVE walk (group_id, ancestor_id) AS (
    SELECT i, i::bigint FROM generate_series(1, %(groups)s) i
    UNION ALL
    SELECT w.group_id, s.parent_id FROM walk w
    JOIN milepost.group_span s ON s.tenant_id = %(tenant_id)s AND s.group_id = w.ancestor_id WHERE s.parent_id IS NOT NULL
)
SELECT %(tenant_id)s, group_id, '-infinity'::timestamptz, 'infinity'::timestamptz, ancestor_id, '' FROM walk;

-- name: memberships
-- Three teams each; one in fifty is a captain, one in a hundred has a permission of its own; each is also in one league. The first
-- league has a tenth of all members.
INSERT INTO milepost.member (tenant_id, group_id, actor_id, since, until, role, permissions, added_at)
SELECT %(tenant_id)s, 211 + (a * 7 + t * 331) %% (%(groups)s - 210), a, '-infinity'::timestamptz, 'infinity'::timestamptz,
       CASE WHEN a %% 50 = 0 THEN 'captain' ELSE 'member' END, CASE WHEN a %% 100 = 0 THEN ARRAY['correct'] ELSE '{}'::text[] END, now()
FROM generate_series(1, %(members)s) a, generate_series(1, 3) t
UNION ALL
SELECT %(tenant_id)s, CASE WHEN a %% 10 = 0 THEN 11 ELSE 11 + a %% 200 END, a, '-infinity'::timestamptz, 'infinity'::timestamptz,
       CASE WHEN a %% 1000 = 0 THEN 'steward' ELSE 'member' END, '{}'::text[], now()
FROM generate_series(1, %(members)s) a
ON CONFLICT DO NOTHING;

-- name: settle
-- As autovacuum would, given the time.
VACUUM (ANALYZE) milepost.actor, milepost.groups, milepost.group_span, milepost.group_reach, milepost.member;
