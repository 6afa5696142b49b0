-- name: tenants
-- Which tenants there are; one, where a name is given.
SELECT tenant_id, name FROM milepost.tenant WHERE %(name)s::text IS NULL OR name = %(name)s ORDER BY tenant_id

-- name: names
-- The app's own ids of groups and actors that differences name by their numbers.
SELECT 'group', group_id, external_id FROM milepost.groups WHERE tenant_id = %(tenant_id)s AND group_id = ANY(%(groups)s)
UNION ALL
SELECT 'actor', actor_id, external_id FROM milepost.actor WHERE tenant_id = %(tenant_id)s AND actor_id = ANY(%(actors)s)

-- name: filling
-- What is still being filled from history cannot be compared yet.
SELECT name FROM milepost.filling WHERE tenant_id = %(tenant_id)s

-- name: span
-- The days that hold anything: of the activities, whose ids sort by time.
SELECT
    (SELECT occurred_at FROM milepost.activity WHERE tenant_id = %(tenant_id)s ORDER BY id LIMIT 1),
    (SELECT occurred_at FROM milepost.activity WHERE tenant_id = %(tenant_id)s ORDER BY id DESC LIMIT 1)

-- name: rows_between
-- About how many activities a span of days has: an id in the middle of so many rows, or NULL where there are fewer.
SELECT id FROM milepost.activity WHERE tenant_id = %(tenant_id)s AND id >= %(low)s ORDER BY id OFFSET %(rows)s LIMIT 1

-- name: extent
-- The days of a rollup's own rows, which may reach beyond the activities where something is wrong.
SELECT min(bucket), max(bucket) FROM {table} WHERE tenant_id = %(tenant_id)s AND per = 'day' AND n <> 0

-- name: streams
-- The stream rows against the activities addressed to several groups.
SELECT jsonb_build_object('group_id', group_id, 'id', id), 'stream', NULL::timestamp,
    CASE WHEN s.id IS NOT NULL THEN to_jsonb(s.audience) END, CASE WHEN a.id IS NOT NULL THEN to_jsonb(a.audience) END
FROM (SELECT group_id, id, audience FROM milepost.activity_stream WHERE tenant_id = %(tenant_id)s) s
FULL JOIN (
    SELECT unnest(more_groups) AS group_id, id, audience FROM milepost.activity
    WHERE tenant_id = %(tenant_id)s AND more_groups IS NOT NULL
) a USING (group_id, id)
WHERE s.audience IS DISTINCT FROM a.audience

-- name: reach
-- The closure of group_span that folds join, against the spans themselves.
WITH RECURSIVE span AS (
    SELECT g.group_id, coalesce(s.since, '-infinity') AS since, coalesce(s.until, 'infinity') AS until, s.parent_id,
        coalesce(s.time_zone, '') AS time_zone
    FROM milepost.groups g
    LEFT JOIN milepost.group_span s ON s.tenant_id = g.tenant_id AND s.group_id = g.group_id
    WHERE g.tenant_id = %(tenant_id)s
), up AS (
    SELECT group_id, group_id AS ancestor_id, '-infinity'::timestamptz AS since, 'infinity'::timestamptz AS until, 0 AS depth
    FROM milepost.groups WHERE tenant_id = %(tenant_id)s
    UNION ALL
    SELECT u.group_id, s.parent_id, greatest(u.since, s.since), least(u.until, s.until), u.depth + 1
    FROM up u JOIN span s ON s.group_id = u.ancestor_id AND s.parent_id IS NOT NULL AND s.since < u.until AND u.since < s.until
    WHERE u.depth < 32
), again AS (
    SELECT u.group_id, u.ancestor_id, coalesce(z.time_zone, '') AS time_zone,
        range_agg(tstzrange(greatest(u.since, coalesce(z.since, '-infinity')), least(u.until, coalesce(z.until, 'infinity')))) AS held
    FROM up u LEFT JOIN span z ON z.group_id = u.ancestor_id AND z.since < u.until AND u.since < z.until
    GROUP BY 1, 2, 3
), own AS (
    SELECT group_id, ancestor_id, time_zone, range_agg(tstzrange(since, until)) AS held
    FROM milepost.group_reach WHERE tenant_id = %(tenant_id)s GROUP BY 1, 2, 3
)
SELECT jsonb_build_object('group_id', group_id, 'ancestor_id', ancestor_id, 'time_zone', time_zone), 'reach', NULL::timestamp,
    to_jsonb(own.held::text), to_jsonb(again.held::text)
FROM own FULL JOIN again USING (group_id, ancestor_id, time_zone)
WHERE own.held IS DISTINCT FROM again.held

-- name: is_searched
-- Whether the search index is of these declarations and covers all of history.
SELECT FROM milepost.search_progress
WHERE tenant_id = %(tenant_id)s AND fingerprint = %(fingerprint)s AND filled_to = '00000000-0000-0000-0000-000000000000'
