-- name: locks
-- Held or asked for by that session, on relations.
SELECT DISTINCT relation::bigint AS oid, mode FROM pg_locks WHERE pid = %(pid)s AND locktype = 'relation' AND relation IS NOT NULL
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- name: scans
-- So far, before they are passed on; DDL that reads a table counts as a scan, even of an empty one.
SELECT relid::bigint AS oid, coalesce(seq_scan, 0) + coalesce(idx_scan, 0) AS scans FROM pg_stat_xact_user_tables
WHERE coalesce(seq_scan, 0) + coalesce(idx_scan, 0) > 0;

-- name: waits_for
-- It is virtualxid where other transactions have to end, as for CONCURRENTLY, and relation for a lock on a table. No row: it waits for nothing.
SELECT wait_event FROM pg_stat_activity WHERE pid = %(pid)s AND state = 'active' AND wait_event_type = 'Lock';

-- name: unfilled
-- On a clone without rows no view was filled, and CONCURRENTLY would fail for that alone.
SELECT quote_ident(schemaname) || '.' || quote_ident(matviewname) AS view FROM pg_matviews WHERE NOT ispopulated;

-- name: fill
-- From what is there, which is nothing.
REFRESH MATERIALIZED VIEW {view};

-- name: hold
-- As a transaction that wrote somewhere, and whose snapshot is old.
LOCK TABLE {tables} IN {mode} MODE;

-- name: cancel
-- It has been seen what it asks for.
SELECT pg_cancel_backend(%(pid)s);

-- name: lock_timeout
-- As the file has set it.
SELECT current_setting('lock_timeout');
