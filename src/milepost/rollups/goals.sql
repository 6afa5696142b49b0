-- name: groups
-- The local time of each group now (the model's where it has no zone), and its attribute. Each one's span is looked up by
-- itself: joined, a tenant of few spans would have all of them read.
SELECT k.entity, %(now)s::timestamptz AT TIME ZONE coalesce(s.time_zone, %(model_zone)s), g.attributes ->> %(attribute)s
FROM unnest(%(entities)s::bigint[]) AS k (entity)
LEFT JOIN milepost.groups g ON g.tenant_id = %(tenant_id)s AND g.group_id = k.entity
LEFT JOIN LATERAL (
    SELECT s.time_zone FROM milepost.group_span s
    WHERE s.tenant_id = %(tenant_id)s AND s.group_id = k.entity AND s.since <= %(now)s AND s.until > %(now)s
    ORDER BY s.since DESC
    LIMIT 1
) s ON true

-- name: actors
-- An actor has no zone of its own, and no target.
SELECT k.entity, %(now)s::timestamptz AT TIME ZONE %(model_zone)s, NULL::text FROM unnest(%(entities)s::bigint[]) AS k (entity)

-- name: values
-- For each its one row, by the primary key.
SELECT k.entity, {value}
FROM unnest(%(entities)s::bigint[], %(firsts)s::timestamp[]) AS k (entity, bucket)
JOIN {table} t ON t.tenant_id = %(tenant_id)s AND t.{key} = k.entity AND t.per = %(per)s AND t.bucket = k.bucket AND t.n <> 0

-- name: first_days
-- The first day that counted, from which the pace is taken.
SELECT k.entity, d.bucket
FROM unnest(%(entities)s::bigint[], %(firsts)s::timestamp[], %(lasts)s::timestamp[]) AS k (entity, first, last)
CROSS JOIN LATERAL (
    SELECT t.bucket FROM {table} t
    WHERE t.tenant_id = %(tenant_id)s AND t.{key} = k.entity AND t.per = 'day' AND t.bucket >= k.first AND t.bucket < k.last
      AND t.n <> 0
    ORDER BY t.bucket
    LIMIT 1
) d
