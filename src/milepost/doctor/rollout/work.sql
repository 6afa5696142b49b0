-- name: table_named
-- The catalogue's own name and kind; without a schema, what the search path would find first.
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind, c.reltuples AS rows,
       coalesce((SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '{}') AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = %(name)s AND c.relkind = ANY (%(kinds)s)
  AND CASE WHEN %(schema)s::text IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = %(schema)s END;

-- name: holders
-- Who keeps us from a lock on one of these tables: the sessions that hold one there and are in a transaction.
SELECT a.pid, coalesce(a.usename::text, '') AS usename, coalesce(a.application_name, '') AS application, a.state,
       round(extract(epoch FROM clock_timestamp() - a.xact_start))::int AS open_s
FROM pg_stat_activity a
WHERE a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL
  AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.granted AND l.relation = ANY (%(tables)s))
ORDER BY a.xact_start
LIMIT 5;

-- name: building
-- How far the statement of that session is: an index, a VACUUM or an ANALYZE; and for whom it waits.
SELECT p.command || ': ' || p.phase AS phase, p.blocks_done AS done, p.blocks_total AS total, 'blocks' AS unit,
       nullif(p.current_locker_pid, 0) AS waits_for
FROM pg_stat_progress_create_index p WHERE p.pid = %(pid)s
UNION ALL
SELECT 'VACUUM: ' || p.phase, p.heap_blks_scanned, p.heap_blks_total, 'blocks', NULL
FROM pg_stat_progress_vacuum p WHERE p.pid = %(pid)s
UNION ALL
SELECT 'ANALYZE: ' || p.phase, p.sample_blks_scanned, p.sample_blks_total, 'blocks', NULL
FROM pg_stat_progress_analyze p WHERE p.pid = %(pid)s
LIMIT 1;
