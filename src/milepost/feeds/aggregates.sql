-- name: aggregated
-- Activities with their local days, put together by verb and one key. Whoever asks has seen to it that they are not too many, and
-- may all be seen.
SELECT s.day, s.verb, {keys}, count(*), count(DISTINCT s.actor_id), (array_agg(s.id ORDER BY s.id DESC))[1],
    (array_agg(s.id ORDER BY s.id))[1], array_agg(s.actor_id ORDER BY s.id DESC){sums}
FROM (
{activities}
) s
GROUP BY 1, 2, 3, 4, 5

-- name: hot
-- Each by primary key, as on a page (`feeds.sql`, `shown`): where partitions are small, all between the bounds looked cheaper, and were
-- compared with each id.
SELECT d.day, s.*
FROM unnest(%(ids)s::uuid[], %(days)s::integer[]) AS d (id, day)
CROSS JOIN LATERAL (
    SELECT s.* FROM milepost.activity s
    WHERE s.tenant_id = %(tenant_id)s AND s.id = d.id AND s.id >= %(first)s AND s.id <= %(last)s OFFSET 0
) s

-- name: cold
-- Those that are archived.
SELECT d.day, s.*
FROM unnest(%(ids)s::uuid[], %(days)s::integer[]) AS d (id, day)
JOIN jsonb_populate_recordset(NULL::milepost.activity, %(cold_rows)s) s ON s.id = d.id
