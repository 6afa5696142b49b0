-- name: group
-- The local time of the goal's group now (of the model where there is none), and its attribute.
SELECT %(now)s::timestamptz AT TIME ZONE coalesce(s.time_zone, %(model_zone)s), g.attributes ->> %(attribute)s
FROM (SELECT %(group_id)s::bigint AS group_id) one
LEFT JOIN milepost.groups g ON g.tenant_id = %(tenant_id)s AND g.group_id = one.group_id
LEFT JOIN milepost.group_span s ON s.tenant_id = %(tenant_id)s AND s.group_id = one.group_id
    AND s.since <= %(now)s AND s.until > %(now)s

-- name: value
-- One row by its primary key.
SELECT {value} FROM {table} t
WHERE t.tenant_id = %(tenant_id)s AND t.per = %(per)s AND t.bucket = %(bucket)s AND t.n <> 0{where}

-- name: first_day
-- The first day that counted, from which the pace is taken.
SELECT t.bucket FROM {table} t
WHERE t.tenant_id = %(tenant_id)s AND t.per = 'day' AND t.bucket >= %(first)s AND t.bucket < %(last)s AND t.n <> 0{where}
ORDER BY t.bucket
LIMIT 1
