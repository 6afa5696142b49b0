-- name: actors
-- A tenant's actors, as intake would have interned them, and those who only read.
INSERT INTO milepost.actor (tenant_id, external_id)
SELECT %(tenant_id)s, 'user-' || n FROM generate_series(0, %(actors)s - 1) n
UNION ALL
SELECT %(tenant_id)s, unnest(ARRAY['viewer-few', 'viewer-all', 'viewer-home'])

-- name: groups
-- Its teams, forty to a league.
INSERT INTO milepost.groups (tenant_id, external_id, kind)
SELECT %(tenant_id)s, 'team-' || n, 'team' FROM generate_series(0, %(groups)s - 1) n
UNION ALL
SELECT %(tenant_id)s, 'league-' || n, 'league' FROM generate_series(0, (%(groups)s - 1) / 40) n

-- name: reach
-- Each team counts for itself and for its league.
INSERT INTO milepost.group_reach (tenant_id, group_id, since, until, ancestor_id, time_zone)
SELECT tenant_id, group_id, '-infinity'::timestamptz, 'infinity'::timestamptz, group_id, '' FROM milepost.groups WHERE tenant_id = %(tenant_id)s
UNION ALL
SELECT t.tenant_id, t.group_id, '-infinity', 'infinity', l.group_id, ''
FROM milepost.groups t
JOIN milepost.groups l ON l.tenant_id = t.tenant_id
    AND l.external_id = 'league-' || substr(t.external_id, 6)::integer / 40
WHERE t.tenant_id = %(tenant_id)s AND t.kind = 'team'

-- name: activities
-- A part of them, in the order of time, as they would have come. Actors and objects follow Zipf's law; each actor is in one team, and every twentieth
-- activity is addressed to the next team as well. Verbs, sources, devices and states are as uneven as they are in life, and so is how long
-- after it happened each was received: some hundred milliseconds.
INSERT INTO milepost.activity (tenant_id, id, occurred_at, received_at, actor_id, group_id, more_groups, audience, verb,
    object_kind, object_id, source, status, key, data, m_distance_m, m_duration_s, d_device)
SELECT %(tenant_id)s,
    (substr(milepost.id_from(at)::text, 1, 19) || '8' || substr(md5(n::text), 1, 3) || '-' || substr(md5(n::text), 4, 12))::uuid,
    at, at + (0.05 + 0.4 * late ^ 3) * interval '1 second', a.low + n.actor, g.low + n.actor %% %(groups)s,
    CASE WHEN n %% 20 = 0 THEN ARRAY[g.low + (n.actor + 1) %% %(groups)s] END,
    CASE WHEN luck < 0.6 THEN 0 WHEN luck < 0.95 THEN 1 ELSE 2 END,
    (ARRAY['run', 'run', 'run', 'run', 'ride', 'ride', 'ride', 'walk', 'walk', 'climb'])[1 + n %% 10],
    'route', 'r-' || n.object, (ARRAY['strava', 'strava', 'strava', 'garmin', 'polar'])[1 + n %% 5],
    CASE WHEN n %% 97 = 0 THEN 'late' ELSE '' END, 'h' || n,
    jsonb_build_object('note', 'river loop', 'device', 'device-' || n.device),
    (1000 + 20000 * luck)::bigint, (300 + 6000 * luck)::bigint, 'device-' || n.device
FROM (
    SELECT n, random() AS luck, random() AS late,
        date_trunc('milliseconds', now() - interval '1 hour' - %(days)s * interval '1 day' * (1 - n::float8 / %(rows)s)) AS at,
        floor(power(%(actors)s, random()))::bigint - 1 AS actor, floor(power(%(objects)s, random()))::bigint - 1 AS object,
        floor(power(%(devices)s, random()))::bigint - 1 AS device
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
) n,
(SELECT min(actor_id) AS low FROM milepost.actor WHERE tenant_id = %(tenant_id)s) a,
(SELECT min(group_id) AS low FROM milepost.groups WHERE tenant_id = %(tenant_id)s AND kind = 'team') g

-- name: stream
-- The rows of second groups, as a load makes them.
INSERT INTO milepost.activity_stream (tenant_id, group_id, audience, id)
SELECT tenant_id, unnest(more_groups), audience, id FROM milepost.activity
WHERE tenant_id = %(tenant_id)s AND more_groups IS NOT NULL

-- name: fill
-- Nothing of this history is in the numbers yet.
INSERT INTO milepost.filling (tenant_id, name, filled_to)
SELECT %(tenant_id)s, name, '00000000-0000-0000-0000-000000000000' FROM unnest(%(names)s::text[]) name

-- name: settle
-- As a database is that has run for a while.
VACUUM (ANALYZE)

-- name: size
-- How large it has become, beside what the server keeps in memory.
SELECT pg_database_size(current_database()) / 1048576, pg_size_bytes(current_setting('shared_buffers')) / 1048576

-- name: span
-- When the history begins and ends.
SELECT min(occurred_at), max(occurred_at) FROM milepost.activity WHERE tenant_id = %(tenant_id)s

-- name: ids
-- Some activities anywhere, to begin a page of all activities at.
SELECT id FROM milepost.activity TABLESAMPLE BERNOULLI (%(percent)s) WHERE tenant_id = %(tenant_id)s ORDER BY random() LIMIT %(count)s

-- name: group_at_depth
-- The activity after so many newer ones of the group.
SELECT s.id FROM milepost.groups g JOIN milepost.activity s USING (tenant_id, group_id)
WHERE tenant_id = %(tenant_id)s AND g.external_id = %(group)s
ORDER BY s.id DESC OFFSET %(depth)s LIMIT 1

-- name: group_below_depth
-- Some activities that are deeper than that in the group, with a page or more below them.
SELECT id FROM (
    SELECT s.id, row_number() OVER (ORDER BY s.id DESC) AS place, count(*) OVER () AS places
    FROM milepost.groups g JOIN milepost.activity s USING (tenant_id, group_id)
    WHERE tenant_id = %(tenant_id)s AND g.external_id = %(group)s
) s WHERE place > %(depth)s AND place < places - %(page)s
ORDER BY random() LIMIT %(count)s

-- name: few_seen
-- Memberships of one who may read one team in a hundred.
INSERT INTO milepost.member (tenant_id, group_id, actor_id, since, until, role, added_at)
SELECT g.tenant_id, g.group_id, a.actor_id, '-infinity', 'infinity', 'member', now()
FROM milepost.groups g
JOIN milepost.actor a ON a.tenant_id = g.tenant_id AND a.external_id = %(actor)s
WHERE g.tenant_id = %(tenant_id)s AND g.kind = 'team' AND substr(g.external_id, 6)::integer %% 100 = 7

-- name: all_seen
-- Memberships of one who may read all teams, by their leagues.
INSERT INTO milepost.member (tenant_id, group_id, actor_id, since, until, role, added_at)
SELECT g.tenant_id, g.group_id, a.actor_id, '-infinity', 'infinity', 'member', now()
FROM milepost.groups g
JOIN milepost.actor a ON a.tenant_id = g.tenant_id AND a.external_id = %(actor)s
WHERE g.tenant_id = %(tenant_id)s AND g.kind = 'league'

-- name: members
-- Everybody is a member of the team that it runs for. Without MATERIALIZED the first team would be looked for once for each of them.
WITH g AS MATERIALIZED (
    SELECT min(group_id) AS low FROM milepost.groups WHERE tenant_id = %(tenant_id)s AND kind = 'team'
)
INSERT INTO milepost.member (tenant_id, group_id, actor_id, since, until, role, added_at)
SELECT a.tenant_id, g.low + substr(a.external_id, 6)::bigint %% %(groups)s, a.actor_id, '-infinity', 'infinity', 'member', now()
FROM milepost.actor a CROSS JOIN g
WHERE a.tenant_id = %(tenant_id)s AND a.external_id LIKE 'user-%%'

-- name: follows
-- As many as one may follow: actors and objects by Zipf's law, so the busy ones first, and teams evenly.
INSERT INTO milepost.follow (tenant_id, actor_id, kind, target_id, object_kind, object_id, since)
SELECT tenant_id, (SELECT actor_id FROM milepost.actor WHERE tenant_id = %(tenant_id)s AND external_id = %(actor)s), 0, actor_id, '', '', now()
FROM (SELECT * FROM milepost.actor WHERE tenant_id = %(tenant_id)s AND external_id LIKE 'user-%%'
    ORDER BY ln(1 - random()) * (substr(external_id, 6)::float8 + 1) DESC LIMIT 1300) a
UNION ALL
SELECT tenant_id, (SELECT actor_id FROM milepost.actor WHERE tenant_id = %(tenant_id)s AND external_id = %(actor)s), 1, group_id, '', '', now()
FROM (SELECT * FROM milepost.groups WHERE tenant_id = %(tenant_id)s AND kind = 'team' ORDER BY random() LIMIT 600) g
UNION ALL
SELECT %(tenant_id)s, (SELECT actor_id FROM milepost.actor WHERE tenant_id = %(tenant_id)s AND external_id = %(actor)s), 2, 0, 'route', 'r-' || n, now()
FROM generate_series(0, 99) n

-- name: indexes
-- How to drop each index that is no constraint's, and how to make it again, on all partitions.
SELECT 'DROP INDEX milepost.' || c.relname, replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ')
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = 'milepost.activity'::regclass AND NOT i.indisprimary

-- name: memory_of_indexing
-- An index on a year of rows is sorted in one go.
SET maintenance_work_mem = '512MB'

-- name: workers_of_indexing
-- Beside the session itself.
SET max_parallel_maintenance_workers = 1

-- name: actor
-- The number of one who reads.
SELECT actor_id FROM milepost.actor WHERE tenant_id = %(tenant_id)s AND external_id = %(actor)s

-- name: index_use
-- How many of a hundred scans of milepost's tables went by an index, since the server began; each look-up by index counts as one. Tables of
-- a page or two are read whole for good reason.
SELECT 100.0 * sum(s.idx_scan) / greatest(sum(s.idx_scan + s.seq_scan), 1)
FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
WHERE s.schemaname = 'milepost' AND c.relpages > 10
