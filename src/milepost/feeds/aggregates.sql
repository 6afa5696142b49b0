-- name: aggregated
-- Activities by their ids and local days, put together by verb and one key. Whoever asks has seen to it that they are not too many, and
-- may all be seen.
SELECT d.day, s.verb, {keys}, count(*), count(DISTINCT s.actor_id), (array_agg(s.id ORDER BY s.id DESC))[1],
    (array_agg(s.id ORDER BY s.id))[1], array_agg(s.actor_id ORDER BY s.id DESC){sums}
FROM unnest(%(ids)s::uuid[], %(days)s::integer[]) AS d (id, day)
JOIN {activities} s ON s.tenant_id = %(tenant_id)s AND s.id = d.id AND s.id >= %(first)s AND s.id <= %(last)s
GROUP BY 1, 2, 3, 4, 5

-- name: hot
-- The activities where none of them is archived.
milepost.activity

-- name: both
-- And where some are.
(SELECT * FROM milepost.activity UNION ALL SELECT * FROM jsonb_populate_recordset(NULL::milepost.activity, %(cold_rows)s))
