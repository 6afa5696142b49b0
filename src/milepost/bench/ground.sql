-- name: actors
-- A tenant's actors, as intake would have interned them.
INSERT INTO milepost.actor (tenant_id, external_id)
SELECT %(tenant_id)s, 'user-' || n FROM generate_series(0, %(actors)s - 1) n

-- name: groups
-- Its teams, forty to a league.
INSERT INTO milepost.groups (tenant_id, external_id, kind)
SELECT %(tenant_id)s, 'team-' || n, 'team' FROM generate_series(0, %(groups)s - 1) n
UNION ALL
SELECT %(tenant_id)s, 'league-' || n, 'league' FROM generate_series(0, %(groups)s / 40) n

-- name: spans
-- Each team has always been in its league.
INSERT INTO milepost.group_span (tenant_id, group_id, since, until, parent_id)
SELECT t.tenant_id, t.group_id, '-infinity'::timestamptz, 'infinity'::timestamptz, l.group_id
FROM milepost.groups t
JOIN milepost.groups l ON l.tenant_id = t.tenant_id
    AND l.external_id = 'league-' || substr(t.external_id, 6)::integer / 40
WHERE t.tenant_id = %(tenant_id)s AND t.kind = 'team'

-- name: reach
-- So it counts for itself and for its league.
INSERT INTO milepost.group_reach (tenant_id, group_id, since, until, ancestor_id, time_zone)
SELECT tenant_id, group_id, '-infinity'::timestamptz, 'infinity'::timestamptz, group_id, '' FROM milepost.groups WHERE tenant_id = %(tenant_id)s
UNION ALL
SELECT t.tenant_id, t.group_id, '-infinity', 'infinity', l.group_id, ''
FROM milepost.groups t
JOIN milepost.groups l ON l.tenant_id = t.tenant_id
    AND l.external_id = 'league-' || substr(t.external_id, 6)::integer / 40
WHERE t.tenant_id = %(tenant_id)s AND t.kind = 'team'

-- name: activities
-- A history, in the order of time. Actors follow Zipf's law, each in a team.
INSERT INTO milepost.activity (tenant_id, id, occurred_at, received_at, actor_id, group_id, audience, verb, object_kind,
    object_id, source, status, key, data, m_distance_m, m_duration_s)
SELECT %(tenant_id)s, (substr(milepost.id_from(at)::text, 1, 19) || '8' || substr(md5(n::text), 1, 3) || '-' || substr(md5(n::text), 4, 12))::uuid,
    at, at, a.low + n.actor, g.low + n.actor %% %(groups)s, 1,
    CASE WHEN n %% 3 = 0 THEN 'ride' ELSE 'run' END, 'workout', 'h' || n, 'strava', 'ok', 'h' || n,
    '{"note": "river loop", "device": "fenix"}', (1000 + 20000 * random())::bigint, (300 + 6000 * random())::bigint
FROM (
    SELECT n, date_trunc('milliseconds', now() - interval '1 hour' - %(days)s * interval '1 day' * (1 - n::float8 / %(rows)s)) AS at,
        floor(power(%(actors)s, random()))::bigint - 1 AS actor
    FROM generate_series(1, %(rows)s) n
) n,
(SELECT min(actor_id) AS low FROM milepost.actor WHERE tenant_id = %(tenant_id)s) a,
(SELECT min(group_id) AS low FROM milepost.groups WHERE tenant_id = %(tenant_id)s AND kind = 'team') g

-- name: columns_of_activity
-- Whatever the model made them.
SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = 'milepost.activity'::regclass AND attnum > 1 AND NOT attisdropped

-- name: same_activities
-- The same history for another tenant.
INSERT INTO milepost.activity (tenant_id, {columns})
SELECT %(tenant_id)s, {columns} FROM milepost.activity WHERE tenant_id = %(source)s ORDER BY id

-- name: fill
-- Nothing of this history is in the numbers yet.
INSERT INTO milepost.filling (tenant_id, name, filled_to)
SELECT %(tenant_id)s, name, '00000000-0000-0000-0000-000000000000'
FROM unnest(%(names)s::text[]) name

-- name: lane
-- Where the tenant is loaded.
SELECT lane FROM milepost.tenant WHERE tenant_id = %(tenant_id)s

-- name: settle
-- As a database is that has run for a while.
VACUUM (ANALYZE)

-- name: checkpoint
-- So that no part of the run pays for what was written before it.
CHECKPOINT

-- name: newest
-- Of a tenant, by when they occurred.
SELECT id FROM milepost.activity WHERE tenant_id = %(tenant_id)s ORDER BY id DESC LIMIT %(rows)s

-- name: loaded
-- How many activities came in by the server, and how many batches wait.
SELECT count(*) FROM milepost.activity WHERE tenant_id = ANY (%(tenants)s) AND received_at >= %(since)s

-- name: export
-- The rows of one load, as they stand in the table, but for another tenant.
COPY (
    SELECT {tenant}::integer, {columns} FROM (
        SELECT * FROM milepost.activity WHERE tenant_id = {source} AND received_at >= '{since}'
        ORDER BY received_at, id OFFSET {offset} LIMIT {limit}
    ) a ORDER BY id
) TO STDOUT (FORMAT binary)

-- name: copy_in
-- What milepost is compared with: nothing but the rows, into the same table.
COPY milepost.activity (tenant_id, {columns}) FROM STDIN (FORMAT binary)
