-- name: rows
-- Who waits, for what, and for whom; and those waited for.
WITH waiting AS (
    SELECT a.pid, pg_blocking_pids(a.pid) AS blockers
    FROM pg_stat_activity a
    WHERE a.wait_event_type = 'Lock' AND a.datname = current_database()
)
SELECT a.pid, a.usename || '@' || coalesce(nullif(a.application_name, ''), 'unnamed') AS who, a.state, left(a.query, 300) AS query,
       coalesce(w.blockers, '{}') AS blockers,
       coalesce(extract(epoch FROM clock_timestamp() - l.waitstart), 0)::float8 AS waits_s,
       (SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = coalesce(l.relation, held.relation)) AS relation,
       l.mode
FROM pg_stat_activity a
LEFT JOIN waiting w ON w.pid = a.pid
LEFT JOIN LATERAL (SELECT * FROM pg_locks l WHERE l.pid = a.pid AND NOT l.granted ORDER BY l.waitstart LIMIT 1) l ON true
-- One who waits for a row waits for a transaction, and holds the row's table meanwhile.
LEFT JOIN LATERAL (SELECT h.relation FROM pg_locks h WHERE h.pid = a.pid AND h.locktype = 'tuple' AND h.granted LIMIT 1) held ON true
WHERE w.pid IS NOT NULL OR a.pid IN (SELECT unnest(blockers) FROM waiting)
LIMIT 1000;
