-- Bounded looks at index ranges, newest first, for readers that may not see all of a tenant and for home feeds. A look says
-- which of the rows are wanted ({test}), the first row it saw, and the last one if there were as many as it may see ({scanned}):
-- below that one it knows nothing. It sorts nothing: aggregates keep the order of the range.

-- name: look
-- One range.
SELECT (array_agg(s.id) FILTER (WHERE {test}))[1:{rows}] AS ids, (array_agg(s.id))[1] AS first, (array_agg(s.id))[{scanned}] AS last
FROM (
{range}
) s

-- name: look_at_each
-- One range for each of several groups, actors, objects or audiences.
SELECT l.ids, l.first, l.last
FROM {each}
CROSS JOIN LATERAL (
{look}
) l
WHERE l.first IS NOT NULL

-- name: looks
-- All looks of one side as one row: the newest ids wanted, each once; the first row seen; the last one of whichever range was cut
-- off highest. Aggregates sort these themselves: a Sort of the plan's own would let it sort whole ranges.
WITH l AS MATERIALIZED (
{looks}
)
SELECT (array_agg(DISTINCT i.id ORDER BY i.id DESC) FILTER (WHERE i.id IS NOT NULL))[1:{rows}],
    (array_agg(l.first ORDER BY l.first DESC))[1],
    (array_agg(l.last ORDER BY l.last DESC) FILTER (WHERE l.last IS NOT NULL))[1]
FROM l
LEFT JOIN LATERAL unnest(l.ids) i (id) ON true

-- name: activities
-- Of activities.
SELECT s.* FROM milepost.activity s
WHERE s.tenant_id = %(tenant_id)s AND {of} AND s.id >= %(low)s AND s.id < %(high)s
ORDER BY s.id DESC
LIMIT {scanned}

-- name: stream
-- Of stream rows: where nothing of the activity itself is asked for.
SELECT s.id FROM milepost.activity_stream s
WHERE s.tenant_id = %(tenant_id)s AND {of} AND s.id >= %(low)s AND s.id < %(high)s
ORDER BY s.id DESC
LIMIT {scanned}

-- name: stream_activities
-- Of stream rows, with their activities: a nested loop keeps their order.
SELECT s.* FROM (
    SELECT s.id FROM milepost.activity_stream s
    WHERE s.tenant_id = %(tenant_id)s AND {of} AND s.id >= %(low)s AND s.id < %(high)s
    ORDER BY s.id DESC
    LIMIT {scanned}
) t
JOIN milepost.activity s ON s.tenant_id = %(tenant_id)s AND s.id = t.id

-- name: seen_groups
-- The groups that a viewer may read; NULL where they are too many to look at each. Below two roots one comes twice.
SELECT CASE WHEN count(*) <= %(most)s::bigint THEN coalesce(array_agg(g.group_id), '{}') END
FROM (
    SELECT r.group_id FROM milepost.group_reach r
    WHERE r.tenant_id = %(tenant_id)s AND r.ancestor_id = ANY (%(viewer_roots)s::bigint[])
      AND r.since <= %(viewer_at)s AND r.until > %(viewer_at)s
    LIMIT %(most)s::bigint + 1
) g

-- name: is_followed
-- Part of a WHERE over activities as `s`: whether the viewer follows it. By a group it is followed if it is public, the viewer's own,
-- or the viewer may read that group. The sub-selects are hashed once.
(CASE WHEN s.audience = 1
      THEN s.group_id IN (SELECT unnest(%(followed_groups_seen)s::bigint[]))
        OR s.more_groups IS NOT NULL AND EXISTS (
               SELECT FROM unnest(s.more_groups) m (id) WHERE m.id IN (SELECT unnest(%(followed_groups_seen)s::bigint[])))
      ELSE s.group_id IN (SELECT unnest(%(followed_groups)s::bigint[]))
        OR s.more_groups IS NOT NULL AND EXISTS (
               SELECT FROM unnest(s.more_groups) m (id) WHERE m.id IN (SELECT unnest(%(followed_groups)s::bigint[])))
 END
 OR s.actor_id IN (SELECT unnest(%(followed_actors)s::bigint[]))
 OR (s.object_kind, s.object_id) IN (SELECT * FROM unnest(%(followed_kinds)s::text[], %(followed_objects)s::text[])))

-- name: is_seen
-- Part of a WHERE over activities as `s`: whether a viewer may see it, where the groups that it may read are listed.
(      s.audience = 0
    OR s.audience = 1 AND (
           s.group_id IN (SELECT unnest(%(groups_seen)s::bigint[]))
        OR s.more_groups IS NOT NULL AND EXISTS (
               SELECT FROM unnest(s.more_groups) m (id) WHERE m.id IN (SELECT unnest(%(groups_seen)s::bigint[]))))
    OR s.actor_id = %(viewer_id)s AND (s.audience = 2 OR s.group_id IS NULL))
