-- name: actors
-- A tenant's actors, as intake would have interned them.
INSERT INTO milepost.actor (tenant_id, external_id)
SELECT %(tenant_id)s, 'user-' || n FROM generate_series(0, %(actors)s - 1) n

-- name: activities
-- In the order of time, as they would have come, of all tenants in turn.
INSERT INTO milepost.activity (tenant_id, id, occurred_at, received_at, actor_id, audience, verb, source, status, data)
SELECT n.tenant_id,
    (substr(milepost.id_from(at)::text, 1, 19) || '8' || substr(md5(n::text), 1, 3) || '-' || substr(md5(n::text), 4, 12))::uuid,
    at, at, a.low + n.actor, 1, CASE WHEN n %% 3 = 0 THEN 'ride' ELSE 'run' END, 'strava', CASE WHEN n %% 97 = 0 THEN 'late' ELSE 'ok' END,
    jsonb_build_object('note', concat_ws(' ',
        CASE WHEN luck < 0.4 THEN 'common' END, CASE WHEN n %% 50 = 0 THEN 'middle' END, CASE WHEN n %% 1000 = 0 THEN 'seldom' END, n.words))
FROM (
    SELECT n, random() AS luck,
        date_trunc('milliseconds', now() - interval '1 hour' - %(days)s * interval '1 day' * (1 - n::float8 / %(rows)s)) AS at,
        floor(power(%(actors)s, random()))::bigint - 1 AS actor,
        CASE WHEN share < %(to_large)s THEN %(large)s WHEN share < %(to_small)s THEN %(small)s ELSE %(other)s END AS tenant_id,
        (SELECT string_agg('w' || floor(power(%(vocabulary)s, random()))::integer || 'x', ' ') FROM generate_series(1, 8 + n * 0)) AS words
    FROM (SELECT n, random() AS share FROM generate_series(1, %(rows)s) n) n
) n
JOIN (SELECT tenant_id, min(actor_id) AS low FROM milepost.actor GROUP BY tenant_id) a USING (tenant_id)

-- name: settle
-- As a database is that has run for a while.
VACUUM (ANALYZE)

-- name: sizes
-- What the index takes, and all.
SELECT pg_relation_size('milepost.search_document') / 1048576, pg_relation_size('milepost.search_document_pkey') / 1048576,
    pg_relation_size('milepost.search_document_keys') / 1048576, pg_database_size(current_database()) / 1048576
