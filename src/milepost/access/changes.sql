-- What changes groups, actors and members. All of it runs inside the loader's transaction, which has set its tenant.
--
-- Times arrive as text ('-infinity' for "always") and stay in SQL: the driver has no value for an infinite time. Where a
-- time must leave, it leaves as microseconds since 1970, and nothing is earlier than year 1, where ids begin.

-- name: find_groups
-- What is known of some groups. "declared" is what put_group makes of a group: from then on its spans cover all time.
-- "is_parent" asks for the next parent in the index and compares, because the planner would read all spans of a tenant to
-- find one with a given parent: most groups are nobody's parent, but on average a parent has many.
SELECT g.external_id, g.group_id, g.kind,
       EXISTS (SELECT FROM milepost.group_span s WHERE s.tenant_id = g.tenant_id AND s.group_id = g.group_id) AS declared,
       COALESCE(g.group_id = (
           SELECT s.parent_id FROM milepost.group_span s
           WHERE s.tenant_id = g.tenant_id AND s.parent_id >= g.group_id AND s.parent_id IS NOT NULL
           ORDER BY s.tenant_id, s.parent_id LIMIT 1), false) AS is_parent
FROM milepost.groups g
WHERE g.tenant_id = %(tenant_id)s AND g.external_id = ANY (%(ids)s::text[]);

-- name: intern_groups
-- Gives new groups their number. A group without spans reaches itself, always, in the model's zone; whoever makes a group
-- makes that row too, so that a fold never has to ask whether there is one.
WITH made AS (
    INSERT INTO milepost.groups (tenant_id, external_id)
    SELECT %(tenant_id)s, id FROM unnest(%(ids)s::text[]) id
    ON CONFLICT (tenant_id, external_id) DO NOTHING
    RETURNING group_id, external_id
), reached AS (
    INSERT INTO milepost.group_reach (tenant_id, group_id, since, until, ancestor_id, time_zone)
    SELECT %(tenant_id)s, group_id, '-infinity', 'infinity', group_id, '' FROM made
    ON CONFLICT (tenant_id, group_id, ancestor_id, since) DO NOTHING
)
SELECT external_id, group_id FROM made;

-- name: find_actors
-- The numbers of some actors.
SELECT external_id, actor_id FROM milepost.actor
WHERE tenant_id = %(tenant_id)s AND external_id = ANY (%(ids)s::text[]);

-- name: intern_actors
-- Gives new actors their number.
INSERT INTO milepost.actor (tenant_id, external_id)
SELECT %(tenant_id)s, id FROM unnest(%(ids)s::text[]) id
ON CONFLICT (tenant_id, external_id) DO NOTHING
RETURNING external_id, actor_id;

-- name: kinds_below
-- The kinds of the groups that have this one as parent at some time: its own kind must suit them.
SELECT DISTINCT g.kind
FROM milepost.group_span s
JOIN milepost.groups g ON g.tenant_id = s.tenant_id AND g.group_id = s.group_id
WHERE s.tenant_id = %(tenant_id)s AND s.parent_id = %(group_id)s AND g.kind IS NOT NULL;

-- name: line_of_parent
-- Whether a parent from a time on would close a circle, and whether it would make a line longer than allowed, at any
-- moment: both walks carry the interval in which their path holds. The walk upwards stops at the group itself, so it ends
-- even where the answer is a circle; the levels are a second bound.
WITH RECURSIVE above (group_id, since, until, level) AS (
    SELECT %(parent_id)s::bigint, %(since)s::timestamptz, 'infinity'::timestamptz, 1
    UNION ALL
    SELECT s.parent_id, GREATEST(a.since, s.since), LEAST(a.until, s.until), a.level + 1
    FROM above a
    JOIN milepost.group_span s
      ON s.tenant_id = %(tenant_id)s AND s.group_id = a.group_id AND s.since < a.until AND s.until > a.since
    WHERE s.parent_id IS NOT NULL AND a.group_id <> %(group_id)s AND a.level <= %(levels)s
), below (group_id, since, until, level) AS (
    SELECT %(group_id)s::bigint, %(since)s::timestamptz, 'infinity'::timestamptz, 1
    UNION ALL
    SELECT s.group_id, GREATEST(b.since, s.since), LEAST(b.until, s.until), b.level + 1
    FROM below b
    JOIN milepost.group_span s
      ON s.tenant_id = %(tenant_id)s AND s.parent_id = b.group_id AND s.since < b.until AND s.until > b.since
    WHERE %(is_parent)s AND b.level <= %(levels)s
)
SELECT EXISTS (SELECT FROM above WHERE group_id = %(group_id)s) AS circle,
       EXISTS (SELECT FROM above a JOIN below b ON b.since < a.until AND a.since < b.until
               WHERE a.level + b.level > %(levels)s) AS too_long;

-- name: group_differs_from
-- The first moment from a time on at which a declared group's parent or zone is not what is asked for.
SELECT (extract(epoch FROM min(GREATEST(since, %(since)s::timestamptz, '0001-01-01 00:00:00+00'))) * 1000000)::bigint
FROM milepost.group_span
WHERE tenant_id = %(tenant_id)s AND group_id = %(group_id)s AND until > %(since)s::timestamptz
  AND (   (%(set_parent)s AND parent_id IS DISTINCT FROM %(parent_id)s::bigint)
       OR (%(set_time_zone)s AND time_zone IS DISTINCT FROM %(time_zone)s::text));

-- name: put_spans
-- Parent and zone from a time on; what held before stays. The rows are taken out and put back in one statement: the
-- INSERT aggregates all that the DELETE returns, so it begins when the old rows are gone. Neighbours that say the same
-- become one.
WITH gone AS (
    DELETE FROM milepost.group_span
    WHERE tenant_id = %(tenant_id)s AND group_id = %(group_id)s
    RETURNING since, until, parent_id, time_zone
), held AS (
    SELECT since, until, parent_id, time_zone FROM gone
    UNION ALL
    SELECT '-infinity', 'infinity', NULL, NULL WHERE NOT EXISTS (SELECT FROM gone)
), pieces AS (
    SELECT since, LEAST(until, %(since)s::timestamptz) AS until, parent_id, time_zone
    FROM held WHERE since < %(since)s::timestamptz
    UNION ALL
    SELECT GREATEST(since, %(since)s::timestamptz), until,
           CASE WHEN %(set_parent)s THEN %(parent_id)s::bigint ELSE parent_id END,
           CASE WHEN %(set_time_zone)s THEN %(time_zone)s::text ELSE time_zone END
    FROM held WHERE until > %(since)s::timestamptz
), merged AS (
    SELECT unnest(range_agg(tstzrange(since, until))) AS span, parent_id, time_zone
    FROM pieces GROUP BY parent_id, time_zone
)
INSERT INTO milepost.group_span (tenant_id, group_id, since, until, parent_id, time_zone)
SELECT %(tenant_id)s, %(group_id)s, lower(span), upper(span), parent_id, time_zone FROM merged;

-- name: put_reach
-- Derives the reach of a group and of all that reach it, at any time, anew from the spans. Nobody else's changes: who
-- reaches a group depends on the groups below it, and what it reaches on itself and those above. The walk ends because
-- prepare() lets no circle in; the levels are a second bound.
WITH RECURSIVE gone AS (
    DELETE FROM milepost.group_reach
    WHERE tenant_id = %(tenant_id)s AND group_id IN (
        SELECT group_id FROM milepost.group_reach WHERE tenant_id = %(tenant_id)s AND ancestor_id = %(group_id)s)
    RETURNING group_id
), affected AS (
    SELECT group_id FROM gone UNION SELECT %(group_id)s::bigint
), walk (group_id, ancestor_id, since, until, level) AS (
    SELECT group_id, group_id, '-infinity'::timestamptz, 'infinity'::timestamptz, 1 FROM affected
    UNION ALL
    SELECT w.group_id, s.parent_id, GREATEST(w.since, s.since), LEAST(w.until, s.until), w.level + 1
    FROM walk w
    JOIN milepost.group_span s
      ON s.tenant_id = %(tenant_id)s AND s.group_id = w.ancestor_id AND s.since < w.until AND s.until > w.since
    WHERE s.parent_id IS NOT NULL AND w.level < %(levels)s
), zoned AS (
    -- An ancestor that was never declared has no spans: the model's zone, always.
    SELECT w.group_id, w.ancestor_id, COALESCE(s.time_zone, '') AS time_zone,
           GREATEST(w.since, COALESCE(s.since, '-infinity')) AS since,
           LEAST(w.until, COALESCE(s.until, 'infinity')) AS until
    FROM walk w
    LEFT JOIN milepost.group_span s
      ON s.tenant_id = %(tenant_id)s AND s.group_id = w.ancestor_id AND s.since < w.until AND s.until > w.since
), merged AS (
    SELECT group_id, ancestor_id, time_zone, unnest(range_agg(tstzrange(since, until))) AS span
    FROM zoned GROUP BY group_id, ancestor_id, time_zone
)
INSERT INTO milepost.group_reach (tenant_id, group_id, since, until, ancestor_id, time_zone)
SELECT %(tenant_id)s, group_id, lower(span), upper(span), ancestor_id, time_zone FROM merged;

-- name: put_group
-- What is said of a group beside its timeline; what is not given stays.
UPDATE milepost.groups
SET kind = COALESCE(%(kind)s, kind),
    status = COALESCE(%(status)s, status),
    name = CASE WHEN %(set_name)s THEN %(name)s::text ELSE name END,
    attributes = CASE WHEN %(set_attributes)s THEN %(attributes)s::jsonb ELSE attributes END,
    changed_at = %(now)s
WHERE tenant_id = %(tenant_id)s AND group_id = %(group_id)s;

-- name: put_actor
-- What is said of an actor; what is not given stays.
UPDATE milepost.actor
SET kind = CASE WHEN %(set_kind)s THEN %(kind)s::text ELSE kind END,
    name = CASE WHEN %(set_name)s THEN %(name)s::text ELSE name END,
    attributes = CASE WHEN %(set_attributes)s THEN %(attributes)s::jsonb ELSE attributes END
WHERE tenant_id = %(tenant_id)s AND actor_id = %(actor_id)s;

-- name: absent_from
-- The first moment from a time on at which the actor is not a member: what an addition changes. A new role alone moves no
-- contribution.
SELECT (extract(epoch FROM min(GREATEST(lower(gap), '0001-01-01 00:00:00+00'))) * 1000000)::bigint
FROM unnest(tstzmultirange(tstzrange(%(since)s::timestamptz, 'infinity')) - COALESCE((
    SELECT range_agg(tstzrange(since, until)) FROM milepost.member
    WHERE tenant_id = %(tenant_id)s AND group_id = %(group_id)s AND actor_id = %(actor_id)s
), '{}')) gap;

-- name: present_from
-- The first moment from a time on at which the actor is a member: what a removal changes.
SELECT (extract(epoch FROM min(GREATEST(since, %(since)s::timestamptz, '0001-01-01 00:00:00+00'))) * 1000000)::bigint
FROM milepost.member
WHERE tenant_id = %(tenant_id)s AND group_id = %(group_id)s AND actor_id = %(actor_id)s
  AND until > %(since)s::timestamptz;

-- name: put_member
-- A membership from a time on, in one statement as in put_spans. One that it continues or replaces passes on when and by
-- whom it was added: a new role is not a new membership.
WITH gone AS (
    DELETE FROM milepost.member
    WHERE tenant_id = %(tenant_id)s AND group_id = %(group_id)s AND actor_id = %(actor_id)s
    RETURNING since, until, role, permissions, added_at, added_by
), added AS (
    (SELECT since, added_at, added_by FROM gone WHERE until >= %(since)s::timestamptz)
    UNION ALL
    SELECT 'infinity', %(now)s::timestamptz, %(added_by)s::text
    ORDER BY since LIMIT 1
), pieces AS (
    SELECT since, LEAST(until, %(since)s::timestamptz) AS until, role, permissions, added_at, added_by
    FROM gone WHERE since < %(since)s::timestamptz
    UNION ALL
    SELECT %(since)s::timestamptz, 'infinity', %(role)s::text, %(permissions)s::text[], added_at, added_by FROM added
), merged AS (
    SELECT unnest(range_agg(tstzrange(since, until))) AS span, role, permissions, added_at, added_by
    FROM pieces GROUP BY role, permissions, added_at, added_by
)
INSERT INTO milepost.member (tenant_id, group_id, actor_id, since, until, role, permissions, added_at, added_by)
SELECT %(tenant_id)s, %(group_id)s, %(actor_id)s, lower(span), upper(span), role, permissions, added_at, added_by
FROM merged;

-- name: end_member
-- The membership that holds at a time ends there.
UPDATE milepost.member SET until = %(since)s::timestamptz
WHERE tenant_id = %(tenant_id)s AND group_id = %(group_id)s AND actor_id = %(actor_id)s
  AND since < %(since)s::timestamptz AND until > %(since)s::timestamptz;

-- name: drop_member
-- Memberships that began at a time or later were not.
DELETE FROM milepost.member
WHERE tenant_id = %(tenant_id)s AND group_id = %(group_id)s AND actor_id = %(actor_id)s
  AND since >= %(since)s::timestamptz;

-- name: follows_many
-- How many an actor follows, and whether this is one of them.
SELECT count(*), coalesce(bool_or(
    kind = %(kind)s AND target_id = %(target_id)s AND object_kind = %(object_kind)s AND object_id = %(object_id)s), false)
FROM milepost.follow WHERE tenant_id = %(tenant_id)s AND actor_id = %(actor_id)s;

-- name: put_follow
-- One more. Followed already: since then.
INSERT INTO milepost.follow (tenant_id, actor_id, kind, target_id, object_kind, object_id, since)
VALUES (%(tenant_id)s, %(actor_id)s, %(kind)s, %(target_id)s, %(object_kind)s, %(object_id)s, %(now)s)
ON CONFLICT (tenant_id, actor_id, kind, target_id, object_kind, object_id) DO NOTHING;

-- name: drop_follow
-- One less.
DELETE FROM milepost.follow
WHERE tenant_id = %(tenant_id)s AND actor_id = %(actor_id)s AND kind = %(kind)s AND target_id = %(target_id)s
  AND object_kind = %(object_kind)s AND object_id = %(object_id)s;

-- name: put_invitation
-- A new one takes the place of the one before, whatever became of that.
INSERT INTO milepost.invitation
    (tenant_id, group_id, actor_id, role, permissions, state, invited_by, invited_at, expires_at, decided_at)
VALUES (%(tenant_id)s, %(group_id)s, %(actor_id)s, %(role)s, %(permissions)s::text[], 'open', %(invited_by)s, %(now)s,
        %(expires_at)s::timestamptz, NULL)
ON CONFLICT (tenant_id, group_id, actor_id) DO UPDATE SET role = excluded.role, permissions = excluded.permissions,
    state = excluded.state, invited_by = excluded.invited_by, invited_at = excluded.invited_at,
    expires_at = excluded.expires_at, decided_at = excluded.decided_at;

-- name: decide_invitation
-- What became of it.
UPDATE milepost.invitation SET state = %(state)s, decided_at = %(now)s
WHERE tenant_id = %(tenant_id)s AND group_id = %(group_id)s AND actor_id = %(actor_id)s;
